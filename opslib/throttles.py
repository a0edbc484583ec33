"""Throttling as the logs tell it: how much, when, which worker, and whether retries were enough."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from opslib import logs
from opslib._windows import Window, clock, window
from opslib.findings import Finding, Findings, check
from opslib.plots import Plotted

if TYPE_CHECKING:
    import pandas as pd

    from opslib.connections import Connection

GAVE_UP = re.compile(r"giv\w+ up|gave up|retries exhausted|max(imum)? (retries|attempts)|no retries left", re.I)


@check("Is anything throttled?")
def check_throttling(
    ops: Connection,
    source: str,
    pattern: str,
    minutes: float = 60,
    since: str = "",
    until: str = "",
    tolerated: int = 2,
    cause: str = "",
) -> Findings:
    """Lines that match the pattern, a finding for each log group. Evidence: the lines (`logs.EVENTS`).

    Up to `tolerated` of them in five minutes are what retries are for; more is a warning, and critical when a
    worker gave up. `cause` is what such lines prove, when the runbook says so.
    """
    within = window(ops, minutes, since, until)
    events = logs.search(ops, source, pattern, within)
    cut = f" Only the newest {logs.LIMIT:,} lines of a group were read: there are more." if events.attrs["cut"] else ""
    found = [
        _throttled(name, events[events["source"] == name], pattern, tolerated, cause, within)
        for name in logs.groups(ops, source)
    ]
    panels = logs.panels(events, within, [("tolerated", tolerated)])
    return Plotted(found, events, f"Searched: {within}.{cut}", panels, within)


def _throttled(name: str, events: pd.DataFrame, pattern: str, tolerated: int, cause: str, within: Window) -> Finding:
    question, source = f"throttling of {name}", f"FilterLogEvents {pattern}"
    threshold = f"at most {tolerated} lines in 5 minutes, none given up"
    if events.empty:
        return Finding("ok", question, f"no line matches {pattern}", threshold, source)
    times = events["time"]
    busiest = int(events.groupby(times.dt.floor("5min")).size().max())
    gave_up = sum(GAVE_UP.search(message) is not None for message in events["message"])
    first, last = clock(times.min(), within.end), clock(times.max(), within.end)
    seen = f"{len(events):,} lines from {first} to {last}, at most {busiest} in 5 minutes, {gave_up or 'none'} given up"
    if gave_up:
        return Finding("critical", question, seen, threshold, source, cause, "jobs/stale")
    status = "warn" if busiest > tolerated else "ok"
    return Finding(status, question, seen, threshold, source, cause, "logs/search" if status == "warn" else "")
