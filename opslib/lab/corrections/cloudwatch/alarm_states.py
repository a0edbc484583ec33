"""What state an alarm is in at a moment, from its configuration and the metric store alone.

Source: "Evaluating an alarm" and "Configuring how CloudWatch alarms treat missing data" in the user
guide.
"""

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm

from opslib.lab.corrections.cloudwatch.metric_queries import answer, line_of
from opslib.lab.corrections.cloudwatch.metric_stores import Store, make_key
from opslib.lab.rhythms import MINUTE

# AWS looks further back than the evaluation periods, for the points that are there.
_EXTRA_PERIODS = 2

COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass(frozen=True)
class State:
    """`value` is None when missing data is ignored and the alarm stays as it is."""

    value: str | None
    reason: str
    data: str


def state_of(alarm: Alarm, store: Store, now: float) -> State:
    """The state at `now`; the minute in progress counts, so that a fault shows at once."""
    period = period_of(alarm)
    end = now // MINUTE * MINUTE + MINUTE
    start = end - period * (int(alarm.evaluation_periods) + _EXTRA_PERIODS)
    found = _points(alarm, store, period, start, end)
    times = [
        end - period * back for back in range(1, int(alarm.evaluation_periods) + _EXTRA_PERIODS + 1)
    ]
    points = [(at, found.get(at)) for at in times]  # newest first
    value, used, missing = _decide(alarm, points)
    return State(value, _reason(alarm, value, used, missing), _data(alarm, now, period, used))


def period_of(alarm: Alarm) -> int:
    """The period of the alarm, or of its metrics."""
    periods = [query.metric_stat.period for query in alarm.metric_data_queries if query.metric_stat]
    return int(alarm.period or min(map(int, periods), default=300))


def queries_of(alarm: Alarm) -> list[dict[str, Any]]:
    """A metric-math alarm's queries as GetMetricData takes them."""
    queries = []
    for query in alarm.metric_data_queries:
        entry: dict[str, Any] = {
            "Id": query.id,
            "Label": query.label,
            "ReturnData": query.return_data is not False,
        }
        if query.metric_stat:
            metric = query.metric_stat.metric
            dimensions = [{"Name": each.name, "Value": each.value} for each in metric.dimensions]
            entry["MetricStat"] = {
                "Metric": {
                    "Namespace": metric.namespace,
                    "MetricName": metric.metric_name,
                    "Dimensions": dimensions,
                },
                "Period": query.metric_stat.period,
                "Stat": query.metric_stat.stat,
                "Unit": query.metric_stat.unit,
            }
        else:
            entry["Expression"] = query.expression
        queries.append(entry)
    return queries


def _points(
    alarm: Alarm, store: Store, period: int, start: float, end: float
) -> Mapping[float, float]:
    if alarm.metric_data_queries:
        results = answer(store, queries_of(alarm), start, end)
        return results[0].values if results else {}
    key = make_key(
        alarm.namespace, alarm.metric_name, {each.name: each.value for each in alarm.dimensions}
    )
    statistic = alarm.extended_statistic or alarm.statistic
    return line_of(store, key, statistic, period, alarm.unit, start, end).values


Points = list[tuple[float, float]]


def _decide(
    alarm: Alarm, points: list[tuple[float, float | None]]
) -> tuple[str | None, Points, int]:
    """The state, the datapoints that it rests on (newest first), and how many were missing."""
    periods = int(alarm.evaluation_periods)
    needed = int(alarm.datapoints_to_alarm or periods)
    breaches = COMPARISONS[alarm.comparison_operator][0]
    there = [(at, value) for at, value in points if value is not None][:periods]
    bad = [(at, value) for at, value in there if breaches(value, alarm.threshold)]
    missing = periods - len(there)
    treat = alarm.treat_missing_data or "missing"
    if len(bad) >= needed:
        return "ALARM", bad, missing
    if not missing or treat == "notBreaching":
        return "OK", there, missing
    if treat == "breaching":
        return ("ALARM" if len(bad) + missing >= needed else "OK"), there, missing
    if len(bad) < len(there):
        return "OK", there, missing
    # Only breaching points, too few: an alarm when the oldest of them is as old as the points it
    # takes.
    age = 1 + max(
        (index for index, (_, value) in enumerate(points) if value is not None), default=-1
    )
    if treat == "missing" and age >= needed:
        return "ALARM", bad, missing
    return (None if treat == "ignore" else "INSUFFICIENT_DATA"), there, missing


def _reason(alarm: Alarm, value: str | None, used: Points, missing: int) -> str:
    """The words of AWS."""
    if value in (None, "INSUFFICIENT_DATA"):
        return f"Insufficient Data: {_many(missing, 'datapoint')} {_was(missing)} unknown."
    periods = int(alarm.evaluation_periods)
    treated = _TREATED.get(alarm.treat_missing_data or "") if missing else None
    lacking = f"{_many(missing, 'missing datapoint')} {_was(missing)} treated as [{treated}]"
    if not used:
        return (
            f"Threshold Crossed: no datapoints were received for {_many(periods, 'period')} "
            f"and {lacking}."
        )
    listed = ", ".join(
        f"{number} ({datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S})" for at, number in used
    )
    words = f"{COMPARISONS[alarm.comparison_operator][1]} the threshold ({float(alarm.threshold)})"
    also = f" and {lacking}" if treated else ""
    if value == "OK":
        return (
            f"Threshold Crossed: {_many(len(used), 'datapoint')} [{listed}] {_was(len(used))} "
            f"not {words}{also}."
        )
    needed = int(alarm.datapoints_to_alarm or periods)
    return (
        f"Threshold Crossed: {len(used)} out of the last {periods} datapoints [{listed}] "
        f"{_was(len(used))} "
        f"{words}{also} (minimum {_many(needed, 'datapoint')} for OK -> ALARM transition)."
    )


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _data(alarm: Alarm, now: float, period: int, used: Points) -> str:
    data = {
        "version": "1.0",
        "queryDate": _stamp(now),
        "statistic": alarm.extended_statistic or alarm.statistic,
        "period": period,
        "recentDatapoints": [value for _, value in reversed(used)],
        "threshold": float(alarm.threshold),
        "evaluatedDatapoints": [{"timestamp": _stamp(at), "value": value} for at, value in used],
    }
    return json.dumps({name: value for name, value in data.items() if value is not None})


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
