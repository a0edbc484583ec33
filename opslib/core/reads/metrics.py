"""Metrics: a page of them in one GetMetricData, tidy.

And the target's key metrics against their thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain

from opslib.core.checks.plots import Line, Panel
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, OpsError, unknown_name
from opslib.core.tables import UTC_TIME, Frame, Json, frame
from opslib.core.text import number
from opslib.core.times import Window, window

POINTS = {"time": UTC_TIME, "metric": "str", "value": "float64"}
PAGE = 500  # queries in one GetMetricData
RECENT_MINUTES = 15  # what counts as now: three periods, since the last one may be under way


@dataclass(frozen=True)
class Metric:
    """A key metric of the target, as its file describes it.

    `below`: it is bad when it is too low.
    """

    key: str
    title: str
    namespace: str
    metric: str
    statistic: str
    dimensions: Mapping[str, str] = field(default_factory=dict, hash=False)
    unit: str = ""
    warn: float | None = None
    critical: float | None = None
    below: bool = False

    def status(self, value: float) -> str:
        """Of one value, as findings have it: ok, warn or critical."""
        for name, limit in reversed(self.limits):
            if value < limit if self.below else value > limit:
                return name
        return "ok"

    @property
    def limits(self) -> list[tuple[str, float]]:
        """The thresholds that it has, by name."""
        both = (("warn", self.warn), ("critical", self.critical))
        return [(name, limit) for name, limit in both if limit is not None]

    def query(self, id: str, period: int) -> Json:
        """The metric as one of GetMetricData's queries."""
        return asked(
            id, self.namespace, self.metric, self.dimensions, self.statistic, period, self.key
        )


def asked(
    id: str,
    namespace: str,
    name: str,
    dimensions: Mapping[str, str],
    statistic: str,
    period: int = 300,
    label: str = "",
) -> Json:
    """One of GetMetricData's queries; without a label CloudWatch makes one."""
    pairs = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": pairs}
    query = {"Id": id, "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}}
    return query | ({"Label": label} if label else {})


def described(ops: Connection, keys: Sequence[str] = ()) -> list[Metric]:
    """The target's key metrics, or those of these keys.

    Raises UsageError that offers the nearest.
    """
    facts = ops.target["metrics"]
    for key in keys:
        if key not in facts:
            raise unknown_name("metric", key, facts, f" of {ops.target.name}")
    return [Metric(key, **facts[key]) for key in facts if not keys or key in keys]


def read(
    ops: Connection,
    keys: Sequence[str] = (),
    hours: float = 24,
    period: int = 300,
    within: Window | None = None,
) -> Frame:
    """The values of the target's key metrics, all in one GetMetricData.

    Columns: POINTS, by metric and time.
    """
    metrics = described(ops, keys)
    queries = [metric.query(f"m{i}", period) for i, metric in enumerate(metrics)]
    found = query(ops, queries, within or window(ops, hours * 60))
    return frame(found.rename(columns={"label": "metric"}).to_dict("records"), POINTS)


SERIES = {"time": UTC_TIME, "id": "str", "label": "str", "value": "float64"}


def query(
    ops: Connection, queries: Sequence[Json], within: Window, region: str | None = None
) -> Frame:
    """GetMetricData, every page of it, 500 queries a call. Columns: SERIES, as asked and by time.

    `region`: another than the target's.

    Queries that refer to each other must be among the same 500. Raises OpsError when CloudWatch
    answered one of them with an error of its own.
    """
    if region and region != ops.target.region:
        ops = copy(ops)
        ops.target = replace(ops.target, region=region)
    # CloudWatch aligns to the start of a period, and is fastest when asked so.
    period = max((q["MetricStat"]["Period"] for q in queries if "MetricStat" in q), default=60)
    start = datetime.fromtimestamp(within.start.timestamp() // period * period, UTC)

    def answers(first: int) -> list[Json]:
        return ops.pages(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults[]",
            MetricDataQueries=list(queries[first : first + PAGE]),
            StartTime=start,
            EndTime=within.end,
            ScanBy="TimestampAscending",
        )

    pages = ops.each(answers, range(0, len(queries), PAGE)).values()
    return _settled(frame(_rows(chain.from_iterable(pages)), SERIES), queries, within)


def _settled(found: Frame, queries: Iterable[Json], within: Window) -> Frame:
    """Without the last sum of a line that still grows.

    Its period is not over yet, and it is lower than before.
    """
    ends = {
        q["Id"]: within.end - timedelta(seconds=q["MetricStat"]["Period"])
        for q in queries
        if q.get("MetricStat", {}).get("Stat") in ("Sum", "SampleCount")
    }
    growing = [
        series.index[-1]
        for id, series in found.groupby("id")
        if id in ends
        and series["time"].iloc[-1] > ends[id]
        and series["value"].iloc[-1] < series["value"].iloc[-2:].iloc[0]
    ]
    return found.drop(growing).reset_index(drop=True)


def _rows(results: Iterable[Json]) -> Iterable[Json]:
    for result in results:
        id, label, code = result["Id"], result.get("Label", ""), result.get("StatusCode")
        if code in ("InternalError", "Forbidden"):
            said = "; ".join(m.get("Value", "") for m in result.get("Messages", ())) or code
            kind = NotAllowed if code == "Forbidden" else OpsError
            raise kind(f"CloudWatch could not answer metric {(label or id)!r}: {said}.")
        for time, value in zip(result["Timestamps"], result["Values"], strict=True):
            yield {"time": time, "id": id, "label": label, "value": value}


def panel(metric: Metric, points: Frame) -> Panel:
    """Its values (rows of POINTS) with its thresholds."""
    line = Line(metric.statistic, points.set_index("time")["value"])
    return Panel(metric.title, metric.unit or metric.statistic, [line], metric.limits)


def thresholds(metric: Metric) -> str:
    """The thresholds in words."""
    side = "below" if metric.below else "above"
    return ", ".join(f"{name} {side} {number(at, metric.unit)}" for name, at in metric.limits)


def metric_keys(ops: Connection, namespace: str = "AWS/RDS") -> list[str]:
    """Which of the target's key metrics are the database's own, or another service's."""
    facts = ops.target.facts.get("metrics", {})
    return [key for key, of in facts.items() if of["namespace"] == namespace]
