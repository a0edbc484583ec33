"""Metrics: a page of them in one GetMetricData, tidy; the target's own against their thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from opslib.core.checks.plots import Line, Panel
from opslib.core.checks.shares import Share
from opslib.core.connections import identities
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, NotUnderstood, OpsError, require_known
from opslib.core.tables import Frame, Json, batched, dtypes, frame, framed
from opslib.core.text import number
from opslib.core.times import Window

if TYPE_CHECKING:
    import pandas as pd

POINTS = dtypes("""
    time   utc
    metric str
    value  float64
    of     str
""")
K = TypeVar("K")
PERIOD = 300  # seconds
PAGE = 500  # queries in one GetMetricData
RECENT_MINUTES = 15  # what counts as now: three periods, since the last one may be under way


@dataclass(frozen=True)
class Metric:
    """A key metric of the target, as its file describes it.

    `below`: it is bad when it is too low. With an `expression` it is a share of the amounts that
    `of` describes, told where there are `at_least` so many. `lasting`: one value alone is none.
    """

    key: str
    title: str
    namespace: str = ""
    metric: str = ""
    statistic: str = "Sum"
    dimensions: Mapping[str, str] = field(default_factory=dict, hash=False)
    unit: str = ""
    warn: float | None = None
    critical: float | None = None
    below: bool = False
    lasting: bool = False
    expression: str = ""
    of: Mapping[str, Json] = field(default_factory=dict, hash=False)
    at_least: float = 20
    next: str = ""
    rare: bool = False  # an amount that may not be there for weeks

    @cached_property
    def share(self) -> Share | None:
        """Its expression. Raises UsageError when it is none."""
        return Share(self.expression, dict(self.of)) if self.expression else None

    @property
    def amounts(self) -> dict[str, Metric]:
        """What is asked for it: itself, or the amounts of a share, by their names."""
        if not self.share:
            return {"": self}
        parts = self.of.items()
        return {name: Metric(f"{self.key}/{name}", self.title, **of) for name, of in parts}

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


def described(ops: Connection, keys: Sequence[str] | None = None) -> list[Metric]:
    """The target's key metrics, or those of these keys alone.

    Raises UsageError that offers the nearest.
    """
    facts = ops.target.at("metrics")
    for key in keys or ():
        require_known("metric", key, facts, f" of {ops.target.name}")
    return [Metric(key, **facts[key]) for key in facts if keys is None or key in keys]


def slow_from(ops: Connection, metric: str, of: Mapping[str, str]) -> float:
    """From where on the target's file warns of a metric of this, by its dimensions or some of them.

    0 when it does not say.
    """
    known = (
        each.warn
        for each in described(ops)
        if each.metric == metric and each.dimensions and dict(each.dimensions).items() <= of.items()
    )
    return next(known, None) or 0.0


def read(ops: Connection, within: Window, keys: Sequence[str] | None = None) -> Frame:
    """The values of the target's key metrics, all in one GetMetricData.

    Columns: POINTS, by metric and time.
    """
    metrics = described(ops, keys)
    found = answered(ops, metrics, within)
    import pandas as pd

    parts = [frame([], POINTS), *(points(each, found, within) for each in metrics)]
    return pd.concat(parts, ignore_index=True)


def answered(
    ops: Connection, metrics: Sequence[Metric], within: Window, period: int = 300
) -> Frame:
    """What GetMetricData answers of them, labelled by their keys; an amount: `key/name`."""
    asked = chain.from_iterable(metric.amounts.values() for metric in metrics)
    queries = [each.query(f"m{i}", period) for i, each in enumerate(asked)]
    return query(ops, queries, within)


def points(metric: Metric, found: Frame, within: Window) -> Frame:
    """Its values (columns: POINTS), of what was answered; a share's are those of its windows.

    A part of a share that has nothing where another has something is 0 there: CloudWatch leaves
    that out.
    """
    if not metric.share:
        mine = found[found["label"] == metric.key]
        told = {"time": mine["time"].array, "metric": mine["label"].array}
        return framed({**told, "value": mine["value"].array, "of": [""] * len(mine)}, POINTS)
    labels = {each.key: name for name, each in metric.amounts.items()}
    over = within.end - timedelta(seconds=PERIOD)  # what is still counted would be half a share
    mine = found[found["label"].isin(labels) & (found["time"] <= over)]
    sums = mine.pivot_table("value", "time", "label", "sum").rename(columns=labels)
    sums = sums.reindex(columns=list(labels.values())).fillna(0.0)
    rows = RECENT_MINUTES * 60 // PERIOD
    windows = metric.share.windows(sums, metric.at_least, rows) if len(sums) else ()
    return frame(({"metric": metric.key, **each} for each in windows), POINTS)


SERIES = dtypes("""
    time  utc
    id    str
    label str
    value float64
