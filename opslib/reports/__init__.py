"""Reports: many checks of one target, what is new since the last one; several runs at one look."""

from opslib.reports.reports import daily
from opslib.reports.severities import check_severity
from opslib.reports.summaries import Line, headline, several_names, summarise, write_summary
from opslib.reports.triage import check_symptom, first_look

__all__ = [
    "Line",
    "check_severity",
    "check_symptom",
    "daily",
    "first_look",
    "headline",
    "several_names",
    "summarise",
    "write_summary",
]
