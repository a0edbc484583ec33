"""Whether the target's database was well over a window, as its key metrics have it.

Evidence beside other findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    OpsError,
    Panel,
    Question,
    Window,
    clock,
    number,
    unread,
)
from opslib.core.reads import metrics

_ASKED = Question("the database meanwhile", "none beyond its warning", "GetMetricData AWS/RDS")


@dataclass(frozen=True)
class Stress:
    """`well`: every key metric of the database was read, and none was beyond its warning.

    Also without a database.
    """

    well: bool
    findings: Sequence[Finding]
    panels: Sequence[Panel]


def read_stress(ops: Connection, within: Window) -> Stress:
    """The database's key metrics over a window (GetMetricData); a picture of its read latency."""
    facts = ops.target.facts
    keys = metrics.metric_keys(ops) if "database" in facts else []
    if not keys:
        return Stress("database" not in facts, [], [])
    try:
        points = metrics.read(ops, keys, within=within)
    except OpsError as exc:
        return Stress(False, [unread(_ASKED.words, exc)], [])
    described = {
        metric: points[points["metric"] == metric.key] for metric in metrics.described(ops, keys)
    }
    found = Findings(_judged(metric, of, within) for metric, of in described.items())
    panels = [metrics.panel(m, of) for m, of in described.items() if m.metric == "ReadLatency"]
    return Stress(not found.troubles, [_together(found)], panels)


def _judged(metric: metrics.Metric, points: Frame, within: Window) -> Finding:
    asked = Question(metric.title, metrics.thresholds(metric))
    if points.empty:
        return asked.answer("unknown", f"{metric.title}: no data")
    values = points.set_index("time")["value"]
    at = values.idxmin() if metric.below else values.idxmax()
    seen = f"{metric.title} {'down' if metric.below else 'up'} to "
    seen += f"{number(values[at], metric.unit)} at {clock(at, within.end)}"
    return asked.answer(metric.status(values[at]), seen)


def _together(found: Findings) -> Finding:
    """One finding of all: those that are not well, or what was looked at.

    It is evidence here: never more than a warning.
    """
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
