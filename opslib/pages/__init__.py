"""A record as one HTML page."""
