"""Metrics: a page of them in one GetMetricData, tidy; and the target's key metrics against their thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from opslib.core.checks.plots import Line, Panel
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, OpsError, unknown_name
from opslib.core.tables import UTC_TIME, frame
from opslib.core.text import number
from opslib.core.times import Window, window

if TYPE_CHECKING:
    import pandas as pd

POINTS = {"time": UTC_TIME, "metric": "str", "value": "float64"}
PAGE = 500  # queries in one GetMetricData
RECENT_MINUTES = 15  # what counts as now: three periods, since the last one may be under way


@dataclass(frozen=True)
class Metric:
    """A key metric of the target, as its file describes it. `below`: it is bad when it is too low."""

    key: str
    title: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str
    unit: str = ""
    warn: float | None = None
    critical: float | None = None
    below: bool = False

    def beyond(self, value: float, limit: float | None) -> bool:
        return limit is not None and (value < limit if self.below else value > limit)

    def status(self, value: float) -> str:
        """Of one value, as findings have it: ok, warn or critical."""
        return (
            "critical"
            if self.beyond(value, self.critical)
            else "warn"
            if self.beyond(value, self.warn)
            else "ok"
        )

    def query(self, id: str, period: int) -> dict[str, Any]:
        """The metric as one of GetMetricData's queries."""
        return asked(
            id, self.namespace, self.name, dict(self.dimensions), self.statistic, period, self.key
        )


def asked(
    id: str,
    namespace: str,
    name: str,
    dimensions: Mapping[str, str],
    statistic: str,
    period: int = 300,
    label: str = "",
) -> dict[str, Any]:
    """One of GetMetricData's queries; the label is the id where none is given."""
    pairs = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": pairs}
    return {
        "Id": id,
        "Label": label or id,
        "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic},
    }


def described(ops: Connection, keys: Sequence[str] = ()) -> list[Metric]:
    """The target's key metrics, or those of these keys. Raises UsageError that offers the nearest."""
    facts = ops.target["metrics"]
    for key in keys:
        if key not in facts:
            raise unknown_name("metric", key, facts, f" of {ops.target.name}")
    return [
        Metric(
            key,
            said["title"],
            said["namespace"],
            said["metric"],
            tuple(said.get("dimensions", {}).items()),
            said["statistic"],
            said.get("unit", ""),
            said.get("warn"),
            said.get("critical"),
            said.get("below", False),
        )
        for key, said in facts.items()
        if not keys or key in keys
    ]


def read(
    ops: Connection,
    keys: Sequence[str] = (),
    hours: float = 24,
    period: int = 300,
    within: Window | None = None,
) -> pd.DataFrame:
    """The values of the target's key metrics, all in one GetMetricData. Columns: POINTS, by metric and time."""
    within = within or window(ops, hours * 60)
    metrics = described(ops, keys)
    found = query(ops, [metric.query(f"m{i}", period) for i, metric in enumerate(metrics)], within)
    named = {f"m{i}": metric.key for i, metric in enumerate(metrics)}
    found["metric"] = found["id"].map(named)
    return frame(found.to_dict("records"), POINTS)


SERIES = {"time": UTC_TIME, "id": "str", "label": "str", "value": "float64"}


def query(ops: Connection, queries: Sequence[dict[str, Any]], within: Window) -> pd.DataFrame:
    """GetMetricData, every page of it, 500 queries a call. Columns: SERIES, ordered as asked and by time.

    Queries that refer to each other must be among the same 500. Raises OpsError when CloudWatch answered one of
    them with an error of its own.
    """
    times = {
        "StartTime": _floored(within.start, queries),
        "EndTime": within.end,
        "ScanBy": "TimestampAscending",
    }
    chunks = [list(queries[i : i + PAGE]) for i in range(0, len(queries), PAGE)]
    pages = ops.gather(
        *(
            lambda chunk=chunk: ops.pages(
                "cloudwatch",
                "get_metric_data",
                "MetricDataResults[]",
                MetricDataQueries=chunk,
                **times,
            )
            for chunk in chunks
        )
    )
    found = frame(_rows(chain.from_iterable(pages)), SERIES)
    return _settled(found, queries, within)


def _floored(start: Any, queries: Iterable[dict[str, Any]]) -> Any:
    """The start of the period that `start` is in: CloudWatch aligns to it, and is fastest when asked so."""
    from datetime import UTC, datetime

    period = max((q["MetricStat"]["Period"] for q in queries if "MetricStat" in q), default=60)
    return datetime.fromtimestamp(start.timestamp() // period * period, UTC)


def _settled(
    found: pd.DataFrame, queries: Iterable[dict[str, Any]], within: Window
) -> pd.DataFrame:
    """Without the last sum of a line when its period is not over yet and it is lower than the one before: it still grows."""
    import pandas as pd

    sums = {
        q["Id"]: pd.Timedelta(seconds=q["MetricStat"]["Period"])
        for q in queries
        if "MetricStat" in q and q["MetricStat"]["Stat"] in ("Sum", "SampleCount")
    }
    growing = []
    for id, series in found.groupby("id"):
        if id in sums and len(series) > 1 and series["time"].iloc[-1] + sums[str(id)] > within.end:
            last, before = series["value"].iloc[-1], series["value"].iloc[-2]
            growing += [series.index[-1]] if last < before else []
    return found.drop(growing).reset_index(drop=True)


def _rows(results: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for result in results:
        if result.get("StatusCode") in ("InternalError", "Forbidden"):
            said = (
                "; ".join(m.get("Value", "") for m in result.get("Messages", ()))
                or result["StatusCode"]
            )
            kind = NotAllowed if result["StatusCode"] == "Forbidden" else OpsError
            raise kind(
                f"CloudWatch could not answer metric {result.get('Label') or result['Id']!r}: {said}."
            )
        for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
            yield {
                "time": moment,
                "id": result["Id"],
                "label": result.get("Label", ""),
                "value": value,
            }


def panel(metric: Metric, points: pd.DataFrame) -> Panel:
    """Its values (rows of POINTS) with its thresholds."""
    line = Line(metric.statistic, list(points["time"]), list(points["value"]))
    return Panel(metric.title, metric.unit or metric.statistic, [line], _limits(metric))


def _limits(metric: Metric) -> list[tuple[str, float]]:
    return [
        (name, limit)
        for name, limit in (("warn", metric.warn), ("critical", metric.critical))
        if limit is not None
    ]


def thresholds(metric: Metric) -> str:
    """The thresholds in words."""
    side = "below" if metric.below else "above"
    return ", ".join(
        f"{name} {side} {number(limit, metric.unit)}" for name, limit in _limits(metric)
    )


def metric_keys(ops: Connection) -> list[str]:
    """Which of the target's key metrics are the database's own."""
    facts = ops.target.facts.get("metrics", {})
    return [key for key in facts if facts[key]["namespace"] == "AWS/RDS"]
