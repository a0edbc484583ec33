"""Latency: how long requests to a function take, and what makes them slow, told apart by what the log and metrics say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.checks.plots import Line, Panel, Plotted
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.findings import Finding, Findings
from opslib.core.reads import functions, metrics
from opslib.core.tables import frame
from opslib.core.text import count
from opslib.core.times import Window, window
from opslib.functions import capacities, invocations
from opslib.functions import requests as _requests
from opslib.functions.requests import Requests
from opslib.functions.stress import Stress, read

if TYPE_CHECKING:
    import pandas as pd

COLD, TOO_LOW = "cold-start", "timeout-too-low"  # the causes that findings name
ROUTES = {
    "route": "str",
    "slow": "int64",
    "share_percent": "float64",
    "median_ms": "float64",
    "longest_ms": "float64",
    "with_start": "int64",
}
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
    """Durations, initialisations and time-outs of a function beside its database's metrics. Evidence: ROUTES.

    `slow_ms`: what is slow; 0: `warn` of the target's key metric for this function's Duration, else half its time-out:
    how long a worker may take nobody but its owner knows.
    """
    within = window(ops, minutes, since, until)
    config = functions.live(ops, function)
    slow = slow_ms or _slow(ops, function) or 500.0 * config["Timeout"]
    requests, points, stress = ops.gather(
        partial(_requests.read, ops, function, within, slow, 1000.0 * config["Timeout"]),
        partial(invocations.tried, partial(_durations, ops, function, within)),
        partial(read, ops, within),
    )
    reasons = [_starts(function, requests), _stopped(ops, function, config, requests, stress)]
    found = [
        _taken(ops, function, requests, within, any(f.status != "ok" for f in reasons)),
        *reasons,
    ]
    panels = _panels(function, requests, points, stress)
    note = f"{within}. Slow: over {slow:,.0f} ms."
    if requests.count and "api" in ops.target.facts and not any(f.status != "ok" for f in found):
        note += " When callers wait all the same, it is before the function: health/quick measures from outside."
    note += (
        f" {capacities.gateway_note()}"
        if requests.time_out and requests.shape == "cut" and "api" in ops.target.facts
        else ""
    )
    return Plotted([*found, *stress.findings], routes(requests), note, panels, within)


def _slow(ops: Connection, function: str) -> float:
    """What the target's file calls slow for a function, in ms; 0 when it does not say."""
    name = ops.target["functions"][function]["name"]
    known = ("AWS/Lambda", "Duration", {"FunctionName": name})
    listed = metrics.described(ops) if "metrics" in ops.target.facts else []
    return next(
        (m.warn or 0.0 for m in listed if (m.namespace, m.name, dict(m.dimensions)) == known), 0.0
    )


def routes(requests: Requests) -> pd.DataFrame:
    """Slow requests by route, the most frequent first. Columns: ROUTES."""
    rows = [
        {
            "route": name or "(its line does not say)",
            "slow": len(these),
            "share_percent": round(100 * len(these) / len(requests.slow), 1),
            "median_ms": round(these["total_ms"].median()),
            "longest_ms": round(these["total_ms"].max()),
            "with_start": int((these["init_ms"] > 0).sum()),
        }
        for name, these in requests.slow.groupby("route")
    ]
    return frame(sorted(rows, key=lambda row: -row["slow"]), ROUTES)


def _waits(ops: Connection) -> str:
    """Where that is looked at which the function waits for."""
    return "databases/health" if "database" in ops.target.facts else "health/deep"


def _taken(
    ops: Connection, function: str, requests: Requests, within: Window, explained: bool
) -> Finding:
    """How long requests took; the reason is another finding's (`explained`), or not known here."""
    question, rule = (
        f"how long requests to {function} take",
        f"p95 at most {requests.slow_ms:,.0f} ms",
    )
    if not requests.count:
        return Finding("unknown", question, f"no request ended, {within}", rule, _SOURCE)
    seen = f"{count(requests.count, 'request')}: half within {requests.p50_ms:,.0f} ms, p95 {requests.p95_ms:,.0f} ms, longest "
    seen += f"{requests.longest_ms:,.0f} ms, {len(requests.slow) + requests.timeouts} slow"
    if not requests.are_slow:
        few = (
            f"; fewer than {_requests.FEWEST} slow ones prove nothing"
            if requests.p95_ms > requests.slow_ms
            else ""
        )
        return Finding("ok", question, seen + few, rule, _SOURCE)
    most = routes(requests)
    where = (
        f"; {most['share_percent'].iloc[0]:g} % of them {most['route'].iloc[0]}"
        if len(most)
        else ""
    )
    return Finding(
        "warn", question, seen + where, rule, _SOURCE, next="" if explained else _waits(ops)
    )


