"""Whether the target's database was well over a window, as its key metrics have it.

Evidence beside other findings.
"""

from __future__ import annotations

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    OpsError,
    Question,
    Window,
    clock,
    number,
    unread,
)
from opslib.core.reads import metrics

_ASKED = Question("the database meanwhile", "none beyond its warning", "GetMetricData AWS/RDS")


def read_stress(ops: Connection, within: Window) -> Finding | None:
    """The database's key metrics over a window (GetMetricData); None where none is described.

    It is evidence here: never more than a warning.
    """
    keys = metrics.metric_keys(ops) if "database" in ops.target.facts else []
    if not keys:
        return None
    try:
        points = metrics.read(ops, keys, within=within)
    except OpsError as exc:
        return unread(_ASKED.words, exc)
    described = metrics.described(ops, keys)
    found = Findings(_judged(m, points[points["metric"] == m.key], within) for m in described)
    if not found.troubles:
        seen = ", ".join(f.check for f in found)
        return _ASKED.answer("ok", f"well: {seen} within their thresholds all the time")
    known = [f for f in found if f.status in ("warn", "critical")]
    bad = known or found.troubles
    return _ASKED.answer(
        "warn" if known else "unknown",
        "; ".join(f.seen for f in bad),
        rule="; ".join(f.threshold for f in bad),
        next="databases/health",
    )


def _judged(metric: metrics.Metric, points: Frame, within: Window) -> Finding:
    asked = Question(metric.title, metrics.thresholds(metric))
    if points.empty:
        return asked.answer("unknown", f"{metric.title}: no data")
    values = points.set_index("time")["value"]
    at = values.idxmin() if metric.below else values.idxmax()
    seen = f"{metric.title} {'down' if metric.below else 'up'} to "
    seen += f"{number(values[at], metric.unit)} at {clock(at, within.end)}"
    return asked.answer(metric.status(values[at]), seen)
