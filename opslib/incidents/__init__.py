"""Incidents: what happened when and was known when, tied to records; what is made of them."""
