"""What a notebook stands on: targets, connections, reads, checks, plans."""
