"""The system's own metrics: one value published, and read back. CloudWatch takes nothing back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError, unknown_name
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import metrics
from opslib.core.text import count, number
from opslib.core.times import Window

if TYPE_CHECKING:
    import pandas as pd

MOST_DIMENSIONS = 30  # CloudWatch PutMetricData's limits from here on
_LONGEST_NAME, _LONGEST_VALUE, _LARGEST = 255, 1024, 2.0**360
_PAST, _FUTURE = timedelta(days=14), timedelta(hours=2)
_LATE = timedelta(hours=24)  # older points can take two days until they are shown
_KEPT = "CloudWatch keeps it 15 days by the minute, 63 days by five minutes, 15 months by the hour. It cannot be deleted."


@dataclass(frozen=True)
class Point:
    """One value of a custom metric. `at` is None: the moment it is published."""

    namespace: str
    name: str
    value: float
    unit: str
    dimensions: tuple[tuple[str, str], ...]
    at: datetime | None

    def __str__(self) -> str:
        of = f" {{{', '.join(f'{k}={v}' for k, v in self.dimensions)}}}" if self.dimensions else ""
        return f"{self.namespace} {self.name}{of}"


def point(
    ops: Connection,
    metric: str,
    value: float,
    unit: str,
    dimensions: Mapping[str, str],
    at: str = "",
    namespace: str = "",
) -> Point:
    """What was given, checked against what CloudWatch takes. `namespace`: empty for the target's own.

    Raises UsageError (NaN, unknown unit, too many dimensions, a time it does not take), Refused (a namespace of AWS's).
    """
    space = namespace or ops.target["metrics_namespace"]
    if space.upper().startswith("AWS/") or space.startswith(":"):
        raise Refused(
            f"{space} belongs to AWS: a value put there would be taken for a measurement. Nothing was published."
        )
    _refuse_name("metric", metric, _LONGEST_NAME)
    if not math.isfinite(value) or abs(value) > _LARGEST:
        raise UsageError(
            f"value={value} cannot be published: CloudWatch takes no NaN, no infinity, nothing beyond 2^360."
        )
    units = ops.client("cloudwatch").meta.service_model.shape_for("StandardUnit").enum
    if unit not in units:
        raise unknown_name("unit", unit, units, " of CloudWatch")
    _refuse_dimensions(dimensions)
    return Point(
        space, metric, float(value), unit, tuple(sorted(dimensions.items())), _moment(ops, at)
    )


def _refuse_dimensions(dimensions: Mapping[str, Any]) -> None:
    if len(dimensions) > MOST_DIMENSIONS:
        raise UsageError(
            f"{len(dimensions)} dimensions are too many: CloudWatch takes {MOST_DIMENSIONS}."
        )
    for name, said in dimensions.items():
        _refuse_name("dimension", name, _LONGEST_NAME)
        _refuse_name(f"value of dimension {name}", said, _LONGEST_VALUE)


def _refuse_name(what: str, text: Any, longest: int) -> None:
    if (
        not isinstance(text, str)
        or not text.strip()
        or len(text) > longest
        or not text.isascii()
        or not text.isprintable()
    ):
        raise UsageError(f"{what} {text!r} is not text of 1 to {longest} plain ASCII characters.")
    if text.startswith(":"):
        raise UsageError(f"{what} {text!r} begins with a colon, which CloudWatch does not take.")


def _moment(ops: Connection, text: str) -> datetime | None:
    if not text:
        return None
    try:
        given = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise UsageError(
            f"at={text!r} is no moment. Write it in UTC, like {ops.now():%Y-%m-%dT%H:%M}."
        ) from exc
    moment, now = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC), ops.now()
    if not now - _PAST <= moment <= now + _FUTURE:
        raise UsageError(
            f"CloudWatch takes no value of {moment:%Y-%m-%d %H:%M} UTC: at most two weeks old, at most two hours ahead."
        )
    return moment


@check("Is the metric known?")
def check_metric(
    ops: Connection,
    metric: str,
    dimensions: Mapping[str, str],
    namespace: str = "",
    hours: float = 24,
) -> Findings:
    """Its last values, and the alarms that watch it. A name that is not known yet makes a new metric. Evidence: SERIES."""
    asked = point(ops, metric, 0, "None", dimensions, "", namespace)
    now = ops.now()
    alarms, values = ops.gather(
        lambda: _alarms(ops, asked),
        lambda: _values(ops, asked, Window(now - timedelta(hours=hours), now), "Average"),
    )
    question, source = f"metric {asked}", "cloudwatch GetMetricData, DescribeAlarms"
    if len(values):
        seen = f"{count(len(values), 'minute')} with a value in {hours:g} h, the last {number(values['value'].iloc[-1])}"
    else:
        seen = f"no value in {hours:g} h: a new metric, or it is written otherwise. Known there: {_known(ops, asked)}"
    found = [Finding("ok", question, seen, "", source)]
    if alarms:
        found.append(
            Finding(
                "warn",
                f"alarms on {asked}",
                f"{', '.join(alarms)}: the value may set them off",
                "none",
                source,
            )
        )
    return Findings(found, values[["time", "value"]])


def _known(ops: Connection, asked: Point) -> str:
    """The names in its namespace."""
    names = set(
        ops.pages("cloudwatch", "list_metrics", "Metrics[].MetricName", Namespace=asked.namespace)
    )
    return ", ".join(sorted(names)[:20]) or "nothing"


def _alarms(ops: Connection, asked: Point) -> list[str]:
    """The alarms on this very metric, by name."""
    found = ops.pages("cloudwatch", "describe_alarms", "MetricAlarms[]")
    wanted = (asked.namespace, asked.name, asked.dimensions)
    return sorted(alarm["AlarmName"] for alarm in found if _watched(alarm) == wanted)


def _watched(alarm: Mapping[str, Any]) -> tuple[Any, ...]:
    dimensions = tuple(sorted((d["Name"], d["Value"]) for d in alarm.get("Dimensions", ())))
    return alarm.get("Namespace"), alarm.get("MetricName"), dimensions


def _values(ops: Connection, asked: Point, within: Window, statistic: str) -> pd.DataFrame:
    """By the minute. Columns: metrics.SERIES."""
    query = metrics.asked("m", asked.namespace, asked.name, dict(asked.dimensions), statistic, 60)
    return metrics.query(ops, [query], within)


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
    """Publish one value (CloudWatch PutMetricData). Raises UsageError and Refused as `point` does."""
    given = point(ops, metric, value, unit, dimensions or {}, at, namespace)
    datum = {
        "MetricName": given.name,
        "Value": given.value,
        "Unit": given.unit,
        "Dimensions": [{"Name": key, "Value": said} for key, said in given.dimensions],
        **({"Timestamp": given.at.isoformat()} if given.at else {}),
    }
    when = f" as of {given.at:%Y-%m-%d %H:%M} UTC" if given.at else ""
    step = Step(
        f"Publish {number(given.value, given.unit if given.unit != 'None' else '')} to {given}{when}",
        do=Aws("cloudwatch", "put_metric_data", Namespace=given.namespace, MetricData=[datum]),
        after=given.value,
        undo=None,
    )
    return Planned(f"publish one value of {given}", [step], [_KEPT])


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
    """Looks until the value is among those of its minute. *unknown* when it is not: that can take CloudWatch a while."""
    asked = point(ops, metric, value, "None", dimensions or {}, at, namespace)
    ends, question = time.monotonic() + wait_seconds, f"{asked} shows {asked.value:g}"
    source = "cloudwatch GetMetricData"
    while True:
        minute = _minute_with(ops, asked)
        if minute is not None:
            return Findings(
                [
                    Finding(
                        "ok",
                        question,
                        f"in the minute of {minute:%Y-%m-%d %H:%M} UTC",
                        "shown",
                        source,
                    )
                ]
            )
        if time.monotonic() > ends:
            break
        time.sleep(2)
    late = asked.at is not None and ops.now() - asked.at > _LATE
    waits = (
        "two days, for a value that old"
        if late
        else "two minutes; a metric that is new, a quarter of an hour"
    )
    seen = f"not yet, after {wait_seconds:g} s. It can take {waits}: run this cell again later"
    return Findings([Finding("unknown", question, seen, "shown", source)])


def _minute_with(ops: Connection, asked: Point) -> datetime | None:
    """The minute whose values have this one between the least and the greatest of them."""
    now = ops.now()
    within = (
        Window(asked.at, asked.at + timedelta(minutes=1))
        if asked.at
        else Window(now - timedelta(minutes=3), now + timedelta(minutes=1))
    )
    least, most = ops.gather(
        *(lambda s=s: _values(ops, asked, within, s) for s in ("Minimum", "Maximum"))
    )
    for low, high in zip(least.itertuples(), most.itertuples(), strict=False):
        if (
            _about(low.value, asked.value)
            or _about(high.value, asked.value)
            or low.value < asked.value < high.value
        ):
            return low.time.to_pydatetime()  # type: ignore[no-any-return]
    return None


def _about(seen: float, wanted: float) -> bool:
    return math.isclose(seen, wanted, rel_tol=1e-9, abs_tol=1e-12)
