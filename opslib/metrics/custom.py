"""The system's own metrics: one value published, and read back. CloudWatch takes nothing back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from opslib.core import (
    Aws,
    Connection,
    Findings,
    Planned,
    Question,
    Refused,
    Step,
    UsageError,
    Window,
    check,
    count,
    metrics,
    moment,
    number,
    planner,
    poll,
    window,
)
from opslib.metrics.widgets import Series

_LARGEST = 2.0**360
_LATE = timedelta(hours=24)  # older points can take two days until they are shown
_KEPT = (
    "CloudWatch keeps it 15 days by the minute, 63 days by five minutes, 15 months by the hour. "
    "It cannot be deleted."
)


def _values(ops: Connection, of: Series, within: Window, *statistics: str) -> dict[str, Any]:
    """By statistic, its values by the minute."""
    wanted = {each: (of.namespace, of.name, dict(of.dimensions), each, 60) for each in statistics}
    return metrics.series(ops, wanted, within)


def series(
    ops: Connection, metric: str, dimensions: Mapping[str, str] | None, namespace: str
) -> Series:
    """What was given; `namespace` is empty for the target's own. Raises Refused (one of AWS's)."""
    space = namespace or ops.target["metrics_namespace"]
    if space.upper().startswith("AWS/"):
        raise Refused(
            f"{space} belongs to AWS: a value put there would be taken for a measurement. "
            "Nothing was published."
        )
    return Series(space, metric, frozenset((dimensions or {}).items()))


def _when(ops: Connection, at: str) -> datetime | None:
    """None where no moment is given: that of publishing. Raises UsageError."""
    return moment(at, ops.now()).astimezone(UTC) if at else None


@check("Is the metric known?")
def check_metric(
    ops: Connection, metric: str, dimensions: Mapping[str, str], namespace: str = ""
) -> Findings:
    """Its last values, and the alarms that watch it. Evidence: time and value, by the minute.

    A name that is not known yet makes a new metric.
    """
    of = series(ops, metric, dimensions, namespace)
    values = _values(ops, of, window(ops, 1440), "Average")["Average"]
    if len(values):
        last = number(values.iloc[-1])
        seen = f"{count(len(values), 'minute')} with a value in 24 h, the last {last}"
    else:
        names = ops.pages(
            "cloudwatch", "list_metrics", "Metrics[].MetricName", Namespace=of.namespace
        )
        known = ", ".join(sorted(set(names))[:20]) or "nothing"
        seen = f"no value in 24 h: a new metric, or it is written otherwise. Known there: {known}"
    source = "cloudwatch GetMetricData, DescribeAlarms"
    found = [Question(f"metric {of}", source=source).ok(seen)]
    every = ops.pages("cloudwatch", "describe_alarms", "MetricAlarms[?MetricName]")
    if alarms := sorted(each["AlarmName"] for each in every if Series.watched(each) == of):
        seen = f"{', '.join(alarms)}: the value may set them off"
        found.append(Question(f"alarms on {of}", "none", source).warn(seen))
    return Findings(found, values.reset_index())


@planner
def plan_publish(
    ops: Connection,
    metric: str,
    value: float,
    unit: str = "None",
    dimensions: Mapping[str, str] | None = None,
    at: str = "",
    namespace: str = "",
) -> Planned:
    """Publish one value (CloudWatch PutMetricData). Raises UsageError (no moment), Refused."""
    of, when = series(ops, metric, dimensions, namespace), _when(ops, at)
    if not abs(value) <= _LARGEST:
        raise UsageError(
            f"value={value} cannot be published: "
            "CloudWatch takes no NaN, no infinity, nothing beyond 2^360."
        )
    datum = {
        "MetricName": of.name,
        "Value": float(value),
        "Unit": unit,
        "Dimensions": [{"Name": k, "Value": v} for k, v in sorted(of.dimensions)],
        **({"Timestamp": when.isoformat()} if when else {}),
    }
    said = number(value, "" if unit == "None" else unit)
    step = Step(
        f"Publish {said} to {of}" + (f" as of {when:%Y-%m-%d %H:%M} UTC" if when else ""),
        do=Aws("cloudwatch", "put_metric_data", Namespace=of.namespace, MetricData=[datum]),
        after=float(value),
        undo=None,
    )
    return Planned(f"publish one value of {of}", [step], [_KEPT])


@check("Can the value be read back?")
def check_published(
    ops: Connection,
    metric: str,
    value: float,
    dimensions: Mapping[str, str] | None = None,
    at: str = "",
    namespace: str = "",
    wait_seconds: float = 30,
) -> Findings:
    """Looks until the value is among those of its minute.

    *unknown* when it is not: that can take CloudWatch a while.
    """
    of, when = series(ops, metric, dimensions, namespace), _when(ops, at)
    asked = Question(f"{of} shows {value:g}", "shown", "cloudwatch GetMetricData")
    look = partial(_minute_with, ops, of, value, when)
    minute, _ = poll(look, lambda minute: minute is not None, wait_seconds)
    if minute is not None:
        return Findings(asked.ok(f"in the minute of {minute:%Y-%m-%d %H:%M} UTC"))
    late = when is not None and ops.now() - when > _LATE
    new = "two minutes; a metric that is new, a quarter of an hour"
    waits = "two days, for a value that old" if late else new
    seen = f"not yet, after {wait_seconds:g} s. It can take {waits}: run this cell again later"
    return Findings(asked.unknown(seen))


def _minute_with(
    ops: Connection, of: Series, value: float, when: datetime | None
) -> datetime | None:
    """The minute whose values have this one between the least and the greatest of them."""
    start = when or ops.now() - timedelta(minutes=3)
    within = Window(start, start + timedelta(minutes=1 if when else 4))
    least, most = _values(ops, of, within, "Minimum", "Maximum").values()
    slack = 1e-9 * abs(value) + 1e-12
    shown = least.index[(least <= value + slack) & (most >= value - slack)]
    return shown[0].to_pydatetime() if len(shown) else None
