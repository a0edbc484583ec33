"""Reports: many checks of one target, and what is new since the last one."""

from opslib.reports.reports import daily

__all__ = [
    "daily",
]
