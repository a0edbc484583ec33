"""Records: what every run left behind, and the proof that it is still what it was."""

from opslib.records.approvals.approvals import read_preview, require_another
from opslib.records.chain.looking import Problem
from opslib.records.reading import details, find, list_records, sealed
from opslib.records.records import BROKEN, DONE, LOOKED, OUTCOMES, RUNNING, Record
from opslib.records.texts.comparisons import compare_findings, last_report
from opslib.records.verification import verify

__all__ = [
    "BROKEN",
    "DONE",
    "LOOKED",
    "OUTCOMES",
    "RUNNING",
    "Problem",
    "Record",
    "compare_findings",
    "details",
    "find",
    "last_report",
    "list_records",
    "read_preview",
    "require_another",
    "sealed",
    "verify",
]
