"""Runs: from a procedure and its parameters to a sealed record."""
