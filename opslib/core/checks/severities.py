"""How bad it may be, by the rules of the target's file: by when to respond, and whom to tell when.

Nothing is guessed: what no rule of the file fits is for the operator to choose.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from opslib.core.checks.evidence import Line
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding
from opslib.core.tables import Json
from opslib.core.text import fits
from opslib.core.times import clock


class Severity(NamedTuple):
    """A level of the target's file, as it counts from a moment."""

    name: str
    title: str
    respond: str
    escalate: str
    matches: tuple[str, ...]

    def fits(self, f: Finding) -> bool:
        """Whether one of its patterns is of the finding's cause, or of what was asked."""
        return any(fits(of, self.matches) for of in (f.cause, f.check))

    def __str__(self) -> str:
        return f"{self.name} {self.title}: respond {self.respond}; {self.escalate}"


def hand_on(about: Json, level: Json) -> int | None:
    """After how many minutes what is not solved is handed on; None: no time is given.

    Never before it has to be acknowledged.
    """
    within, minutes = level.get("respond_minutes"), about.get("escalate_after_minutes")
    return None if within is None or minutes is None else max(minutes, within)


def severities(ops: Connection, since: datetime) -> list[Severity]:
    """Those of the target's file, the worst first; empty where it describes none."""
    about = ops.target.at("severities")
    contacts = about.get("contacts", {})
    found = []
    for name, level in about.get("levels", {}).items():
        within = level.get("respond_minutes")
        respond = level.get("respond", "when it can be")
        if within is not None:
            at = clock(since + timedelta(minutes=within), ops.now())
            respond = f"by {at} UTC" if within else "at once"
        to = level["escalate_to"]
        who = f"{to} ({contacts.get(to) or 'no contact in the file'})"
        escalate = f"tell {who}"
        if (minutes := hand_on(about, level)) is not None:
            at = clock(since + timedelta(minutes=minutes), ops.now())
            escalate = f"not solved by {at} UTC: {who}"
        matches = tuple(level.get("matches", ()))
        found.append(Severity(name, level["title"], respond, escalate, matches))
    return found


def told(ops: Connection, bad: Iterable[Finding]) -> list[Line]:
    """The line of a verdict: of what is critical, the worst level that a rule of the file gives."""
    critical = [f for f in bad if f.status == "critical"]
    known = severities(ops, ops.now()) if critical else []
    if not known:
        return []
    for level in known:
        if fits := [f.cause or f.check for f in critical if level.fits(f)]:
            return [("severity", f"may be {level} (rule: {fits[0]})")]
    named = "; ".join(f"{each.name} {each.title}" for each in known)
    return [("severity", f"no rule of the target's file fits: choose. {named}")]