def _starts(function: str, requests: Requests) -> Finding:
    """Whether requests are slow because they wait for a new environment."""
    question = f"initialisations of {function}"
    rule = f"at most {100 * _requests.STARTS_SHARE:g} % of requests, or not what makes them slow"
    share = 100 * requests.starts / requests.count if requests.count else 0.0
    slow = count(len(requests.slow) + requests.timeouts, "slow one")
    seen = f"{requests.starts} of {count(requests.count, 'request')} began with one ({share:.2g} %); of {slow}, "
    seen += f"{requests.slow_by_start} would not be slow without it"
    if not requests.start_cold:
        return Finding("ok", question, seen, rule, _SOURCE)
    init = requests.slow[requests.slow["init_ms"] > 0]["init_ms"].median()
    seen += f" ({init:,.0f} ms). More memory (more CPU) or less code at the start makes it shorter; provisioned concurrency avoids it"
    return Finding("warn", question, seen, rule, _SOURCE, COLD, "functions/scale")


def _stopped(
    ops: Connection, function: str, config: dict[str, Any], requests: Requests, stress: Stress
) -> Finding:
    """Whether requests are stopped by the time-out, and whether it or what they wait for is to blame."""
    limit, question = config["Timeout"], f"time-outs of {function}"
    rule = f"fewer than {_requests.TIMEOUTS} stopped, or 1 in 100"
    seen = f"{count(requests.timeouts, 'request')} stopped at {limit} s"
    found = partial(
        Finding,
        check=question,
        threshold=rule,
        source=f"{_SOURCE}; lambda GetFunctionConfiguration",
    )
    if not requests.time_out:
        return found("ok", seen=seen)
    waits = _waits(ops)
    if requests.shape == "hang":
        seen += f", and hardly any took between {requests.slow_ms / 1000:g} s and that: they wait for something that does not "
        return found("critical", seen=f"{seen}answer. More time would not help", next=waits)
    described = ops.target["functions"][function].get("timeout_seconds", limit)
    if limit < described:
        seen += f", and the target's file says {described} s: somebody lowered it"
        return found("critical", seen=seen, next="functions/configuration")
    if requests.shape != "cut":
        return found(
            "critical", seen=f"{seen}; how long the others took does not tell why", next=waits
        )
    near = int((requests.slow["duration_ms"] > 500 * limit).sum())
    seen += f", and {near} more took over half of that: a tail that is cut"
    if not stress.well:
        seen += "; but the database is not well, or not known to be: that first"
        return found("critical", seen=seen, next=waits)
    seen += f", while the database is well. {_limits(ops, limit)}"
    return found("critical", seen=seen, cause=TOO_LOW, next="functions/scale")


def _limits(ops: Connection, seconds: int) -> str:
    """Whether the time-out can be raised, for whom, and what is done else."""
    behind = "api" in ops.target.facts
    if not behind or seconds < capacities.GATEWAY_SECONDS[0]:
        return "Raise it" + (
            ", for callers of the API up to what API Gateway waits" if behind else ""
        )
    return (
        f"API Gateway waits no longer than these {seconds} s: for its callers make the work shorter (an index, pages, more "
        "memory), or answer at once and go on behind a queue; a higher time-out helps who calls otherwise"
    )


def _durations(ops: Connection, function: str, within: Window) -> pd.DataFrame:
    """Lambda's Duration: p50, p95 and highest (GetMetricData). Columns: `metrics.SERIES`."""
    of = {"FunctionName": ops.target["functions"][function]["name"]}
    stats = {"p50": "p50", "p95": "p95", "longest": "Maximum"}
    return metrics.query(
        ops, [metrics.asked(id, "AWS/Lambda", "Duration", of, stats[id]) for id in stats], within
    )


def _panels(
    function: str, requests: Requests, points: pd.DataFrame | OpsError, stress: Stress
) -> list[Panel]:
    """Lambda's durations, what callers wait for, initialisations, the database's read latency: over the same time."""
    slow, limit = ("slow", requests.slow_ms), ("time-out", requests.limit_ms)
    measured = [] if isinstance(points, OpsError) else points.groupby("id", sort=False)
    lines = [Line(str(id), list(of["time"]), list(of["value"])) for id, of in measured]
    times, series = list(requests.series["time"]), requests.series
    waits = [Line(key, times, list(series[f"{key}_ms"])) for key in ("p50", "p95")]
    starts = [
        Line("requests", times, list(series["requests"])),
        Line("with an initialisation", times, list(series["starts"])),
    ]
    return [
        Panel(f"Duration of {function}, without initialisation", "ms", lines, [slow, limit]),
        Panel("What callers wait for: initialisation and duration", "ms", waits, [slow]),
        Panel("Requests per 5 min, and those that began cold", "count", starts),
        *stress.panels,
    ]
