"""Widgets of a CloudWatch dashboard, read from its own definition.

Source: "Dashboard body structure and syntax" in CloudWatch's API reference. What of it cannot be
asked costs the widget, or the row, that it stands in, and is said there.

A line that is written on one says nothing of what is bad. It does where it is filled above or
below, and where an alarm on one of the metrics has that threshold. Any other is drawn, not judged.
"""

import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from opslib.core import Connection, Json, OpsError, beside, cut, metrics

_PERIOD = 300  # seconds, where the widget leaves it to CloudWatch

_BEYOND: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
# As CloudWatch names the line of an alarm: `Errors >= 5 for 3 datapoints within 15 minutes`.
_OF_AN_ALARM = re.compile(
    r"(<=?|>=?|≤|≥)\s*-?[\d.,]+\D{0,20}?\s+for\s+(?:(\d+)(?:\s+out\s+of\s+\d+)?\s+)?datapoints?"
)


class Series(NamedTuple):
    """A metric, as rows and alarms name it."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def watched(cls, alarm: Json) -> Self:
        """What an alarm watches."""
        pairs = frozenset((each["Name"], each["Value"]) for each in alarm.get("Dimensions", ()))
        return cls(alarm["Namespace"], alarm["MetricName"], pairs)

    def __str__(self) -> str:
        pairs = ", ".join(f"{key}={value}" for key, value in sorted(self.dimensions))
        return f"{self.namespace} {self.name}" + (f" {{{pairs}}}" if pairs else "")


@dataclass(frozen=True)
class Limit:
    """A line across a widget.

    `bad`: the side on which it is bad (>, >=, <, <=); empty when nothing says so. `points`: how
    many of the last have to be there. `of`: the metric whose limit it is; None: all of its axis.
    """

    name: str
    value: float
    bad: str = ""
    points: int = 1
    axis: str = "left"
    of: Series | None = None

    def broken(self, last: Sequence[float]) -> bool:
        """Are the last values, so many as it takes, all on the bad side?"""
        taken = last[-self.points :]
        if not self.bad or len(taken) < self.points:
            return False
        return all(_BEYOND[self.bad](value, self.value) for value in taken)

    def __str__(self) -> str:
        side = "below" if self.bad.startswith("<") else "above"
        of = f"{self.points} times " if self.points > 1 else ""
        return f"{of}{side} {self.name}"


def limits(marks: Iterable[Any]) -> Iterator[Limit]:
    """The horizontal annotations of a widget; bands are two of them.

    Raises ValueError, TypeError, AttributeError when they are none.
    """
    for mark in marks:
        if isinstance(mark, list):
            yield from (replace(limit, bad="") for limit in limits(mark))
        elif mark.get("value") is not None and mark.get("visible") is not False:
            label = str(mark.get("label") or "threshold")
            said = _OF_AN_ALARM.search(label)
            bad = _side(said[1] if said else mark.get("fill"))
            points = int(said[2] or 1) if said else 1
            axis = "right" if mark.get("yAxis") == "right" else "left"
            yield Limit(label, float(mark["value"]), bad, points, axis)


def _side(said: object) -> str:
    return str(beside(__file__, "metrics")["sides"].get(said, ""))


def as_alarmed(limit: Limit, alarms: Iterable[Json], drawn: Iterable[Series]) -> Limit:
    """The limit with the side of an alarm that has this threshold on one of the drawn metrics."""
    shown = set(drawn)
    for alarm in alarms if not limit.bad else ():
        of = Series.watched(alarm)
        side = _side(alarm["ComparisonOperator"])
        if of in shown and side and alarm.get("Threshold") == limit.value:
            points = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
            return replace(limit, bad=side, points=points, of=of)
    return limit


class Odd(ValueError):
    """What is written there is nothing that CloudWatch can be asked; why."""


class Row(NamedTuple):
    """One line, or several, of a widget: a query, where it is asked, on which axis it is drawn."""

    query: Json
    region: str
    axis: str
    series: Series | None  # None: an expression


class Widget(NamedTuple):
    """A metric widget. `odd`: what in it cannot be asked, and why."""

    title: str
    unit: str
    rows: list[Row]
    limits: list[Limit]
    odd: list[str]


def widgets(ops: Connection, dashboard: str) -> tuple[list[Widget], list[str]]:
    """The metric widgets of a dashboard, and what is not drawn (CloudWatch GetDashboard).

    `dashboard` is a name as the target's file calls it, or the dashboard's own. Its variables have
    the value with which CloudWatch opens it.
    """
    name = ops.target["dashboards"].get(dashboard, dashboard)
    text = ops.call("cloudwatch", "get_dashboard", DashboardName=name)["DashboardBody"]
    try:
        body = json.loads(text)
        found = list(body.get("widgets") or ())
        unset = list[str]()
        for variable in body.get("variables") or ():
            value = variable.get("defaultValue")
            if value == "__FIRST":  # of what CloudWatch finds when somebody opens it
                unset.append(f"variable {variable.get('label')!r} (has no value of its own)")
            elif value:
                found = _with(found, variable, value)
    except (AttributeError, TypeError, ValueError) as exc:
        raise OpsError(f"The body of dashboard {name!r} is not understood.") from exc
    drawn, left = read(found, ops.target.region, ops.target.account)
    return drawn, left + unset


def _with(part: Any, variable: Json, value: str) -> Any:
    """A part of the body in which a variable has that value: a text anywhere in it (a pattern), or
    a property, which is a key or a dimension.
    """
    pattern, key = variable.get("pattern"), variable.get("property")
    if isinstance(part, str):
        return part.replace(pattern, value) if pattern else part
    if isinstance(part, list):
        said = zip([None, *part], [_with(each, variable, value) for each in part], strict=False)
        return [value if key and before == key else each for before, each in said]
    if isinstance(part, dict):
        return {k: value if k == key else _with(v, variable, value) for k, v in part.items()}
    return part


def read(found: Iterable[Any], region: str, account: str) -> tuple[list[Widget], list[str]]:
    """Those of metrics, and the titles of others; of a dashboard in that region and account."""
    drawn, left = [], []
    for place, widget in enumerate(found, 1):
        told = widget if isinstance(widget, dict) else {}
        said = told.get("properties") or {}
        kind = told.get("type")
        title = str(said.get("title") or cut(str(said.get("markdown") or ""), 40))
        title = title or f"widget {place}"
        if kind != "metric":
            left.append(f"{title!r} ({kind or 'of no type'})")
        elif not said.get("metrics"):
            left.append(f"{title!r} (no metrics of its own)")
        else:
            drawn.append(_widget(title, {"region": region, **said}, account))
    return drawn, left


def _widget(title: str, said: Json, account: str) -> Widget:
    rows, odd = list[Row](), list[str]()
    above: list[str] = []
    units, known = set(), beside(__file__, "metrics")["units"]
    for place, row in enumerate(said["metrics"], 1):
        try:
            names, options = _unfolded(row, above)
            above = names or above
            rows.append(_row(place, names, {**said, **options}, options, account))
            units |= {known.get(names[1], "count")} if names else set()
        except Odd as exc:
            odd.append(f"row {place}: {exc}")
    unit = units.pop() if len(units) == 1 else "value"
    left = _of(_of(said, "yAxis"), "left")
    marks = _of(said, "annotations").get("horizontal") or ()
    try:
        marked = list(limits(marks))
    except (AttributeError, TypeError, ValueError):
        marked, odd = [], [*odd, "its lines (annotations) are not understood"]
    return Widget(title, str(left.get("label") or unit), rows, marked, odd)


def _of(said: Any, key: str) -> Json:
    part = said.get(key)
    return part if isinstance(part, dict) else {}


def _unfolded(row: Any, above: list[str]) -> tuple[list[str], Json]:
    """A row's metric (namespace, name, dimensions …) and its options.

    `.` repeats the item above it, `...` all but the last.
    """
    if not isinstance(row, list) or not row:
        raise Odd("it is empty" if row == [] else "it is no list")
    options = row[-1] if isinstance(row[-1], dict) else {}
    names = [str(item) for item in row if not isinstance(item, dict)]
    if "..." in names:
        at = names.index("...")
        last = names[at + 1 :]
        names[at:] = above[at : len(above) - len(last)] + last
    try:
        names = [above[place] if name == "." else name for place, name in enumerate(names)]
    except IndexError:
        raise Odd("`.` repeats what is not there") from None
    if "expression" not in options and (len(names) < 2 or len(names) % 2):
        raise Odd("a metric is a namespace, a name, and pairs of dimensions and values")
    return names, options


def _row(place: int, names: list[str], said: Json, own: Json, account: str) -> Row:
    whose = str(said.get("accountId") or account)
    if whose != account:
        raise Odd(f"it is of account {whose}, which is not asked with this one's login")
    id, period = str(own.get("id") or f"line{place - 1}"), _period(said.get("period"))
    series = None
    if "expression" in own:
        query: Json = {"Id": id, "Expression": str(own["expression"]), "Period": period}
    else:
        dimensions = dict(zip(names[2::2], names[3::2], strict=True))
        statistic = str(said.get("stat") or "Average")
        query = metrics.asked(id, names[0], names[1], dimensions, statistic, period)
        series = Series(names[0], names[1], frozenset(dimensions.items()))
    label = {"Label": str(own["label"])} if own.get("label") else {}
    query |= label | {"ReturnData": own.get("visible") is not False}
    axis = "right" if own.get("yAxis") == "right" else "left"
    return Row(query, str(said["region"]), axis, series)


def _period(said: Any) -> int:
    if said in (None, "auto"):
        return _PERIOD
    try:
        return int(said)
    except (TypeError, ValueError):
        raise Odd(f"period {said!r} is no number of seconds") from None


def needed(rows: Iterable[Row], row: Row) -> list[Row]:
    """A row with those that its expression names, and that these name in turn."""
    others = defaultdict[str, list[Row]](list)
    for each in rows:
        others[each.query["Id"]].append(each)
    found, waiting = list[Row](), [row]
    while waiting:
        each = waiting.pop()
        found.append(each)
        for name in _names(each.query.get("Expression", ""), others):
            waiting += [other for other in others[name] if other not in (*found, *waiting)]
    return found


def _names(expression: str, ids: Iterable[str]) -> Iterator[str]:
    words = set(re.findall(r"[A-Za-z]\w*", expression))
    yield from (id for id in ids if id in words or "METRICS" in words)
