"""TODO."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.checks.plots import Plotted
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding, Findings
from opslib.core.reads import log_lines
from opslib.core.reads.log_lines import group_errors
from opslib.core.reads.logs import (
    ALL,
    error_pattern,
    groups,
    legible,
    panels,
    query,
    search,
    tolerated,
)
from opslib.core.text import count
from opslib.core.times import Window, clock, window

if TYPE_CHECKING:
    import pandas as pd


@check("Which lines match?")
def check_lines(
    ops: Connection,
    source: str,
    pattern: str = "",
    minutes: float = 60,
    since: str = "",
    until: str = "",
    limit: int = 1000,
) -> Findings:
    """Search, and say how much was found where, and whether the limit cut it. Evidence: LINES."""
    within = window(ops, minutes, since, until)
    events = search(ops, source, pattern, within, limit)
    where = groups(ops, source)
    what = f"match {pattern}" if pattern else "in all"
    seen = f"{count(len(events), 'line')} {what}, {within}, {count(len(where), 'log group')}"
    if events.attrs["cut"]:
        seen += f"; these are the newest {limit:,} of a group, there are more: narrow the window or the pattern"
    status = "warn" if events.attrs["cut"] else "ok"
    sought = ", ".join(where.values())
    found = Finding(
        status, "Which lines match?", seen, "all of them shown", f"FilterLogEvents {sought}"
    )
    return Plotted([found], legible(events), "", panels(events, within), within)


@check("Which errors are logged?")
def check_errors(
    ops: Connection, source: str = ALL, minutes: float = 1440, since: str = "", until: str = ""
) -> Findings:
    """Lines of trouble (`logs.error_pattern` of the target) by pattern: a finding a pattern. Evidence: PATTERNS.

    A pattern with more lines in one hour than `logs.errors_per_hour` is a warning.
    """
    within, most = window(ops, minutes, since, until), tolerated(ops)
    events = search(ops, source, error_pattern(ops), within)
    patterns = group_errors(events)
    cut = "; there are more, only the newest are counted" if events.attrs["cut"] else ""
    note = f"{count(len(events), 'line')} in {count(len(patterns), 'pattern')}, {within}, {count(len(groups(ops, source)), 'log group')}{cut}."
    found = [_pattern_finding(row, most, within) for row in patterns.itertuples()]
    if not found or cut:
        found.append(
            Finding(
                "warn" if cut else "ok",
                "errors logged",
                note,
                "no line of trouble",
                "FilterLogEvents",
            )
        )
    return Findings(found, patterns, note)


def _pattern_finding(row: Any, tolerated: int, within: Window) -> Finding:
    seen = (
        f"{count(row.count, 'line')} from {clock(row.first_seen, within.end)} to {clock(row.last_seen, within.end)}, "
        f"at most {row.most_in_an_hour} in an hour ({row.sources})"
    )
    status = "warn" if row.most_in_an_hour > tolerated else "ok"
    follows = "logs/errors" if status == "warn" else ""
    return Finding(
        status,
        row.pattern,
        seen,
        f"at most {tolerated} in an hour",
        "FilterLogEvents",
        next=follows,
    )


def follow(
    ops: Connection, source: str, pattern: str = "", seconds: float = 30, minutes: float = 1
) -> pd.DataFrame:
    """Print lines as they come for some seconds, beginning with those of the last minutes; each once. Columns: EVENTS.

    Interrupting the kernel ends it early. Late lines are looked for too: each look goes back a minute.
    """
    import pandas as pd

    ends, begin, kept = time.monotonic() + seconds, window(ops, minutes).start, []
    seen: set[str] = set()
    try:
        while True:
            events = search(ops, source, pattern, Window(begin, ops.now()))
            new = events[~events["event_id"].isin(seen)]
            for event in new.itertuples():
                print(
                    f"{event.time:%H:%M:%S} {event.source}: {log_lines.brief(event.message)}",
                    flush=True,
                )
            seen.update(new["event_id"])
            kept.append(new)
            begin = max(begin, window(ops, 1).start)
            if time.monotonic() + 2 > ends:
                break
            time.sleep(2)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    return pd.concat(kept).sort_values(["time", "event_id"], ignore_index=True)


@check("What do the logs say now?")
def check_following(
    ops: Connection, source: str, pattern: str = "", seconds: float = 30, minutes: float = 1
) -> Findings:
    """Follow, and say how many lines came. Evidence: none; the lines are printed."""
    where = ", ".join(groups(ops, source).values())
    lines = follow(ops, source, pattern, seconds, minutes)
    seen = f"{count(len(lines), 'line')} in {seconds:g} s and the {minutes:g} minutes before"
    return Findings(
        [Finding("ok", f"following {source}", seen, "it could be read", f"FilterLogEvents {where}")]
    )


@check("What is the answer?")
def check_query(
    ops: Connection, source: str, text: str, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """Ask Logs Insights. Evidence: its answer."""
    within = window(ops, minutes, since, until)
    answer = query(ops, source, text, within)
    seen = (
        f"{count(len(answer), 'row')} from {count(int(answer.attrs['scanned']), 'line')}, {within}"
    )
    return Findings([Finding("ok", "Logs Insights query", seen, "it was answered", text)], answer)
