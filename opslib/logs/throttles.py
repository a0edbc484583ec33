"""Throttling as the logs tell it: how much, when, which worker, and whether retries were enough."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from opslib.core.checks.checks import check
from opslib.core.checks.plots import Plotted
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding, Findings
from opslib.core.reads import functions, logs
from opslib.core.reads.log_lines import most_in_an_hour
from opslib.core.text import count
from opslib.core.times import Window, clock, window

if TYPE_CHECKING:
    import pandas as pd

GAVE_UP = re.compile(
    r"giv\w+ up|gave up|retries exhausted|max(imum)? (retries|attempts)|no retries left", re.I
)


@check("Is anything throttled?")
def check_throttling(
    ops: Connection,
    source: str,
    pattern: str,
    minutes: float = 60,
    since: str = "",
    until: str = "",
    tolerated: int = 3,
    cause: str = "",
) -> Findings:
    """Lines that match the pattern, a finding for each log group. Evidence: the lines (`logs.LINES`).

    Up to `tolerated` of them in an hour are what retries are for; more is a warning, and critical when a worker
    gave up. `cause` is what such lines prove, when the runbook says so.
    """
    within = window(ops, minutes, since, until)
    events = logs.search(ops, source, pattern, within)
    cut = (
        f" Only the newest {logs.LIMIT:,} lines of a group were read: there are more."
        if events.attrs["cut"]
        else ""
    )
    found = [
        _throttled(name, events[events["source"] == name], pattern, tolerated, cause, within)
        for name in logs.groups(ops, source)
    ]
    panels = logs.panels(events, within)
    return Plotted(found, logs.legible(events), f"Searched: {within}.{cut}", panels, within)


def _throttled(
    name: str, events: pd.DataFrame, pattern: str, tolerated: int, cause: str, within: Window
) -> Finding:
    question, source = f"throttling of {name}", f"FilterLogEvents {pattern}"
    threshold = f"at most {tolerated} lines in an hour, none given up"
    if events.empty:
        return Finding("ok", question, f"no line matches {pattern}", threshold, source)
    times = events["time"]
    busiest = most_in_an_hour(list(times))
    gave_up = sum(GAVE_UP.search(message) is not None for message in events["message"])
    first, last = clock(times.min(), within.end), clock(times.max(), within.end)
    seen = f"{count(len(events), 'line')} from {first} to {last}, at most {busiest} in an hour, {gave_up or 'none'} given up"
    if gave_up:
        return Finding("critical", question, seen, threshold, source, cause, "jobs/stale")
    status = "warn" if busiest > tolerated else "ok"
    return Finding(
        status, question, seen, threshold, source, cause, "logs/search" if status == "warn" else ""
    )


@check("How many may run at once?")
def check_concurrency(ops: Connection, source: str = logs.ALL) -> Findings:
    """Reserved concurrency of the functions in `source` (Lambda GetFunctionConcurrency). A reserve of 0 stops a function."""
    facts = ops.target["functions"]
    names = [name for name in logs.groups(ops, source) if name in facts]
    answers = ops.gather(*(lambda name=name: functions.reserved(ops, name) for name in names))
    return Findings(_reserved(name, answer) for name, answer in zip(names, answers, strict=True))


def _reserved(name: str, reserved: int | None) -> Finding:
    seen = (
        "nothing reserved: as many as the account allows"
        if reserved is None
        else f"at most {reserved} at once"
    )
    seen += "; it cannot run" if reserved == 0 else ""
    status = "critical" if reserved == 0 else "ok"
    return Finding(
        status, f"concurrency of {name}", seen, "more than 0", "lambda GetFunctionConcurrency"
    )
