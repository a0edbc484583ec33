"""Invocations of the functions.

How many, how they ended, how long they took, how many ran at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Line,
    NotAllowed,
    NotFound,
    OpsError,
    Panel,
    Plotted,
    Question,
    Window,
    answer,
    check,
    clock,
    count,
    frame,
    number,
    window,
)
from opslib.core.reads import logs
from opslib.core.reads.functions import (
    MEASURES,
    WELL,
    Function,
    modified,
    named,
    period,
    read_points,
    states,
)
from opslib.functions import throttling
from opslib.functions.throttling import Use

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
    """State, invocations and throttling of functions (`all`, or names with commas).

    Evidence: FUNCTIONS. A function that was not invoked is no error: nothing called it.
    """
    within, names = window(ops, minutes, since, until), named(ops, function)
    reads: list[Callable[[], Any]] = [
        partial(read_points, ops, names, within),
        partial(throttling.account, ops),
        partial(ops.each, lambda name: tried(Function(ops, name).live), names),
        partial(ops.each, lambda name: tried(Function(ops, name).reserved), names),
    ]
    points, account, states, reserved = ops.gather(*reads)
    found, rows, uses = [], [], []
    for name, state in states.items():
        use = used(name, points[points["function"] == name], reserved[name], within)
        uses.append(use)
        rows.append(_row(use, state))
        found += [
            answer(f"state of {name}", partial(_judged_state, name, state)),
            _invoked(use, state, within),
            throttling.judge(use, account, within),
        ]
    note = f"{within}. {throttling.account_note(account)}"
    return Plotted(found, frame(rows, FUNCTIONS), note, panels(points, within, uses), within)


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
    asked = Question(f"state of {function}", ", ".join(WELL), "lambda GetFunctionConfiguration")
    seen = f"version {state['Version']}: {now}, last update {update} at "
    seen += f"{modified(state):%Y-%m-%d %H:%M}"
    if (now, update) == WELL:
        return asked.answer("ok", seen)
    why = state.get("StateReason" if now != "Active" else "LastUpdateStatusReason")
    seen += f": {why}" if why else ""
    if now == "Inactive":
        seen += "; idle for weeks: its next request wakes it, and fails or waits meanwhile"
    if "Failed" in (now, update):
        return asked.answer("critical", seen, next="functions/rollback")
    return asked.answer("warn", seen)


def used(function: str, points: Frame, reserved: Any, within: Window) -> Use:
    """What a function's points say: how many ran, how many at once, how many could not."""
    wide = points.pivot(index="time", columns="metric", values="value")
    wide = wide.reindex(columns=list(MEASURES))
    total, most = wide.sum(), wide.max().astype(object).where(wide.notna().any(), None)
    throttled = wide.index[wide["Throttles"] > 0]
    unread = isinstance(reserved, OpsError)
    return Use(
        function,
        None if unread else reserved,
        known=not unread,
        throttles=int(total["Throttles"]),
        invocations=int(total["Invocations"]),
        most_at_once=int(most["ConcurrentExecutions"] or 0),
        since=clock(throttled[0], within.end) if len(throttled) else "",
        still=bool((throttled >= within.end - RECENT).any()),
        denied=isinstance(reserved, NotAllowed),
        errors=int(total["Errors"]),
        p95_ms=most["Duration"],
    )


def _invoked(use: Use, state: Any, within: Window) -> Finding:
    asked = Question(
        f"invocations of {use.function}",
        f"at most {_MOST_PER_100:g} errors in 100",
        "GetMetricData AWS/Lambda Invocations, Errors, Duration",
    )
    if not use.invocations and isinstance(state, NotFound):
        return asked.answer("unknown", "none: there is no such function")
    if not use.invocations:
        seen = f"none in {number(within.minutes)} min: nothing called it, "
        return asked.answer("ok", f"{seen}which is no error by itself")
    share = 100 * use.errors / use.invocations
    seen = f"{count(use.invocations, 'invocation')}, {count(use.errors, 'error')} ({share:.2g} %)"
    seen += f", p95 at most {use.p95_ms:,.0f} ms" if use.p95_ms is not None else ""
    well = share <= _MOST_PER_100 or use.errors < _FEWEST
    return asked.judged(well, seen, otherwise="warn", next="logs/errors")


def _row(use: Use, state: Any) -> Json:
    return vars(use) | {
        "version": "?" if isinstance(state, OpsError) else state["Version"],
        "reserved": use.reservation,
        "p95_ms": None if use.p95_ms is None else round(use.p95_ms),
        "most_at_once": use.most_at_once or None,
    }


def panels(
    points: Frame,
    within: Window,
    uses: Sequence[Use],
    measures: Sequence[str] = tuple(MEASURES),
) -> list[Panel]:
    """A picture for each measure, a line for each function that has any data.

    Reservations are drawn as what they cap.
    """
    caps = [
        (f"cap of {use.function}:", float(use.reserved)) for use in uses if use.reserved is not None
    ]
    made = []
    for metric in measures:
        _, title, unit = MEASURES[metric]
        lines = [
            Line(str(name), of.set_index("time")["value"])
            for name, of in points[points["metric"] == metric].groupby("function", sort=False)
        ]
        limits = caps if metric == "ConcurrentExecutions" else []
        made.append(Panel(title.format(period(within) // 60), unit, lines, limits))
    return made
