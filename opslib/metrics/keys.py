"""TODO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.checks.plots import Plotted
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding, Findings
from opslib.core.reads.metrics import RECENT_MINUTES, Metric, described, panel, read, thresholds
from opslib.core.tables import UTC_TIME, frame
from opslib.core.text import number
from opslib.core.times import Window, clock, window

if TYPE_CHECKING:
    import pandas as pd


SUMMARY = {
    "metric": "str",
    "unit": "str",
    "now": "float64",
    "highest": "float64",
    "lowest": "float64",
    "worst_at": UTC_TIME,
    "warn": "float64",
    "critical": "float64",
    "points": "int64",
}


# What to look at when a metric of this service is beyond its threshold.
_FOLLOWS = {
    ("AWS/Lambda", "Errors"): "logs/errors",
    ("AWS/Lambda", "Duration"): "functions/latency",
    ("AWS/Lambda", "Throttles"): "functions/health",
    ("AWS/ApiGateway", ""): "health/deep",
    ("AWS/RDS", "FreeStorageSpace"): "databases/storage",
    ("AWS/RDS", ""): "databases/health",
    ("AWS/SQS", ""): "queues/dead-letters",
}


@check("Are the key metrics within their thresholds?")
def check_metrics(ops: Connection, keys: Sequence[str] = (), hours: float = 24) -> Findings:
    """Each key metric of the target: now, and the worst of the window. Evidence: SUMMARY.

    Beyond a threshold in the last 15 minutes counts as now; beyond the critical one earlier is a warning.
    """
    within = window(ops, hours * 60)
    points = read(ops, keys, within=within)
    summaries, found, panels = [], [], []
    for metric in described(ops, keys):
        of_it = points[points["metric"] == metric.key]
        summaries.append(_summary(metric, of_it, within))
        found.append(_finding(metric, of_it, summaries[-1], within))
        panels.append(panel(metric, of_it))
    return Plotted(found, frame(map(_scaled, summaries), SUMMARY), f"{within}.", panels, within)


def _scaled(said: dict[str, Any]) -> dict[str, Any]:
    """Bytes are read in GB."""
    if said["unit"] != "bytes":
        return said
    return {k: v / 1e9 if isinstance(v, float) else v for k, v in said.items()} | {"unit": "GB"}


def _summary(metric: Metric, points: pd.DataFrame, within: Window) -> dict[str, Any]:
    said = {
        "metric": metric.key,
        "unit": metric.unit,
        "warn": metric.warn,
        "critical": metric.critical,
        "points": len(points),
    }
    if points.empty:
        return said
    values = points["value"]
    worst = values.idxmin() if metric.below else values.idxmax()
    return said | {
        "now": values.iloc[-1],
        "highest": values.max(),
        "lowest": values.min(),
        "worst_at": points.loc[worst, "time"],
    }


def _finding(metric: Metric, points: pd.DataFrame, said: dict[str, Any], within: Window) -> Finding:
    threshold = thresholds(metric)
    source = f"GetMetricData {metric.namespace} {metric.name} {metric.statistic}"
    if points.empty:
        dimensions = ", ".join(f"{k}={v}" for k, v in metric.dimensions)
        seen = f"no data, {within}: nothing happened, or {dimensions or 'its name'} is not its name"
        return Finding("unknown", metric.title, seen, threshold, source)
    worst = said["lowest"] if metric.below else said["highest"]
    status = _status(metric, points, worst)
    seen = f"now {number(said['now'], metric.unit)}, {'lowest' if metric.below else 'highest'} {number(worst, metric.unit)}"
    seen += f" at {clock(said['worst_at'], within.end)}"
    follows = _FOLLOWS.get(
        (metric.namespace, metric.name), _FOLLOWS.get((metric.namespace, ""), "metrics/dashboard")
    )
    return Finding(
        status, metric.title, seen, threshold, source, next="" if status == "ok" else follows
    )


def _status(metric: Metric, points: pd.DataFrame, worst: float) -> str:
    import pandas as pd

    recent = points[
        points["time"] >= points["time"].iloc[-1] - pd.Timedelta(minutes=RECENT_MINUTES - 5)
    ]
    now = recent["value"].min() if metric.below else recent["value"].max()
    status = metric.status(now)
    return "warn" if status == "ok" and metric.beyond(worst, metric.critical) else status
