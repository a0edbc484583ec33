"""Throttling as the logs tell it: how much, when, which worker, and whether retries were enough."""

import re
from itertools import filterfalse

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Function,
    Plotted,
    Question,
    Window,
    check,
    clock,
    count,
    functions,
    log_lines,
    logs,
    window,
)
from opslib.logs import judged

GAVE_UP = re.compile(
    r"giv\w+ up|gave up|retries exhausted|max(?:imum)? (?:retries|attempts)|no retries left", re.I
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
    """Lines that match the pattern, a finding for each log group.

    Evidence: the lines (`logs.LINES`). Up to `tolerated` of them in an hour are what retries are
    for; more is a warning, and critical when a worker gave up. `cause` is what such lines prove,
    when the runbook says so.
    """
    within = window(ops, minutes, since, until)
    events = logs.search(ops, source, pattern, within)
    note = f"Searched: {within}."
    if events.attrs["cut"]:
        note += f" Only the newest {logs.LIMIT:,} lines of a group were read: there are more."
    found = [*judged.not_read(ops, events, within)]
    for name in filterfalse(events.attrs["failed"].__contains__, events.attrs["groups"]):
        asked = Question(
            f"throttling of {name}",
            f"at most {tolerated} lines in an hour, none given up",
            f"FilterLogEvents {pattern}",
        )
        lines = events[events["source"] == name]
        found.append(
            _throttled(asked, lines, tolerated, cause, within)
            if len(lines)
            else asked.ok(f"no line matches {pattern}", cause=cause)
        )
    panels = logs.panels(events, within)
    return Plotted(found, logs.legible(events), note, panels, within)


def _throttled(
    asked: Question, lines: Frame, tolerated: int, cause: str, within: Window
) -> Finding:
    first, *_, last = [clock(time, within.end) for time in lines["time"].iloc[[0, -1]]]
    busiest = log_lines.most_in_an_hour(lines["time"])
    gave_up = int(lines["message"].str.contains(GAVE_UP).sum())
    seen = f"{count(len(lines), 'line')} from {first} to {last}, at most {busiest} in an hour, "
    seen += f"{gave_up or 'none'} given up"
    if gave_up:
        return asked.critical(seen, cause=cause, next="jobs/stale")
    well = busiest <= tolerated
    return asked.judged(well, seen, otherwise="warn", cause=cause, next="logs/search")


@check("How many may run at once?")
def check_concurrency(ops: Connection, source: str = logs.ALL) -> Findings:
    """Reserved concurrency of the functions in `source` (Lambda GetFunctionConcurrency).

    A reserve of 0 stops a function. A service has none: how many tasks it has is its own matter.
    """
    found = Findings()
    names = functions.named(ops, source)
    if not names:
        found.note = "No function is asked: only Lambda reserves concurrency."
    reserved = ops.each(lambda name: Function(ops, name).reserved(), names, "concurrency of {}")
    for name, most in reserved.items():
        seen = f"at most {most} at once" + ("" if most else "; it cannot run")
        if most is None:
            seen = "nothing reserved: as many as the account allows"
        asked = Question(f"concurrency of {name}", "more than 0", "lambda GetFunctionConcurrency")
        found.append(asked.judged(most != 0, seen))
    return found
