"""Values that follow the day: pure functions of the time since the lab's start and of a seed.

A rhythm is anchored to the lab's start, not to the wall clock: whenever a lab starts, its day is at
`START_HOUR` plus the clock offset, so what is found does not depend on the time of day.

A baseline takes the start of a minute (epoch seconds, UTC) and answers that minute's `Value`:
a number (one sample), `Samples` (a distribution), or None (no datapoint).

    calls = daily_rhythm(2, 40, noise=0.2, seed=7)
    store.baseline("AWS/Lambda", "Invocations", dims, counts(calls, seed=7), "Count")
    store.baseline("AWS/Lambda", "Errors", dims, shares(0.002, calls, seed=8), "Count")
    store.baseline("AWS/Lambda", "Duration", dims, latencies(daily_rhythm(180, 260, 0.1, 9), calls),
    "Milliseconds")
"""

import math
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from statistics import NormalDist
from typing import NamedTuple

START_HOUR = 11.0
MINUTE = 60


class Samples(NamedTuple):
    """A minute's samples: values, and how often each was seen (fractions are allowed)."""

    values: Sequence[float]
    counts: Sequence[float]


Value = float | Samples | None
Rhythm = Callable[[float], float]
Baseline = Callable[[float], Value]


class _Anchor:
    start: float = 0.0
    offset: float = 0.0


def set_anchor(start: datetime, clock_offset_hours: float = 0.0) -> None:
    """Bind every rhythm to the lab's start. Called once, before anything is asked.

    The start is taken to its five minutes, so that the minutes of a five-minute period stay
    together.
    """
    _Anchor.start = start.timestamp() // 300 * 300
    _Anchor.offset = clock_offset_hours


def now() -> float:
    """Epoch seconds; nothing is answered for later times."""
    return time.time()


def hour_of_day(timestamp: float) -> float:
    """The lab's own hour, 0 to 24."""
    return ((timestamp - _Anchor.start) / 3600 + START_HOUR + _Anchor.offset) % 24


def chance(seed: int | str, timestamp: float) -> float:
    """A number in [0, 1) that depends only on the seed and on the minute since the lab's start."""
    return _chance(_phase(seed), (timestamp - _Anchor.start) // MINUTE)


def _phase(seed: int | str) -> float:
    return (zlib.crc32(str(seed).encode()) % 100_003) * 0.618


def _chance(phase: float, minute: float) -> float:
    # Floats only: a day of twenty metrics asks this some 50,000 times, and integer hashes cost four
    # times as much.
    return math.sin(minute * 12.9898 + phase) * 43758.5453 % 1.0


def daily_rhythm(
    base: float, peak: float, noise: float = 0.05, seed: int | str = 0, peak_hour: float = 14
) -> Rhythm:
    """From `base` at night to `peak` at `peak_hour`,
    with ± `noise` (a share of the value) each minute.
    """
    phase = _phase(seed)

    def rhythm(timestamp: float) -> float:
        since = timestamp - _Anchor.start
        angle = (since / 3600 + START_HOUR + _Anchor.offset - peak_hour) * math.pi / 12
        value = base + (peak - base) * math.pow(0.5 + 0.5 * math.cos(angle), 1.5)
        return value * (1 + noise * (2 * _chance(phase, since // MINUTE) - 1)) if noise else value

    return rhythm


def counts(rate: Rhythm | float, seed: int | str = 0) -> Rhythm:
    """Whole numbers around a rate a minute: 0.2 is a one in every fifth minute or so."""
    fn, phase = _as_rhythm(rate), _phase(seed)
    return lambda timestamp: math.floor(
        fn(timestamp) + _chance(phase, (timestamp - _Anchor.start) // MINUTE)
    )


def shares(share: Rhythm | float, calls: Rhythm | float, seed: int | str = 0) -> Baseline:
    """A sample of 1 for each failed call and of 0 for each other, as Lambda's Errors are (Average.

    The rate).
    """
    share_of, calls_of, phase = _as_rhythm(share), _as_rhythm(calls), _phase(seed)

    def fn(timestamp: float) -> Value:
        total = math.floor(calls_of(timestamp))
        if total <= 0:
            return None
        ones = math.floor(
            total * share_of(timestamp) + _chance(phase, (timestamp - _Anchor.start) // MINUTE)
        )
        ones = min(total, ones)
        return (
            Samples((0.0, 1.0), (float(total - ones), float(ones)))
            if ones
            else Samples((0.0,), (float(total),))
        )

    return fn


# Shares of a minute's calls, and where in the distribution each stands: finer in the tail, where
# p99 looks.
_WEIGHTS = (*(0.1,) * 9, 0.05, 0.04, 0.01)
_QUANTILES = (*(0.05 + 0.1 * step for step in range(9)), 0.925, 0.97, 0.995)


def latencies(median: Rhythm | float, calls: Rhythm | float, spread: float = 0.5) -> Baseline:
    """A log-normal distribution of `calls` samples around a median.

    P95 is about e^(1.6 × spread) medians.
    """
    median_of, calls_of = _as_rhythm(median), _as_rhythm(calls)
    factors = tuple(math.exp(spread * NormalDist().inv_cdf(quantile)) for quantile in _QUANTILES)

    def fn(timestamp: float) -> Value:
        total = math.floor(calls_of(timestamp))
        if total <= 0:
            return None
        middle = median_of(timestamp)
        return Samples(
            [middle * factor for factor in factors], [total * weight for weight in _WEIGHTS]
        )

    return fn


def _as_rhythm(value: Rhythm | float) -> Rhythm:
    return value if callable(value) else lambda _: value