""")


def query(
    ops: Connection, queries: Sequence[Json], within: Window, region: str | None = None
) -> Frame:
    """GetMetricData, every page of it, 500 queries a call. Columns: SERIES, as asked and by time.

    `region`: another than the target's. Queries that refer to each other must be among the same
    500. Raises OpsError when CloudWatch answered one of them with an error, or not at all.
    """
    # CloudWatch aligns to the start of a period, and is fastest when asked so.
    period = max((q["MetricStat"]["Period"] for q in queries if "MetricStat" in q), default=60)
    start = datetime.fromtimestamp(within.start.timestamp() // period * period, UTC)

    def answers(at: str, some: Sequence[Json]) -> list[Json]:
        return ops.at(at).pages(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults[]",
            MetricDataQueries=some,
            StartTime=start,
            EndTime=within.end,
            ScanBy="TimestampAscending",
        )

    apart: dict[str, list[Json]] = {}
    for each in queries:
        space = each["MetricStat"]["Metric"]["Namespace"] if "MetricStat" in each else ""
        apart.setdefault(region or identities.kept_in(ops.target.region, space), []).append(each)
    parts = ((at, some) for at, of in apart.items() for some in batched(of, PAGE))
    pages = ops.gather(*(partial(answers, *part) for part in parts))
    results = [_answered(result) for result in chain.from_iterable(pages)]
    wanted = {q["Id"] for q in queries if "MetricStat" in q and q.get("ReturnData", True)}
    if lacks := wanted - {result["Id"] for result in results}:
        raise NotUnderstood(
            f"CloudWatch's answer leaves out {len(lacks)} of {len(wanted)} metrics."
        )
    found = {
        "time": [time for result in results for time in result["Timestamps"]],
        "id": [result["Id"] for result in results for _ in result["Values"]],
        "label": [result.get("Label", "") for result in results for _ in result["Values"]],
        "value": [value for result in results for value in result["Values"]],
    }
    return _settled(framed(found, SERIES), queries, within)


def series(
    ops: Connection, wanted: Mapping[K, Sequence[Any]], within: Window
) -> dict[K, pd.Series]:
    """By key the values of each metric, by time. `wanted`: what `asked` takes of it, but the id."""
    queries = [asked(f"m{at}", *of) for at, of in enumerate(wanted.values())]
    found = query(ops, queries, within).set_index("time")
    none, values = found["value"].iloc[:0], {id: of["value"] for id, of in found.groupby("id")}
    return {key: values.get(f"m{at}", none) for at, key in enumerate(wanted)}


def sent(ops: Connection, namespace: str, dimensions: Mapping[str, str]) -> set[str]:
    """The metrics of a thing, or with no dimension, that CloudWatch has had within two weeks
    (ListMetrics).
    """
    pairs = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    path = "Metrics[].MetricName" if pairs else "Metrics[?!Dimensions].MetricName"
    asked: Json = {"Namespace": namespace, "Dimensions": pairs}
    ops = ops.at(identities.kept_in(ops.target.region, namespace))
    return {*ops.pages("cloudwatch", "list_metrics", path, **asked)}


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


def _answered(result: Json) -> Json:
    """A result of GetMetricData. Raises OpsError, NotAllowed where it is an error."""
    code = result.get("StatusCode")
    if code in ("InternalError", "Forbidden"):
        said = "; ".join(m.get("Value", "") for m in result.get("Messages", ())) or code
        kind = NotAllowed if code == "Forbidden" else OpsError
        name = result.get("Label") or result["Id"]
        raise kind(f"CloudWatch could not answer metric {name!r}: {said}.")
    return result


def panel(metric: Metric, points: Frame) -> Panel:
    """Its values (rows of POINTS) with its thresholds."""
    of = points.dropna(subset="value").set_index("time")["value"]
    line = Line(metric.expression or metric.statistic, of)
    return Panel(metric.title, metric.unit or metric.statistic, [line], metric.limits)


def thresholds(metric: Metric) -> str:
    """The thresholds in words."""
    side = "below" if metric.below else "above"
    return ", ".join(f"{name} {side} {number(at, metric.unit)}" for name, at in metric.limits)


def metric_keys(ops: Connection, namespace: str = "AWS/RDS") -> list[str]:
    """Which of the target's key metrics are the database's own, or another service's."""
    facts = ops.target.at("metrics")
    return [key for key, of in facts.items() if of.get("namespace") == namespace]
