"""Severity and escalation as the target's file has them, from when a trouble began."""

from __future__ import annotations

from opslib.core import (
    Connection,
    Findings,
    Question,
    check,
    clock,
    dtypes,
    frame,
    moment,
    unknown_name,
)
from opslib.core.checks.severities import severities

LEVELS = dtypes("""
    level    str
    means    str
    respond  str
    escalate str
    rules    str
""")


@check("How bad is it, and who is told when?")
def check_severity(ops: Connection, severity: str = "", since: str = "") -> Findings:
    """The levels of the target's file (`severities`), their times counted from `since`; the one
    that was chosen as a finding. Evidence: LEVELS. Raises UsageError: none described, no such one.
    """
    named = ops.target["severities"]["levels"]
    if severity and severity not in named:
        raise unknown_name("severity", severity, named, f" of {ops.target.name}")
    begun = moment(since, ops.now()) if since else ops.now()
    found = severities(ops, begun)
    rows = [
        (each.name, each.title, each.respond, each.escalate, ", ".join(each.matches))
        for each in found
    ]
    asked = Question("severity", "chosen by whoever is on call", "the target's file")
    told = [asked.ok(str(each)) for each in found if each.name == severity]
    note = f"Counted from {clock(begun, ops.now())} UTC."
    return Findings(
        told, frame(rows, LEVELS), note if told else f"{note} None is chosen (severity)."
    )
