"""Incidents: what happened when and was known when, tied to records; the post-mortem of it."""

from opslib.incidents.incidents import Incident
from opslib.incidents.world import (
    check_happened,
    check_impact,
    check_response,
    find_incident,
)

__all__ = [
    "Incident",
    "check_happened",
    "check_impact",
    "check_response",
    "find_incident",
]
