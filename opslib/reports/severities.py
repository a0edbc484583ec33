"""Severity and escalation as the target's file has them, from when a trouble began."""

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

_SOURCE = "the target's file"
LEVELS = dtypes("""
    level    str
    means    str
    respond  str
    escalate str
    rules    str
""")


@check("How bad is it, and who is told when?")
def check_severity(ops: Connection, severity: str = "", since: str = "") -> Findings:
    """The levels of the target's file (`severities`), their times counted from `since`: the one
    that was chosen, else each; and how those are reached who are told. Evidence: LEVELS.

    Raises UsageError: no such level.
    """
    about = ops.target["severities"]
    named = about.get("levels", {})
    if severity and severity not in named:
        raise unknown_name("severity", severity, named, f" of {ops.target.name}")
    begun = moment(since, ops.now()) if since else ops.now()
    found = severities(ops, begun)
    rows = [
        (each.name, each.title, each.respond, each.escalate, ", ".join(each.matches))
        for each in found
    ]
    told = [
        Question(f"severity {each.name}", source=_SOURCE).ok(str(each))
        for each in found
        if severity in ("", each.name)
    ]
    told += [
        Question(f"contact: {who}", source=_SOURCE).judged(
            bool(how), how or "nobody wrote down how", otherwise="warn"
        )
        for who, how in about.get("contacts", {}).items()
    ]
    note = f"Counted from {clock(begun, ops.now())} UTC."
    return Findings(
        told, frame(rows, LEVELS), note if severity else f"{note} None is chosen (severity)."
    )
