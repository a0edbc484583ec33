"""The lab's metrics of one account and region: three layers, read a minute at a time.

Baselines are functions of time; nothing is kept for them. Gauges read the lab's true state: a query
that
covers the present minute reads it now, `tick` keeps it for later. Overlays are what a drill lays
over a
window. Points put with PutMetricData are kept and added to whatever else there is.

Times are epoch seconds or aware datetimes; dimensions are {name: value} and match exactly.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import itemgetter, mul
from typing import NamedTuple

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from werkzeug.exceptions import HTTPException

from opslib.lab import rhythms
from opslib.lab.corrections.cloudwatch.statistics import extended, is_extended
from opslib.lab.rhythms import MINUTE, Baseline, Samples, Value

Time = float | datetime
State = Callable[[], tuple[float, str]]
_KEPT = 3_000  # minutes of a metric
_time = itemgetter(0)


class Key(NamedTuple):
    """What a metric is.

    The same name in another namespace or with other dimensions is another metric.
    """

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]


class StatisticSet(NamedTuple):
    """What PutMetricData's StatisticValues say of many samples."""

    total: float
    samples: float
    minimum: float
    maximum: float


@dataclass(eq=False)
class Overlay:
    """A window [start, end) of one metric in which `fn` holds; `remove()` takes it away."""

    start: float
    end: float
    fn: Baseline
    add: bool
    series: Series

    def remove(self) -> None:
        if self in self.series.overlays:
            self.series.overlays.remove(self)


@dataclass(eq=False)
class Series:
    """One metric: its layers."""

    key: Key
    unit: str = "None"
    baseline: Baseline | None = None
    known: tuple[State, Callable[[str, float], Value]] | None = None  # the baseline, while it lasts
    gauge: Callable[[], Value] | None = None
    gauged: list[tuple[float, Value]] = field(default_factory=list)
    overlays: list[Overlay] = field(default_factory=list)
    points: list[tuple[float, Samples | StatisticSet]] = field(default_factory=list)

    def put(self, timestamp: float, point: Samples | StatisticSet) -> None:
        bisect.insort(self.points, (timestamp, point), key=_time)

    def keep(self, minute: float) -> None:
        """What the gauge reads now, as the value of a minute."""
        if self.gauge:
            entry = (minute, _measured(self.gauge))
            if self.gauged and self.gauged[-1][0] >= minute:
                self.gauged[-1] = (self.gauged[-1][0], entry[1])
            else:
                self.gauged.append(entry)

    def reader(self, present: float) -> Baseline:
        """What baseline, gauge and overlays together say of a minute."""
        base = self.baseline or _nothing
        if self.known:
            state, read = self.known
            since, now = state()

            def base(minute: float) -> Value:
                return read(now if minute + MINUTE > since else "", minute)

        if self.overlays:
            return lambda minute: self._overlaid(base, minute, present)
        if self.gauge or self.gauged:
            return lambda minute: self._below(base, minute, present)
        return base

    def _overlaid(self, base: Baseline, minute: float, present: float) -> Value:
        added: list[Value] = []
        for overlay in reversed(self.overlays):
            if overlay.start <= minute < overlay.end:
                added.append(overlay.fn(minute))
                if not overlay.add:
                    return _together(added)
        return _together([*added, self._below(base, minute, present)])

    def _below(self, base: Baseline, minute: float, present: float) -> Value:
        if self.gauge and minute == present:
            return _measured(self.gauge)
        if self.gauged and minute >= self.gauged[0][0]:
            # A minute that was not kept has the value of the one before it: state lasts until it
            # changes.
            return self.gauged[bisect.bisect_right(self.gauged, minute, key=_time) - 1][1]
        return base(minute)


def _nothing(_: float) -> Value:
    return None


def _measured(read: Callable[..., Value], *minute: float) -> Value:
    """Of what somebody deleted nothing is measured; the other metrics go on."""
    try:
        return read(*minute)
    except (ClientError, HTTPException, ServiceException):
        return None


def _together(values: list[Value]) -> Value:
    """One value of all the samples in several."""
    present = [value for value in values if value is not None]
    if len(present) < 2:
        return present[0] if present else None
    bucket = Bucket()
    for value in present:
        bucket.add(value)
    return Samples(bucket.values, bucket.counts)


class Bucket:
    """The samples of one period, and the statistics of them."""

    __slots__ = ("counts", "sets", "values")

    def __init__(self) -> None:
        self.values: list[float] = []
        self.counts: list[float] = []
        self.sets: list[StatisticSet] = []

    def add(self, value: Value | StatisticSet) -> None:
        if isinstance(value, Samples):
            self.values.extend(value.values)
            self.counts.extend(value.counts)
        elif isinstance(value, StatisticSet):
            self.sets.append(value)
        elif value is not None:
            self.values.append(float(value))
            self.counts.append(1.0)

    def __bool__(self) -> bool:
        return bool(self.values or self.sets)

    def statistic(self, name: str) -> float | None:
        """Sum, SampleCount, Average, Minimum, Maximum, or an extended one (p99.9, TM(:99%)).

        None when it has none.
        """
        if name == "Sum":
            return float(sum(map(mul, self.values, self.counts)) + sum(s.total for s in self.sets))
        if name == "SampleCount":
            return sum(self.counts) + sum(s.samples for s in self.sets)
        if name == "Average":
            count = self.statistic("SampleCount")
            return (self.statistic("Sum") or 0.0) / count if count else None
        if name == "Minimum":
            return min([*self.values, *(s.minimum for s in self.sets)])
        if name == "Maximum":
            return max([*self.values, *(s.maximum for s in self.sets)])
        return self._extended(name)

    def _extended(self, name: str) -> float | None:
        pairs = list(zip(self.values, self.counts, strict=True))
        for each in self.sets:
            # A statistic set says nothing of its distribution, unless there is none (as in AWS).
            if each.samples != 1 and each.minimum != each.maximum:
                return None
            pairs.append((each.maximum, each.samples))
        return extended(name, sorted(pairs)) if pairs else None


STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")


def is_statistic(name: str) -> bool:
    return name in STATISTICS or is_extended(name)


class Store:
    """The metrics of one account and region."""

    def __init__(self) -> None:
        self.series: dict[Key, Series] = {}
        self._lock = threading.RLock()

    def baseline(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        fn: Baseline,
        unit: str = "None",
        state: State | None = None,
    ) -> None:
        """`fn(epoch seconds of a minute) -> number | Samples | None`, for every minute up to now.

        See `rhythms`. `state`: all that it depends on beside the minute, and since when that is
        other than it was seeded; while it is the same, each minute is asked for once, one of
        before then only ever once.
        """
        series = self._series(namespace, metric, dimensions, unit)
        series.baseline = fn
        series.known = (state, lru_cache(_KEPT)(lambda _, minute: fn(minute))) if state else None

    def gauge(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        read: Callable[[], Value],
        unit: str = "None",
    ) -> None:
        """`read()` answers the lab's state now.

        Before this call the baseline, if any, is the history.
        """
        series = self._series(namespace, metric, dimensions, unit)
        series.gauge = read
        series.keep(rhythms.now() // MINUTE * MINUTE)

    def overlay(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        start: Time,
        end: Time | None,
        fn: Baseline,
        unit: str = "None",
        add: bool = False,
    ) -> Overlay:
        """`fn` instead of the layers below (or, with `add`, in addition) from start until end,
        or for good.
        """
        series = self._series(namespace, metric, dimensions, unit)
        last = float("inf") if end is None else epoch(end)
        overlay = Overlay(epoch(start) // MINUTE * MINUTE, last, fn, add, series)
        series.overlays.append(overlay)
        return overlay

    def put(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        timestamp: Time,
        point: Samples | StatisticSet | float,
        unit: str = "None",
        resolution: int = MINUTE,
    ) -> None:
        """One datapoint, as PutMetricData keeps it.

        At its minute (or second, with a resolution of 1).
        """
        sample = Samples((float(point),), (1.0,)) if isinstance(point, int | float) else point
        with self._lock:
            series = self._series(namespace, metric, dimensions, unit)
            series.put(epoch(timestamp) // resolution * resolution, sample)

    def drop(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        minute: float,
        value: float,
    ) -> None:
        """Takes back a point that was put."""
        series = self.series.get(make_key(namespace, metric, dimensions))
        with self._lock, suppress(ValueError):
            if series:
                series.points.remove((minute, Samples((float(value),), (1.0,))))

    def tick(self) -> None:
        """Keeps what every gauge reads. Called each minute."""
        for series in list(self.series.values()):
            series.keep(rhythms.now() // MINUTE * MINUTE)

    def known(self) -> list[Key]:
        """The metrics that have any data, in order."""
        held = list(self.series.values())
        return sorted(s.key for s in held if s.baseline or s.gauge or s.overlays or s.points)

    def _series(
        self, namespace: str, metric: str, dimensions: Mapping[str, str], unit: str
    ) -> Series:
        key = make_key(namespace, metric, dimensions)
        with self._lock:
            series = self.series.setdefault(key, Series(key))
        if unit != "None":
            series.unit = unit
        return series

    def buckets(
        self, key: Key, start: float, end: float, period: int
    ) -> Iterator[tuple[float, Bucket]]:
        """(period's start, its samples) of every period in [start, end) that has any, up to now,
        oldest first.
        """
        series = self.series.get(key)
        if series is None:
            return
        now = rhythms.now()
        end, read = min(end, now + 1e-6), series.reader(now // MINUTE * MINUTE)
        position = bisect.bisect_left(series.points, start, key=_time)
        while start < end:
            bucket, stop = Bucket(), min(start + period, end)
            minute = -(-start // MINUTE) * MINUTE
            while minute < stop:
                bucket.add(_measured(read, minute))
                minute += MINUTE
            while position < len(series.points) and series.points[position][0] < stop:
                bucket.add(series.points[position][1])
                position += 1
            if bucket:
                yield start, bucket
            start += period


def make_key(namespace: str, metric: str, dimensions: Mapping[str, str]) -> Key:
    return Key(namespace, metric, tuple(sorted(dimensions.items())))


def epoch(time: Time) -> float:
    return time.timestamp() if isinstance(time, datetime) else time
