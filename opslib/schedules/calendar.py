"""When something is due: the five fields of cron, in UTC.

Written here since it is a page: the fields are what everybody knows, crontab and Airflow read the
same text, and a library for it would be one more to keep. What cron has beside them (@reboot, L, W,
#, names of zones) is refused, never guessed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, product

from opslib.core import UsageError, beside

_FIELDS: list[tuple[str, int, int, list[str]]] = beside(__file__, "calendar")
DAYS = _FIELDS[-1][-1]
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")
_LEAP = 8 * 366  # days after which the 29th of February has come again


@dataclass(frozen=True)
class When:
    """Moments that come again, to the minute, UTC. `text`: as cron has it."""

    text: str
    fields: Sequence[frozenset[int]] = field(repr=False)  # in cron's order
    either: bool = field(repr=False)  # day and weekday are both said: one of them is enough

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Each moment after the one and up to the other (inclusive), in order."""
        first = after.astimezone(UTC).date()
        for ahead in range((until.astimezone(UTC).date() - first).days + 1):
            day = first + timedelta(days=ahead)
            for at in self._of(day):
                if after < at <= until:
                    yield at

    def next(self, after: datetime) -> datetime:
        """The first moment after that one."""
        return next(self.between(after, after + timedelta(days=_LEAP)))

    def _of(self, day: date) -> Iterator[datetime]:
        minutes, hours, days, months, weekdays = self.fields
        fits = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month in months and (any(fits) if self.either else all(fits)):
            for hour, minute in product(sorted(hours), sorted(minutes)):
                yield datetime.combine(day, time(hour, minute), UTC)


def cron(text: str) -> When:
    """`0 7 * * mon-fri`: minute, hour, day, month, weekday. Raises UsageError."""
    parts = text.lower().split()
    if len(parts) != len(_FIELDS):
        raise UsageError(
            f"{text!r} has {len(parts)} fields; cron has five: minute hour day month weekday"
        )
    *fields, weekdays = (_values(each, *of) for each, of in zip(parts, _FIELDS, strict=True))
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    fields.append(frozenset(number % 7 for number in weekdays))
    made = When(" ".join(parts), fields, either)
    today = datetime.now(UTC)
    if not list(islice(made.between(today, today + timedelta(days=_LEAP)), 1)):
        raise UsageError(f"{text!r} never comes: there is no such day")
    return made


def daily(at: str, days: Sequence[str] = ()) -> When:
    """`07:00`, on every day or on those (`mon`, …)."""
    hour, minute = at.split(":")
    return cron(f"{int(minute)} {int(hour)} * * {','.join(days) or '*'}")


def _values(text: str, name: str, least: int, most: int, names: Sequence[str]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        hit = _PART.fullmatch(part)
        if not hit:
            raise UsageError(f"{part!r} is no {name}: write *, 5, 1-5, */15 or 1,15")
        first, last, step = hit.groups()
        low = least if first is None else _number(first, name, names)
        open_end = first is None or (step and not last)
        high = most if open_end else _number(last or first, name, names)
        if not least <= low <= high <= most or step == "0":
            raise UsageError(f"{part!r} is no {name}: from {least} to {most}, the smaller first")
        found.update(range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, name: str, names: Sequence[str]) -> int:
    if text and text in names:
        return names.index(text)
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{text!r} is no {name}")
    return int(text)
