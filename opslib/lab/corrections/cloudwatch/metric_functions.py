"""The values and functions of CloudWatch metric math,
as "Using metric math" in the user guide has them.

A value is a number, a `Line` (one time series) or a list of lines. Missing points count as 0 in
arithmetic; a
division by zero drops its point. Functions of one line that aggregate answer a number; of a list, a
line.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from statistics import fmean, pstdev
from typing import Any


class MathError(Exception):
    """The expression is not valid, or the lab cannot evaluate it."""


@dataclass(frozen=True)
class Line:
    """A time series: epoch seconds to value. `metric` is false for what an expression made."""

    values: Mapping[float, float]
    period: int
    label: str = ""
    metric: bool = False


Value = float | Line | list[Line]


@dataclass(frozen=True)
class Scope:
    """What an expression sees: lines by id, and the window that is filled."""

    lines: Mapping[str, Value] = field(default_factory=dict)
    start: float = 0
    end: float = 0
    store: Any = None  # for what is searched
    own_period: int = 300  # of the expression

    @property
    def period(self) -> int:
        """The shortest of the metrics' periods."""
        periods = [
            line.period
            for value in self.lines.values()
            for line in as_lines([value])
            if line.metric
        ]
        return min(periods, default=300)


def spread(fn: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """`fn` on numbers, on each point of a line, on each line of a list."""
    if isinstance(left, list) or isinstance(right, list):
        many = len(left) if isinstance(left, list) else len(right) if isinstance(right, list) else 0
        lefts, rights = (
            side if isinstance(side, list) else [side] * many for side in (left, right)
        )
        if len(lefts) != len(rights):
            raise MathError("Arrays of different lengths cannot be combined")
        return as_lines(spread(fn, a, b) for a, b in zip(lefts, rights, strict=True))
    if not isinstance(left, Line) and not isinstance(right, Line):
        return _safe(fn, left, right)
    first = left if isinstance(left, Line) else right
    assert isinstance(first, Line)
    values = {at: _safe(fn, _at(left, at), _at(right, at)) for at in _times(left, right)}
    return _made(first, {at: value for at, value in values.items() if not math.isnan(value)})


def as_lines(values: Iterable[Value]) -> list[Line]:
    """The lines among values and lists of them; a number is not one."""
    flat: list[Line] = []
    for value in values:
        if isinstance(value, list):
            flat.extend(value)
        elif isinstance(value, Line):
            flat.append(value)
        else:
            raise MathError("An array can only hold time series")
    return flat


def _safe(fn: Callable[[float, float], float], left: float, right: float) -> float:
    try:
        result = fn(left, right)
    except (ZeroDivisionError, OverflowError):
        return math.nan
    return math.nan if isinstance(result, complex) else result


def _times(*values: Value) -> list[float]:
    return sorted({at for value in values if isinstance(value, Line) for at in value.values})


def _at(value: Any, at: float, missing: float = 0.0) -> float:
    return value.values.get(at, missing) if isinstance(value, Line) else float(value)


def _made(line: Line, values: Mapping[float, float]) -> Line:
    return replace(line, values=values, metric=False)


def _grid(scope: Scope, period: int) -> list[float]:
    return [
        scope.start + step * period for step in range(math.ceil((scope.end - scope.start) / period))
    ]


Function = Callable[..., Value]


def _aggregate(fn: Callable[[list[float]], float], missing_is_zero: bool = False) -> Function:
    def aggregate(scope: Scope, value: Value) -> Value:
        if isinstance(value, Line):
            return fn(list(value.values.values())) if value.values else 0.0
        lines = as_lines([value])
        values = {}
        for at in _times(*lines):
            here = [line.values[at] for line in lines if at in line.values]
            values[at] = fn(here + [0.0] * (len(lines) - len(here)) if missing_is_zero else here)
        return Line(values, lines[0].period if lines else 300)

    return aggregate


def _each(fn: Callable[[Scope, Line], Mapping[float, float]]) -> Function:
    def each(scope: Scope, value: Value) -> Value:
        if isinstance(value, Line):
            return _made(value, fn(scope, value))
        return [_made(line, fn(scope, line)) for line in as_lines([value])]

    return each


def _points(fn: Callable[[float], float]) -> Function:
    return _each(
        lambda scope, line: {
            at: fn(value) for at, value in line.values.items() if not _undefined(fn, value)
        }
    )


def _undefined(fn: Callable[[float], float], value: float) -> bool:
    return fn in (math.log, math.log10) and value <= 0


def _steps(fn: Callable[[float, float, float], float]) -> Function:
    """A function of (difference, seconds, earlier value) from each point to the one before it."""
    return _each(
        lambda scope, line: {
            late: fn(line.values[late] - line.values[early], late - early, line.values[early])
            for early, late in pairwise(sorted(line.values))
        }
    )


def _running_sum(scope: Scope, line: Line) -> Mapping[float, float]:
    times = sorted(line.values)
    return dict(zip(times, accumulate(line.values[at] for at in times), strict=True))


def _fill(scope: Scope, value: Value, filler: Any) -> Value:
    if isinstance(value, list):
        return [line for each in value for line in as_lines([_fill(scope, each, filler)])]
    if not isinstance(value, Line):
        raise MathError("Function 'FILL' takes a time series")
    values: dict[float, float] = {}
    for at in sorted({*_grid(scope, value.period), *value.values}):
        found = value.values.get(at)
        found = _filler(value, filler, at) if found is None else found
        if found is not None:
            values[at] = found
    return _made(value, values)


def _filler(line: Line, filler: Any, at: float) -> float | None:
    before = max((time for time in line.values if time < at), default=None)
    if filler == "REPEAT":
        return None if before is None else line.values[before]
    if filler == "LINEAR":
        after = min((time for time in line.values if time > at), default=None)
        if before is None or after is None:
            return None
        share = (at - before) / (after - before)
        return line.values[before] + share * (line.values[after] - line.values[before])
    if isinstance(filler, Line):
        return filler.values.get(at)
    if isinstance(filler, int | float):
        return float(filler)
    raise MathError("Function 'FILL' takes a number, a time series, REPEAT or LINEAR")


def _if(scope: Scope, condition: Value, yes: Value, no: Value | None = None) -> Value:
    if not isinstance(condition, Line):
        chosen = yes if condition else no
        return Line({}, scope.period) if chosen is None else chosen
    values = {}
    for at, truth in condition.values.items():
        value = _at(yes, at) if truth else math.nan if no is None else _at(no, at, math.nan)
        if not math.isnan(value):
            values[at] = value
    return _made(condition, values)


def _metrics(scope: Scope, part: str = "") -> Value:
    lines = (
        (name, line)
        for name, value in scope.lines.items()
        for line in as_lines([value])
        if line.metric
    )
    return [line for name, line in lines if part in name]


def _period(scope: Scope, value: Value) -> Value:
    if not isinstance(value, Line) or not value.metric:
        raise MathError("Function 'PERIOD' takes a metric")
    return float(value.period)


def _time_series(scope: Scope, value: Value) -> Value:
    if isinstance(value, Line | list):
        raise MathError("Function 'TIME_SERIES' takes a number")
    return Line(dict.fromkeys(_grid(scope, scope.period), value), scope.period)


_KEYS: dict[str, Callable[[list[float]], float]] = {
    "AVG": fmean,
    "MIN": min,
    "MAX": max,
    "SUM": sum,
}


def _sort(scope: Scope, value: Value, by: str, order: str, limit: float | None = None) -> Value:
    if by not in _KEYS or order not in ("ASC", "DESC"):
        raise MathError("Function 'SORT' takes AVG, MIN, MAX or SUM, then ASC or DESC")
    key = _KEYS[by]
    lines = sorted(
        as_lines([value]),
        key=lambda line: key(list(line.values.values()) or [0.0]),
        reverse=order == "DESC",
    )
    return lines[: int(limit)] if limit is not None else lines


def _slice(scope: Scope, value: Value, start: float, end: float | None = None) -> Value:
    return as_lines([value])[int(start) : None if end is None else int(end)]


# name: the function, and how many arguments it takes
FUNCTIONS: dict[str, tuple[Function, tuple[int, ...]]] = {
    "SUM": (_aggregate(sum), (1,)),
    "AVG": (_aggregate(fmean, missing_is_zero=True), (1,)),
    "MIN": (_aggregate(min), (1,)),
    "MAX": (_aggregate(max), (1,)),
    "STDDEV": (_aggregate(pstdev), (1,)),
    "DATAPOINT_COUNT": (_aggregate(lambda values: float(len(values))), (1,)),
    "ABS": (_points(abs), (1,)),
    "CEIL": (_points(lambda value: float(math.ceil(value))), (1,)),
    "FLOOR": (_points(lambda value: float(math.floor(value))), (1,)),
    "LOG": (_points(math.log), (1,)),
    "LOG10": (_points(math.log10), (1,)),
    "RATE": (_steps(lambda difference, seconds, _: difference / seconds), (1,)),
    "DIFF": (_steps(lambda difference, seconds, _: difference), (1,)),
    "DIFF_TIME": (_steps(lambda difference, seconds, _: seconds), (1,)),
    "RUNNING_SUM": (_each(_running_sum), (1,)),
    "FILL": (_fill, (2,)),
    "IF": (_if, (2, 3)),
    "METRICS": (_metrics, (0, 1)),
    "METRIC_COUNT": (lambda scope, value: float(len(as_lines([value]))), (1,)),
    "PERIOD": (_period, (1,)),
    "TIME_SERIES": (_time_series, (1,)),
    "FIRST": (lambda scope, value: as_lines([value])[0], (1,)),
    "LAST": (lambda scope, value: as_lines([value])[-1], (1,)),
    "SORT": (_sort, (3, 4)),
    "SLICE": (_slice, (2, 3)),
    "REMOVE_EMPTY": (
        lambda scope, value: [line for line in as_lines([value]) if line.values],
        (1,),
    ),
}
# What AWS has beside these; an expression that calls one is refused rather than answered wrongly.
UNSUPPORTED = frozenset(
    {
        "ANOMALY_DETECTION_BAND",
        "INSIGHT_RULE_METRIC",
        "SERVICE_QUOTA",
        "DB_PERF_INSIGHTS",
        "LAMBDA",
    }
    | {"MINUTE", "HOUR", "DAY", "DATE", "MONTH", "YEAR", "EPOCH"}
)
