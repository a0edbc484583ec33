"""Lines that are written on a widget: which of them are limits, of which side, and of what.

A line alone says nothing of what is bad. It does where it is filled above or below, and where an
alarm on one of the metrics has that threshold. Any other is drawn, and not judged.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from opslib.core import Json, beside

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
    def watched(cls, alarm: Json) -> Series:
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
