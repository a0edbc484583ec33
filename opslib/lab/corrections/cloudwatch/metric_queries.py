"""Answers MetricDataQueries from a store: metric statistics and expressions over them.

GetMetricData and alarms use it.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moto.cloudwatch.exceptions import ValidationError

from opslib.lab.corrections.cloudwatch.metric_functions import (
    Line,
    MathError,
    Scope,
    Value,
    as_lines,
)
from opslib.lab.corrections.cloudwatch.metric_math import Expression, compile_expression
from opslib.lab.corrections.cloudwatch.metric_stores import (
    Key,
    Store,
    is_statistic,
    make_key,
)

Query = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """One line of an answer."""

    id: str
    label: str
    values: Mapping[float, float]


def key_of(metric: Mapping[str, Any]) -> Key:
    """The store's key of an API Metric or of anything with Namespace, MetricName and Dimensions."""
    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or ()}
    return make_key(metric["Namespace"], metric["MetricName"], dimensions)


def good_period(period: int) -> bool:
    return period in (1, 5, 10, 20, 30) or (period > 0 and period % 60 == 0)


def line_of(
    store: Store, key: Key, statistic: str, period: int, unit: str | None, start: float, end: float
) -> Line:
    """One statistic of one metric; empty when there is none, or none of that unit."""
    series = store.series.get(key)
    if series is None or (unit and unit != series.unit):
        return Line({}, period, metric=True)
    buckets = (
        (at, bucket.statistic(statistic)) for at, bucket in store.buckets(key, start, end, period)
    )
    return Line({at: value for at, value in buckets if value is not None}, period, metric=True)


def answer(store: Store, queries: Sequence[Query], start: float, end: float) -> list[Result]:
    """The lines that are to be returned, in the order of the queries. Raises ValidationError."""
    expressions = validate(queries)
    labels = _labels(queries)
    lines: dict[str, Value] = {}
    periods = {query["Id"]: int(query.get("Period") or 300) for query in queries}
    for query in queries:
        if query.get("MetricStat"):
            stat = query["MetricStat"]
            key, period = key_of(stat["Metric"]), int(stat["Period"])
            line = line_of(store, key, stat["Stat"], period, stat.get("Unit"), start, end)
            lines[query["Id"]] = replace(line, label=labels[query["Id"]])
    for name in _in_order(expressions):
        scope = Scope(lines, start, end, store, periods[name])
        lines[name] = _evaluate(name, expressions[name], scope)
    results: list[Result] = []
    for query in queries:
        if query.get("ReturnData") is not False:
            results.extend(_results(query, lines[query["Id"]], labels[query["Id"]]))
    return results


def _results(query: Query, value: Value, label: str) -> list[Result]:
    if not isinstance(value, list):
        return [Result(query["Id"], label, line.values) for line in as_lines([value])]
    own = query.get("Label")
    names = [f"{own} {line.label}".strip() if own else line.label or label for line in value]
    return [Result(query["Id"], name, line.values) for name, line in zip(names, value, strict=True)]


def _evaluate(name: str, expression: Expression, scope: Scope) -> Value:
    try:
        value = expression.evaluate(scope)
        if not isinstance(value, Line | list):
            raise MathError(
                "The result must be a time series or an array of time series, not a number"
            )
        lines = [replace(line, metric=False) for line in as_lines([value])]
    except (MathError, IndexError) as exc:
        raise ValidationError(f"Error in expression '{name}': {exc}") from None
    return lines if isinstance(value, list) else lines[0]


def validate(queries: Sequence[Query]) -> dict[str, Expression]:
    """The expressions by id. Raises ValidationError as AWS does."""
    expressions = {}
    for number, query in enumerate(queries, 1):
        where, name = f"MetricDataQueries.member.{number}", query["Id"]
        if not re.fullmatch(r"[a-z][a-zA-Z0-9_]*", name):
            raise ValidationError(
                f"The value {name} for parameter {where}.Id is not matching the expected pattern "
                "^[a-z][a-zA-Z0-9_]*$."
            )
        if bool(query.get("MetricStat")) == bool(query.get("Expression")):
            raise ValidationError(
                f"The parameter {where} must have exactly one of MetricStat and Expression."
            )
        if query.get("Expression"):
            expressions[name] = _compile(name, query["Expression"])
        else:
            _check_stat(query["MetricStat"], f"{where}.MetricStat")
    ids = Counter(query["Id"] for query in queries)
    if len(ids) < len(queries):
        raise ValidationError("The values for parameter id in metricDataQueries are not unique.")
    for name, expression in expressions.items():
        for missing in sorted(expression.references - set(ids)):
            raise ValidationError(
                f"Error in expression '{name}': Id '{missing}' is not in the request"
            )
    _in_order(expressions)
    return expressions


def _check_stat(stat: Mapping[str, Any], where: str) -> None:
    if not good_period(int(stat["Period"])):
        raise ValidationError(
            f"The parameter {where}.Period must be a value in the set [1, 5, 10, 20, 30] or a "
            "multiple of 60."
        )
    if not is_statistic(stat["Stat"]):
        raise ValidationError(
            f"The value {stat['Stat']} for parameter {where}.Stat is not supported."
        )


def _compile(name: str, text: str) -> Expression:
    try:
        return compile_expression(text)
    except MathError as exc:
        raise ValidationError(f"Error in expression '{name}': {exc}") from None


def _in_order(expressions: Mapping[str, Expression]) -> list[str]:
    """Ids so that each comes after those that it needs."""
    ordered: list[str] = []
    while len(ordered) < len(expressions):
        ready = [
            name
            for name, expression in expressions.items()
            if name not in ordered and not (expression.references & set(expressions)) - set(ordered)
        ]
        if not ready:
            stuck = next(name for name in expressions if name not in ordered)
            raise ValidationError(f"Error in expression '{stuck}': It refers to itself")
        ordered.extend(ready)
    return ordered


def _labels(queries: Sequence[Query]) -> dict[str, str]:
    """The given label.

    Else the metric's name, with dimensions and statistic where the name is not enough.
    """
    names = Counter(
        query["MetricStat"]["Metric"]["MetricName"] for query in queries if query.get("MetricStat")
    )
    labels = {}
    for query in queries:
        metric = query["MetricStat"]["Metric"] if query.get("MetricStat") else None
        if metric is None:
            default = query["Id"]
        elif names[metric["MetricName"]] == 1:
            default = metric["MetricName"]
        else:
            values = [each["Value"] for each in metric.get("Dimensions") or ()]
            default = " ".join([*values, metric["MetricName"], query["MetricStat"]["Stat"]])
        labels[query["Id"]] = query.get("Label") or default
    return labels
