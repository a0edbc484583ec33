"""Reads that several chapters share. None changes anything."""
