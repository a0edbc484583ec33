"""Log groups that wrote nothing though they should have: what goes wrong there nobody is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from opslib.core import (
    Connection,
    Finding,
    Frame,
    OpsError,
    Question,
    Window,
    count,
    functions,
    logs,
)

_LINES = 100  # so many before, and none since, is no quiet hour
_LEAST = timedelta(hours=1)  # of less nothing is said
_LATE = timedelta(minutes=10)  # until what ran is counted and its lines are there
_DAY = timedelta(days=1)
_MEANS = (
    "what goes wrong there is lost. Its role may not write (logs:CreateLogStream, "
    "logs:PutLogEvents), or it writes to another log group"
)


def told(ops: Connection, lines: Frame, within: Window) -> Iterator[Finding]:
    """A finding for each source without a line: a function that was invoked meanwhile; else one
    that wrote much in the window before, and at that time of the day before.

    `lines`: all of the window, as `logs.search` reads them without a pattern.
    """
    if within.end - within.start < _LEAST:
        return
    heard = {*lines["source"], *lines.attrs["failed"]}
    mute = [name for name in lines.attrs["groups"] if name not in heard]
    called = [name for name in mute if name in ops.target.at("functions")]
    others = [name for name in mute if name not in called]
    times = ran(ops, called, Window(within.start, within.end - _LATE)) if called else None
    found = {name: f"it was invoked {count(int(of), 'time')}" for name, of in (times or {}).items()}
    found |= ops.each(lambda name: _wrote_before(ops, name, within), others)
    for name, seen in found.items():
        if seen:
            asked = Question(f"lines of {name}", "what runs writes lines", "FilterLogEvents")
            since = f"none since {within.start:%m-%d %H:%M} UTC"
            yield asked.warn(f"{since}, though {seen}: {_MEANS}", next="changes/configuration")


def ran(ops: Connection, names: list[str], within: Window) -> dict[str, float] | None:
    """How often each function was invoked in that time; None where that cannot be told."""
    try:
        points = functions.read_points(ops, names, within)
    except OpsError:
        return None
    points = points[points["time"].between(within.start, within.end) & (points["value"] > 0)]
    return dict(points[points["metric"] == "Invocations"].groupby("function")["value"].sum())


def _wrote_before(ops: Connection, name: str, within: Window) -> str:
    long = within.end - within.start
    for ago in {long, _DAY}:
        before = Window(within.start - ago, within.end - ago)
        try:
            if len(logs.search(ops, name, "", before, limit=_LINES)) < _LINES:
                return ""
        except OpsError:
            return ""
    return f"it wrote {_LINES} lines and more before"
