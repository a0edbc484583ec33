"""Runs of which there are many: here, or by workers elsewhere."""

LOCAL = "local"  # the executor that is this process
