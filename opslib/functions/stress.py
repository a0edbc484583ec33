"""Whether the target's database was well over a window, as its key metrics have it: evidence beside other findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opslib.core.checks.checks import unread
from opslib.core.checks.plots import Panel
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.findings import Finding
from opslib.core.reads import metrics
from opslib.core.text import number
from opslib.core.times import Window, clock

if TYPE_CHECKING:
    import pandas as pd

_QUESTION = "the database meanwhile"


@dataclass(frozen=True)
class Stress:
    """`well`: every key metric of the database was read, and none was beyond its warning; also without a database."""

    well: bool
    findings: Sequence[Finding]
    panels: Sequence[Panel]


def read(ops: Connection, within: Window) -> Stress:
    """The database's key metrics over a window (GetMetricData); a picture of its read latency."""
    keys = (
        metrics.metric_keys(ops)
        if "database" in ops.target.facts and "metrics" in ops.target.facts
        else []
    )
    if not keys:
        return Stress("database" not in ops.target.facts, [], [])
    try:
        points = metrics.read(ops, keys, within=within)
    except OpsError as exc:
        return Stress(False, [unread(_QUESTION, exc)], [])
    described = metrics.described(ops, keys)
    found = [
        _judged(metric, points[points["metric"] == metric.key], within) for metric in described
    ]
    panels = [
        metrics.panel(m, points[points["metric"] == m.key])
        for m in described
        if m.name == "ReadLatency"
    ]
    return Stress(all(f.status == "ok" for f in found), [_together(found)], panels)


def _judged(metric: metrics.Metric, points: pd.DataFrame, within: Window) -> Finding:
    source, rule = f"GetMetricData {metric.namespace} {metric.name}", metrics.thresholds(metric)
    if points.empty:
        return Finding("unknown", metric.title, f"{metric.title}: no data", rule, source)
    worst = points["value"].idxmin() if metric.below else points["value"].idxmax()
    value, at = points.loc[worst, "value"], clock(points.loc[worst, "time"], within.end)
    seen = (
        f"{metric.title} {'down' if metric.below else 'up'} to {number(value, metric.unit)} at {at}"
    )
    return Finding(metric.status(value), metric.title, seen, rule, source)


def _together(found: Sequence[Finding]) -> Finding:
    """One finding of all: those that are not well, or what was looked at. It is evidence here: never more than a warning."""
    bad = [f for f in found if f.status in ("warn", "critical")] or [
        f for f in found if f.status == "unknown"
    ]
    if not bad:
        seen = f"well: {', '.join(f.check for f in found)} within their thresholds all the time"
        return Finding("ok", _QUESTION, seen, "none beyond its warning", "GetMetricData AWS/RDS")
    status = "unknown" if bad[0].status == "unknown" else "warn"
    seen, rules = "; ".join(f.seen for f in bad), "; ".join(f.threshold for f in bad)
    return Finding(status, _QUESTION, seen, rules, "GetMetricData AWS/RDS", next="databases/health")
