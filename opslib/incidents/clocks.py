"""The clock of an incident: by when to respond and to hand on, by the target's own severities."""

from __future__ import annotations

from datetime import datetime, timedelta

from opslib.core import clock
from opslib.incidents import levels
from opslib.incidents.incidents import Incident


def told(incident: Incident, now: datetime) -> list[str]:
    """How long it has been, and by when what is due. Raises UsageError: the target's file."""
    about = levels.severities(incident.target)
    of = about.get("levels", {}).get(incident.severity)
    marks, end = incident.milestones, incident.over
    long = minutes(end - incident.began)
    lines = [f"{'took' if incident.ended else 'runs for'} {long} since {_at(incident.began, now)}"]
    if not of:
        why = "none is described in the target's file (severities)"
        return [*lines, f"no response times: {why}"]
    within, after = of.get("respond_minutes"), about.get("escalate_after_minutes")
    if within is None:
        lines.append(f"respond: {of.get('respond', 'when it can be')}")
    else:
        done = marks.get("acknowledged")
        due = incident.began + timedelta(minutes=within)
        lines.append(_due("acknowledged", due, done.happened if done else None, now))
    if within is not None and after is not None:
        contact = about.get("contacts", {}).get(of["escalate_to"], "no contact in the file")
        done = marks.get("mitigated") or marks.get("resolved")
        due = incident.began + timedelta(minutes=after)
        words = f"mitigated, or handed on to {of['escalate_to']} ({contact})"
        lines.append(_due(words, due, done.happened if done else None, now))
    return lines


def _due(words: str, due: datetime, done: datetime | None, now: datetime) -> str:
    if done:
        late = f", {minutes(done - due)} late" if done > due else ", in time"
        return f"{words}: at {_at(done, now)}{late}"
    left = f"{minutes(due - now)} left" if due > now else f"late by {minutes(now - due)}"
    return f"{words}: by {_at(due, now)}, {left}"


def _at(when: datetime, now: datetime) -> str:
    return f"{clock(when, now)} UTC"


def minutes(passed: timedelta) -> str:
    """In words: `12 min`, `2.5 h`."""
    whole = round(passed / timedelta(minutes=1))
    return f"{whole} min" if abs(whole) < 120 else f"{whole / 60:.1f} h"


def lasted(incident: Incident, start: str, end: str) -> timedelta | None:
    """From one milestone to another; None: one is not marked."""
    marks = incident.milestones
    return marks[end].happened - marks[start].happened if {start, end} <= marks.keys() else None


def between(incident: Incident, start: str, end: str) -> str:
    """How long from one milestone to another: `12 min`; else unknown, and which is missing."""
    lacks = [name for name in (start, end) if name not in incident.milestones]
    passed = lasted(incident, start, end)
    return minutes(passed) if passed is not None else f"unknown: {' and '.join(lacks)} not marked"


TIMES = (
    ("time to detect", "began", "detected"),
    ("time to acknowledge", "detected", "acknowledged"),
    ("time to mitigate", "began", "mitigated"),
    ("time to find the cause", "detected", "cause-found"),
    ("time to resolve", "began", "resolved"),
)
