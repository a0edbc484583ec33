"""Latency.

How long requests to a function take, and what makes them slow, told apart by what the log and
metrics say.
"""

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Function,
    Line,
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
    metrics,
    number,
    unread,
    window,
)
from opslib.functions.capacities import GATEWAY_NOTE, GATEWAY_SECONDS
from opslib.functions.requests import FEWEST, STARTS_SHARE, TIMEOUTS, Requests, read_requests

COLD, TOO_LOW = "cold-start", "timeout-too-low"  # the causes that findings name
ROUTES = dtypes("""
    route         str
    slow          int64
    share_percent float64
    median_ms     float64
    longest_ms    float64
    with_start    int64
""")
_STRESS = Question("the database meanwhile", "none beyond its warning", "GetMetricData AWS/RDS")
_SOURCE = "Logs Insights, REPORT lines"


@check("Are requests slow, and why?")
def check_latency(
    ops: Connection,
    function: str,
    minutes: float = 60,
    since: str = "",
    until: str = "",
    slow_ms: float = 0,
) -> Findings:
    """Durations, initialisations and time-outs of a function beside its database's metrics.

    Evidence: ROUTES. `slow_ms`: what is slow; 0: `warn` of the target's key metric for this
    function's Duration, else half its time-out: how long a worker may take nobody but its owner
    knows.
    """
    known, within = Function(ops, function), window(ops, minutes, since, until)
    limit = known.live()["Timeout"]
    slow = (
        slow_ms or metrics.slow_from(ops, "Duration", {"FunctionName": known.name}) or 500.0 * limit
    )
    requests = read_requests(ops, function, within, slow, 1000.0 * limit)
    stress = _stress(ops, within)
    well = stress.status == "ok" if stress else "database" not in ops.target.facts
    evidence = routes(requests)
    reasons = Findings([_starts(function, requests), _stopped(known, limit, requests, well)])
    taken = _taken(known, requests, within, evidence, explained=bool(reasons.troubles))
    note = f"{within}. Slow: over {slow:,.0f} ms."
    if "api" in ops.target.facts:
        if requests.ended and not reasons.troubles and taken.status == "ok":
            note += " When callers wait all the same, it is before the function: health/quick "
            note += "measures from outside."
        if requests.time_out and requests.shape == "cut":
            note += f" {GATEWAY_NOTE}"
    found = [taken, *reasons, *([stress] if stress else [])]
    return Plotted(found, evidence, note, _panels(requests), within)


def _stress(ops: Connection, within: Window) -> Finding | None:
    """The database's key metrics over a window (GetMetricData); None where none is described.

    It is evidence here: never more than a warning.
    """
    keys = metrics.metric_keys(ops) if "database" in ops.target.facts else []
    if not keys:
        return None
    try:
        points = metrics.read(ops, within, keys)
    except OpsError as exc:
        return unread(_STRESS, exc)
    described = metrics.described(ops, keys)
    found = Findings(_beyond(m, points[points["metric"] == m.key], within) for m in described)
    if not found.troubles:
        seen = ", ".join(f.check for f in found)
        return _STRESS.ok(f"well: {seen} within their thresholds all the time")
    known = [f for f in found if f.status in ("warn", "critical")]
    bad = known or found.troubles
    return _STRESS.answer(
        "warn" if known else "unknown",
        "; ".join(f.seen for f in bad),
        rule="; ".join(f.threshold for f in bad),
        next="databases/health",
    )


def _beyond(metric: metrics.Metric, points: Frame, within: Window) -> Finding:
    asked = Question(metric.title, metrics.thresholds(metric))
    if points.empty:
        return asked.unknown(f"{metric.title}: no data")
    values = points.set_index("time")["value"]
    at = values.idxmin() if metric.below else values.idxmax()
    seen = f"{metric.title} {'down' if metric.below else 'up'} to "
    seen += f"{number(values[at], metric.unit)} at {clock(at, within.end)}"
    return asked.answer(metric.status(values[at]), seen)


def routes(requests: Requests) -> Frame:
    """Slow requests by route, the most frequent first. Columns: ROUTES."""
    rows = [
        (
            name or "(its line does not say)",
            len(these),
            round(100 * len(these) / len(requests.slow), 1),
            round(these["total_ms"].median()),
            round(these["total_ms"].max()),
            (these["init_ms"] > 0).sum(),
        )
        for name, these in requests.slow.groupby("route")
    ]
    found = frame(rows, ROUTES)
    return found.sort_values("slow", ascending=False, kind="stable", ignore_index=True)


def _waits(function: Function) -> str:
    """Where that is looked at which the function waits for."""
    return "databases/health" if "database" in function.ops.target.facts else "health/deep"


