"""Invocations of the functions: how many, how they ended, how long they took, how many ran at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import answer, check
from opslib.core.checks.plots import Line, Panel, Plotted
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, NotFound, OpsError
from opslib.core.findings import Finding, Findings
from opslib.core.reads import logs
from opslib.core.reads.functions import (
    MEASURES,
    live,
    modified,
    named,
    period,
    read_points,
    reserved,
    states,
)
from opslib.core.tables import frame
from opslib.core.text import count, number
from opslib.core.times import Window, clock, window
from opslib.functions import throttling
from opslib.functions.throttling import Use

if TYPE_CHECKING:
    import pandas as pd

FUNCTIONS = {
    "function": "str",
    "version": "str",
    "reserved": "str",
    "invocations": "int64",
    "errors": "int64",
    "throttles": "int64",
    "p95_ms": "float64",
    "most_at_once": "float64",
}
RECENT = timedelta(minutes=15)  # what counts as now
_MOST_PER_100, _FEWEST = 5.0, 5


@check("Are the functions well?")
def check_functions(
    ops: Connection, function: str = logs.ALL, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """State, invocations and throttling of functions (`all`, or names with commas). Evidence: FUNCTIONS.

    A function that was not invoked is no error: nothing called it.
    """
    within, names = window(ops, minutes, since, until), named(ops, function)
    points, account, *states = ops.gather(
        partial(read_points, ops, names, within),
        partial(throttling.account, ops),
        *(partial(_state, ops, name) for name in names),
    )
    found, rows, uses = [], [], []
    for name, (state, held) in zip(names, states, strict=True):
        of_it = points[points["function"] == name]
        use = used(name, of_it, held, within)
        found += [
            answer(f"state of {name}", partial(_judged_state, name, state)),
            _invoked(name, state, of_it, use, within),
            throttling.judge(use, account, within),
        ]
        rows.append(_row(name, state, use, of_it))
        uses.append(use)
    note = f"{within}. {throttling.account_note(account)}"
    return Plotted(found, frame(rows, FUNCTIONS), note, panels(points, within, uses), within)


def _state(ops: Connection, function: str) -> tuple[Any, Any]:
    """Configuration of what runs, and the reservation; what could not be read is the error itself."""
    return tried(partial(live, ops, function)), tried(partial(reserved, ops, function))


def tried(look: Callable[[], Any]) -> Any:
    """What a read answers; when it could not be read, the error itself."""
    try:
        return look()
    except OpsError as exc:
        return exc


def _judged_state(function: str, state: Any) -> Finding:
    if isinstance(state, OpsError):
        raise state
    now, update = states(state)
    seen = f"version {state['Version']}: {now}, last update {update} at {modified(state):%Y-%m-%d %H:%M}"
    why = state.get("StateReason") if now != "Active" else state.get("LastUpdateStatusReason")
    seen += f": {why}" if why and (now, update) != ("Active", "Successful") else ""
    if now == "Inactive":
        seen += "; idle for weeks: its next request wakes it, and fails or waits meanwhile"
    status = (
        "critical"
        if "Failed" in (now, update)
        else "ok"
        if (now, update) == ("Active", "Successful")
        else "warn"
    )
    follows = "functions/rollback" if status == "critical" else ""
    rule = "Active, Successful"
    return Finding(
        status, f"state of {function}", seen, rule, "lambda GetFunctionConfiguration", next=follows
    )


def used(function: str, points: pd.DataFrame, reserved: Any, within: Window) -> Use:
    """What a function's points say of how many ran at once and how many could not."""
    throttled = points[(points["metric"] == "Throttles") & (points["value"] > 0)]
    at_once = points[points["metric"] == "ConcurrentExecutions"]["value"]
    times = list(throttled["time"])
    return Use(
        function,
        None if isinstance(reserved, OpsError) else reserved,
        not isinstance(reserved, OpsError),
        int(throttled["value"].sum()),
        int(points[points["metric"] == "Invocations"]["value"].sum()),
        int(at_once.max()) if len(at_once) else 0,
        clock(times[0], within.end) if times else "",
        bool(times) and times[-1] >= within.end - RECENT,
        isinstance(reserved, NotAllowed),
    )


def _invoked(function: str, state: Any, points: pd.DataFrame, use: Use, within: Window) -> Finding:
    failed, p95 = _total(points, "Errors"), _highest(points, "Duration")
    question, source = (
        f"invocations of {function}",
        "GetMetricData AWS/Lambda Invocations, Errors, Duration",
    )
    rule = f"at most {_MOST_PER_100:g} errors in 100"
    if not use.invocations and isinstance(state, NotFound):
        return Finding("unknown", question, "none: there is no such function", rule, source)
    if not use.invocations:
        seen = (
            f"none in {number(within.minutes)} min: nothing called it, which is no error by itself"
        )
        return Finding("ok", question, seen, rule, source)
    share = 100 * failed / use.invocations
    seen = f"{count(use.invocations, 'invocation')}, {count(failed, 'error')} ({share:.2g} %)"
    seen += f", p95 at most {p95:,.0f} ms" if p95 is not None else ""
    status = "warn" if share > _MOST_PER_100 and failed >= _FEWEST else "ok"
    return Finding(
        status, question, seen, rule, source, next="logs/errors" if status == "warn" else ""
    )


def _total(points: pd.DataFrame, metric: str) -> int:
    return int(points[points["metric"] == metric]["value"].sum())


def _highest(points: pd.DataFrame, metric: str) -> float | None:
    values = points[points["metric"] == metric]["value"]
    return float(values.max()) if len(values) else None


def _row(function: str, state: Any, use: Use, points: pd.DataFrame) -> dict[str, Any]:
    p95 = _highest(points, "Duration")
    return {
        "function": function,
        "version": "?" if isinstance(state, OpsError) else state["Version"],
        "reserved": use.reservation,
        "invocations": use.invocations,
        "errors": _total(points, "Errors"),
        "throttles": use.throttles,
        "p95_ms": None if p95 is None else round(p95),
        "most_at_once": _highest(points, "ConcurrentExecutions"),
    }


def panels(
    points: pd.DataFrame,
    within: Window,
    uses: Sequence[Use],
    measures: Sequence[str] = tuple(MEASURES),
) -> list[Panel]:
    """A picture for each measure, a line for each function that has any data; reservations are drawn as what they cap."""
    caps = [
        (f"cap of {use.function}:", float(use.reserved)) for use in uses if use.reserved is not None
    ]
    made = []
    for metric in measures:
        _, title, unit = MEASURES[metric]
        of_it = points[points["metric"] == metric]
        lines = [
            Line(str(n), list(s["time"]), list(s["value"]))
            for n, s in of_it.groupby("function", sort=False)
        ]
        limits = caps if metric == "ConcurrentExecutions" else []
        made.append(Panel(title.format(period(within) // 60), unit, lines, limits))
    return made
