"""Reasons for which answers of a service are slow, each with its own evidence."""
