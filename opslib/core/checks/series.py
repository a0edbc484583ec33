"""What a series says beside its newest value: that it fell silent, and when it meets its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from opslib.core.times import clock

if TYPE_CHECKING:
    import pandas as pd

WEEK, PERIOD = timedelta(days=7), timedelta(minutes=5)
_STEP = timedelta(minutes=15)  # of a series that is projected
_HOURS = (2, 6)  # a change is looked for over so long
_REACH = 12  # and is believed to go on for so many times as long
_MANY, _FALLEN = 100, 0.1  # where each week had so many in the hour, so small a share is a fall
_RUNS = 5  # that make a habit
_BEYOND = 1.5  # it is no rhythm when it is so much more than any of its length before
_DAYS = 3  # or when, for so long, each hour was nearer to the limit than a day before


class Silence(NamedTuple):
    """How long nothing was seen, or next to nothing; the least that earlier weeks had then."""

    since: datetime | None  # None: not in all of the window
    minutes: float
    usual: float
    seen: float = 0


def silence(now: datetime, present: pd.Series, earlier: Sequence[pd.Series]) -> Silence | None:
    """Whether nothing is seen now, while in each of the weeks before something was at this time.

    Or so little in the last hour that it is less than a tenth of what each of them had.

    `present` and each of `earlier` count what was seen in the five minutes from a time, over
    windows of one length that end now, a week ago, two weeks ago. A system younger than two weeks
    has no habit: None.
    """
    while earlier and not earlier[-1].sum():
        earlier = earlier[:-1]  # before it was there
    if len(earlier) < 2:
        return None
    seen = present[present > 0]
    weeks = {number * WEEK: of for number, of in enumerate(earlier, 1)}
    since = seen.index[-1].to_pydatetime() + PERIOD if len(seen) else None
    begin = since or min(of.index[0] + ago for ago, of in weeks.items() if len(of))
    hour = now - timedelta(hours=1)
    least, few = _least(weeks, hour), float(present[present.index >= hour].sum())
    if now - begin < 3 * PERIOD and least >= _MANY and few < _FALLEN * least:
        return Silence(hour, 60, least, few)
    return Silence(since, (now - begin) / timedelta(minutes=1), _least(weeks, begin))


def _least(weeks: Mapping[timedelta, pd.Series], begin: datetime) -> float:
    """Of what each of the weeks saw since then."""
    return float(min(of[of.index >= begin - ago].sum() for ago, of in weeks.items()))


class Overdue(NamedTuple):
    """Since when nothing began, and how many hours apart two were at most."""

    since: datetime
    usual: float

    def told(self, now: datetime) -> str:
        since = clock(self.since, now)
        apart = f"{self.usual:.0f} h" if self.usual >= 2 else f"{60 * self.usual:.0f} min"
        return f"none since {since} UTC; two were never more than {apart} apart"


def overdue(now: datetime, moments: pd.Series) -> Overdue | None:
    """Whether what began again and again for two weeks, or a thousand times, begins no more.

    Nothing for longer than ever between two, and a fifth more or an hour.
    """
    import pandas as pd

    times = moments.sort_values()
    if len(times) < _RUNS or (len(times) < 1000 and now - times.iloc[0] < 2 * WEEK):
        return None
    usual, since = times.diff().max(), times.iloc[-1]
    late = now - since > max(1.2 * usual, usual + pd.Timedelta(hours=1))
    return Overdue(since.to_pydatetime(), usual / pd.Timedelta(hours=1)) if late else None


def hours_left(values: pd.Series, limit: float) -> float | None:
    """In how many hours a series of weeks meets its limit; None when it does not go there.

    A change of some hours counts when it is steady and no rhythm: without its largest step more
    than any of its length in the days before the last three, which were of less traffic. One of
    days counts when each hour is nearer to the limit than a day before. Of less than two days
    nothing is said.
    """
    import numpy as np

    even = values.resample(_STEP).median().interpolate()
    day, sign = int(timedelta(days=1) / _STEP), 1.0 if limit > even.median() else -1.0
    if len(even) < 2 * day:
        return None
    young = _DAYS * day if len(even) > 2 * _DAYS * day else day  # what may be under way
    nearer, distance = even * sign, abs(limit - even.iloc[-4:].median())
    found = []
    for hours in _HOURS:
        steps = int(timedelta(hours=hours) / _STEP)
        before = nearer.diff(steps).iloc[:-young].max()
        present, then = even.iloc[-steps // 2], even.iloc[-steps // 2 - day]
        before *= min(3.0, max(1.0, present / max(then, 1e-9)))  # twice the traffic rises as much
        last = nearer.iloc[-steps - 1 :].to_numpy()
        total, each = last[-1] - last[0], np.diff(last)
        step = (last[2:] - last[:-2]).max()  # it may fall between two
        steady = (each > 0).mean() >= 0.7 and step <= total / 2
        if total - step > _BEYOND * max(0.0, before) and steady:
            left = distance / _slope(last)
            found += [left] if left <= _REACH * hours else []
    grown = nearer.diff(day).iloc[-_DAYS * day :].dropna()
    if len(grown) == _DAYS * day and (grown > 0).mean() >= 0.95:
        found.append(distance / (grown.median() / 24))
    return float(min(found)) if found else None


def _slope(values: Sequence[float]) -> float:
    """An hour's change: the median of those between any two values (Theil and Sen)."""
    import numpy as np

    first, second = np.triu_indices(len(values), 1)
    rises = (np.take(values, second) - np.take(values, first)) / (second - first)
    return float(np.median(rises) * (timedelta(hours=1) / _STEP))
