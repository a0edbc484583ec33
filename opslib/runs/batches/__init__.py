"""Runs of which there are many: here, or by workers elsewhere."""