def _taken(
    function: Function, requests: Requests, within: Window, routes: Frame, explained: bool
) -> Finding:
    """How long requests took; the reason is another finding's (`explained`), or not known here."""
    rule = f"p95 at most {requests.slow_ms:,.0f} ms"
    asked = Question(f"how long requests to {function.key} take", rule, _SOURCE)
    if not requests.ended:
        return asked.unknown(f"no request ended, {within}")
    seen = f"{count(requests.ended, 'request')}: half within {requests.p50_ms:,.0f} ms, "
    seen += f"p95 {requests.p95_ms:,.0f} ms, longest {requests.longest_ms:,.0f} ms, "
    seen += f"{requests.all_slow} slow"
    if requests.are_slow:
        for most in routes.head(1).itertuples():
            seen += f"; {most.share_percent:g} % of them {most.route}"
        return asked.warn(seen, next="" if explained else _waits(function))
    if requests.p95_ms > requests.slow_ms:
        seen += f"; fewer than {FEWEST} slow ones prove nothing"
    return asked.ok(seen)


def _starts(function: str, requests: Requests) -> Finding:
    """Whether requests are slow because they wait for a new environment."""
    rule = f"at most {100 * STARTS_SHARE:g} % of requests, or not what makes them slow"
    asked = Question(f"initialisations of {function}", rule, _SOURCE)
    share = 100 * requests.starts / max(requests.ended, 1)
    seen = f"{requests.starts} of {count(requests.ended, 'request')} began with one "
    seen += f"({number(share, '%')})"
    seen += f"; of {count(requests.all_slow, 'slow one')}, "
    seen += f"{requests.slow_by_start} would not be slow without it"
    if not requests.start_cold:
        return asked.ok(seen, cause=COLD)
    init = requests.slow[requests.slow["init_ms"] > 0]["init_ms"].median()
    seen += (
        f" ({init:,.0f} ms). More memory (more CPU) or less code at the start makes it shorter; "
    )
    seen += "provisioned concurrency avoids it"
    return asked.warn(seen, cause=COLD, next="functions/scale")


def _stopped(function: Function, limit: int, requests: Requests, well: bool) -> Finding:
    """Whether requests are stopped by the time-out; it or what they wait for is to blame.

    `well`: the database is known to be.
    """
    asked = Question(
        f"time-outs of {function.key}",
        f"fewer than {TIMEOUTS} stopped, or 1 in 100",
        f"{_SOURCE}; lambda GetFunctionConfiguration",
    )
    seen = f"{count(requests.timeouts, 'request')} stopped at {limit} s"
    if not requests.time_out:
        return asked.ok(seen, cause=TOO_LOW)
    cause, follows = "", _waits(function)
    described = function.facts.get("timeout_seconds", limit)
    if requests.shape == "hang":
        seen += f", and hardly any took between {requests.slow_ms / 1000:g} s and that: "
        seen += "they wait for something that does not answer. More time would not help"
    elif limit < described:
        seen += f", and the target's file says {described} s: somebody lowered it"
        follows = "functions/configuration"
    elif requests.shape != "cut":
        seen += "; how long the others took does not tell why"
    else:
        near = (requests.slow["duration_ms"] > 500 * limit).sum()
        seen += f", and {near} more took over half of that: a tail that is cut"
        if well:
            seen += f", while the database is well. {_limits(function, limit)}"
            cause, follows = TOO_LOW, "functions/scale"
        else:
            seen += "; but the database is not well, or not known to be: that first"
    return asked.critical(seen, cause=cause, next=follows)


def _limits(function: Function, seconds: int) -> str:
    """Whether the time-out can be raised, for whom, and what is done else."""
    if "api" not in function.ops.target.facts:
        return "Raise it"
    if seconds < GATEWAY_SECONDS:
        return "Raise it, for callers of the API up to what API Gateway waits"
    return (
        f"API Gateway waits no longer than these {seconds} s: for its callers make the work "
        "shorter (an index, pages, more memory), or answer at once and go on behind a queue; "
        "a higher time-out helps who calls otherwise"
    )


def _panels(requests: Requests) -> list[Panel]:
    """What callers wait for, and how many requests began with an initialisation."""
    limits = [("slow", requests.slow_ms), ("time-out", requests.limit_ms)]
    series = requests.series.set_index("time")
    waits, starts = (
        [Line(name, series[name]) for name in names]
        for names in (("p50_ms", "p95_ms"), ("requests", "starts"))
    )
    return [
        Panel("What callers wait for: initialisation and duration", "ms", waits, limits),
        Panel("Requests per 5 min, and those that began cold", "count", starts),
    ]
