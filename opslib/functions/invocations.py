"""Invocations of the functions.

How many, how they ended, how long they took, how many ran at once.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Line,
    NotFound,
    OpsError,
    Panel,
    Plotted,
    Question,
    Window,
    check,
    clock,
    count,
    dtypes,
    frame,
    logs,
    number,
    tried,
    unread,
    window,
)
from opslib.core.checks.causes import THROTTLED
from opslib.core.reads.functions import (
    MEASURES,
    Function,
    named,
    period,
    read_points,
)
from opslib.functions.states import judge_state

FUNCTIONS = dtypes("""
    function     str
    version      str
    reserved     str
    invocations  int64
    errors       int64
    throttles    int64
    p95_ms       float64
    most_at_once float64
""")
UNRESERVED = 100  # what must stay for functions without a reservation (AWS)
NONE = "none"
_RECENT = timedelta(minutes=15)  # what counts as now
_MOST_PER_100, _FEWEST = 5.0, 5
_MOST_FAIL, _FEW_RUNS = 50.0, 3  # of a function that seldom runs
_NEAR = 850  # ms of each second of the time-out
_MANY = 20  # in a quarter of an hour, which the whole window dilutes
_SHARED = "no reservation, it shares the rest"


class Use(NamedTuple):
    """A function's invocations and concurrency over a window.

    `reserved`: so many are kept for it, and it never runs more often at once; None when there is no
    reservation, the error when that could not be read.
    """

    function: str
    reserved: int | OpsError | None
    throttles: int
    invocations: int
    most_at_once: int
    since: str = ""  # when the first was throttled
    last: str = ""  # and the last
    still: bool = False  # that is a matter of minutes
    errors: int = 0
    p95_ms: float | None = None
    usual_ms: float = 0  # of the last periods
    worst: tuple[int, int] = (0, 0)  # errors and invocations of the worst quarter of an hour
    worst_at: str = ""  # when that began


@check("Are the functions well?")
def check_functions(
    ops: Connection, function: str = logs.ALL, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """State, invocations and throttling of functions (`all`, or names with commas).

    Evidence: FUNCTIONS. A function that was not invoked is no error: nothing called it.
    """
    within, names = window(ops, minutes, since, until), named(ops, function)
    points, limits = read_points(ops, names, within), tried(partial(account, ops))

    def look(name: str) -> tuple[Use, Json, list[Finding]]:
        known, mine = Function(ops, name), points[points["function"] == name]
        state, latest = tried(known.live), tried(known.configuration)
        use = used(name, mine, tried(known.reserved), within)
        judged = [judge_state(name, state, latest, ops.now()), _invoked(use, state, within)]
        row = use._asdict() | {
            "version": "?" if isinstance(state, OpsError) else state["Version"],
            "reserved": _reservation(use),
            "p95_ms": None if use.p95_ms is None else round(use.p95_ms),
            "most_at_once": use.most_at_once or None,
        }
        return use, row, [*judged, judge(use, limits, within)]

    looked = ops.each(look, names, "state of {}").values()
    uses, rows = [use for use, *_ in looked], [row for _, row, _ in looked]
    found = [finding for *_, judged in looked for finding in judged]
    note = f"{within}. {account_note(limits)}"
    return Plotted(found, frame(rows, FUNCTIONS), note, panels(points, within, uses), within)


def used(function: str, points: Frame, reserved: Any, within: Window) -> Use:
    """What a function's points say: how many ran, how many at once, how many could not."""
    wide = points.pivot(index="time", columns="metric", values="value")
    wide = wide.reindex(columns=list(MEASURES))
    total, most = wide.sum(), wide.max().astype(object).where(wide.notna().any(), None)
    throttled = wide.index[wide["Throttles"] > 0]
    quarters = wide[["Errors", "Invocations"]].resample("15min").sum().astype(int)
    bad = quarters.loc[quarters["Errors"].idxmax()] if len(quarters) else None
    return Use(
        function,
        reserved,
        throttles=int(total["Throttles"]),
        invocations=int(total["Invocations"]),
        most_at_once=int(most["ConcurrentExecutions"] or 0),
        since=clock(throttled[0], within.end) if len(throttled) else "",
        last=clock(throttled[-1], within.end) if len(throttled) else "",
        still=bool((throttled >= within.end - _RECENT).any()),
        errors=int(total["Errors"]),
        p95_ms=most["Duration"],
        usual_ms=wide["Duration"].dropna().tail(6).median(),
        worst=(0, 0) if bad is None else (int(bad["Errors"]), int(bad["Invocations"])),
        worst_at="" if bad is None else clock(bad.name, within.end),
    )


