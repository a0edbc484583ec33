"""Reports: many checks of one target, what is new since the last one; several runs at one look."""

from opslib.reports.reports import daily
from opslib.reports.severities import check_severity
from opslib.reports.summaries import Line, headline, several_names, summarise, write_summary

__all__ = [
    "Line",
    "check_severity",
    "daily",
    "headline",
    "several_names",
    "summarise",
    "write_summary",
]
