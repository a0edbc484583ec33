"""The metrics of a quiet day as an estate's `metrics` gives them, and what is counted of the requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from opslib.lab import rhythms
from opslib.lab.forms.data import Counted, Measured, Metric
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.placeholders import filled
from opslib.lab.traffic import traffic
from opslib.lab.traffic.traffic import ANSWERED, Request

_DAY_SECONDS = 86_400.0


def seed(place: Place, every: Mapping[str, Measured]) -> None:
    """`every`: by the name that its numbers are drawn with."""
    for name, group in every.items():
        number = names.number(place, name)
        for dimensions in [filled(place, each) for each in group.dimensions]:
            for at, each in enumerate(group.day):
                metric, fn, unit = _told(place, each, number + at, group.whole)
                place.metrics.baseline(group_space(place, group), metric, dimensions, fn, unit)
            for metric, counted in group.requests.items():
                fn = _counted(place, counted)
                place.metrics.baseline(group_space(place, group), metric, dimensions, fn, "Count")


def group_space(place: Place, group: Measured) -> str:
    return str(filled(place, group.namespace))


def _told(
    place: Place, each: Metric | tuple[str, float, float, float, str], seed: int, whole: list[str]
) -> tuple[str, Callable[[float], float], str]:
    """Its name, its value by the minute, its unit."""
    if isinstance(each, Metric):
        start = names.start(place).timestamp()
        return each.metric, partial(_straight, each, start), each.unit
    metric, night, day, noise, unit = each
    rhythm = rhythms.daily_rhythm(night, day, noise, seed)
    return metric, rhythms.counts(rhythm, seed) if metric in whole else rhythm, unit


def _straight(metric: Metric, start: float, minute: float) -> float:
    return metric.value + metric.per_day * (minute - start) / _DAY_SECONDS


def _counted(place: Place, which: Counted) -> Callable[[float], float]:
    def fn(minute: float) -> float:
        happened = traffic.of(place).happened(minute)
        return float(sum(each.outcome == ANSWERED and _is(which, each) for each in happened))

    return fn


def _is(which: Counted, request: Request) -> bool:
    return (
        which.method in (None, request.method)
        and which.path in (None, request.path)
        and which.status in (None, request.status)
        and which.but != request.status
    )
