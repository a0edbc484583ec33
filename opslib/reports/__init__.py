"""Reports: many checks of one target, what is new since the last one."""

from opslib.reports.afterwards import (
    check_happened,
    check_impact,
    check_response,
    find_incident,
)
from opslib.reports.phases import check_fresh, check_standing, check_versions, check_well, words
from opslib.reports.reports import daily
from opslib.reports.responding import check_options, check_phases, check_watch, span
from opslib.reports.severities import check_severity
from opslib.reports.triage import check_symptom, first_look

__all__ = [
    "check_fresh",
    "check_happened",
    "check_impact",
    "check_options",
    "check_phases",
    "check_response",
    "check_severity",
    "check_standing",
    "check_symptom",
    "check_versions",
    "check_watch",
    "check_well",
    "daily",
    "find_incident",
    "first_look",
    "span",
    "words",
]