def _invoked(use: Use, state: Any, within: Window) -> Finding:
    asked = Question(
        f"invocations of {use.function}",
        f"at most {_MOST_PER_100:g} errors in 100",
        "GetMetricData AWS/Lambda Invocations, Errors, Duration",
    )
    if not use.invocations and isinstance(state, NotFound):
        return asked.unknown("none: it, or its alias, is not there")
    if not use.invocations:
        seen = f"none in {number(within.minutes)} min: nothing called it, "
        return asked.ok(f"{seen}which is no error by itself")
    share = 100 * use.errors / use.invocations
    seen = f"{count(use.invocations, 'invocation')}, {count(use.errors, 'error')} "
    seen += f"({number(share, '%')})"
    seen += f", p95 at most {use.p95_ms:,.0f} ms" if use.p95_ms is not None else ""
    status = judged_share(use.errors, use.invocations)
    errors, invocations = use.worst
    outage = judged_share(errors, invocations)
    if status == "ok" and (outage == "critical" or (outage == "warn" and errors >= _MANY)):
        seen += f"; but {errors} of {invocations} in the 15 min from {use.worst_at}"
        status = "warn"
    if (
        status == "ok"
        and isinstance(state, dict)
        and use.usual_ms > _NEAR * state.get("Timeout", 900)
    ):
        seen += f"; the last took {use.usual_ms:,.0f} ms, and are ended at {state['Timeout']} s"
        return asked.warn(seen, next="functions/latency")
    return asked.judged(status == "ok", seen, otherwise=status, next="logs/errors")


def judged_share(errors: int, invocations: int) -> str:
    """Few errors count when they are most of what ran, many when they are more than five in 100."""
    share = 100 * errors / max(1, invocations)
    if share >= _MOST_FAIL and errors >= _FEW_RUNS:
        return "critical"
    well = not errors or (share < _MOST_FAIL and (share <= _MOST_PER_100 or errors < _FEWEST))
    return "ok" if well else "warn"


def account(ops: Connection) -> Json:
    """What the account allows (Lambda GetAccountSettings): executions at once, and unreserved."""
    limits: Json = ops.call("lambda", "get_account_settings")["AccountLimit"]
    return limits


def account_note(found: Json | OpsError) -> str:
    if isinstance(found, OpsError):
        return f"What the account allows could not be read: {found}"
    return (
        f"The account runs at most {found['ConcurrentExecutions']:,} at once; "
        f"{found['UnreservedConcurrentExecutions']:,} of them are reserved for no function and "
        f"shared ({UNRESERVED} must stay so)."
    )


def judge(use: Use, account: Json | OpsError, within: Window) -> Finding:
    """Whether invocations were turned away, and whether the function's reservation explains it."""
    asked = Question(
        f"throttles of {use.function}",
        "none",
        "GetMetricData AWS/Lambda Throttles; lambda GetFunctionConcurrency",
    )
    follows, most, kept = "functions/scale", use.most_at_once, use.reserved
    at_most = f", at most {count(most, 'execution')} at once" if most else ""
    seen = f"none in {number(within.minutes)} min{at_most}"
    if use.throttles:
        seen = f"{count(use.throttles, 'throttle')} beside {count(use.invocations, 'invocation')}, "
        seen += f"since {use.since}, the last at {use.last}"
    if isinstance(kept, OpsError):
        cause = unread(asked, kept).cause
        return asked.unknown(f"{seen}; its reservation: {kept}", cause=cause)
    if kept == 0:
        seen += ": 0 are reserved for it, so it cannot run at all"
        return asked.critical(seen, cause=THROTTLED, next=follows)
    if not use.throttles:
        shared = f"{kept} reserved, which is also its cap" if kept else _SHARED
        return asked.ok(f"{seen}; {shared}", cause=THROTTLED)
    status = "critical" if use.still else "warn"
    if kept and most >= kept:
        seen += f": at most {kept} may run at once, by its own reservation, and {most} did"
        return asked.answer(status, seen, cause=THROTTLED, next=follows)
    pool = "the account's limit"
    if not isinstance(account, OpsError):
        pool = f"the {account['UnreservedConcurrentExecutions']:,} that all share"
    seen += (
        f"{at_most}; its own reservation ({_reservation(use)}), if it was that then, does not "
        f"explain it: the other functions took {pool}, or a burst asked for more than 1,000 new "
        "ones in 10 s"
    )
    return asked.answer(status, seen, next=follows)


def _reservation(use: Use) -> str:
    if isinstance(use.reserved, OpsError):
        return "?"
    return NONE if use.reserved is None else str(use.reserved)


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
        (f"cap of {use.function}:", float(use.reserved))
        for use in uses
        if isinstance(use.reserved, int)
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
