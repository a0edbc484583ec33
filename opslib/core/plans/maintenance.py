"""When a target is changed as a matter of course: its maintenance windows, which are in UTC."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import product

from opslib.core.connections.connection import Connection
from opslib.core.plans.plans import Step
from opslib.core.times import Window, clock

SECTION = "maintenance"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = timedelta(days=1)
_FORTNIGHT, _FIFTH = 15, 100  # days in which each opens, also the fifth Sunday of a month


def openings(ops: Connection) -> list[Window]:
    """The windows of the next weeks, one that is open now first; those that touch are one.

    Empty where the target's file describes none.
    """
    now, joined = ops.now(), list[Window]()
    for start, end in sorted(_described(ops, now)):
        if joined and start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(end, joined[-1].end))
        else:
            joined.append(Window(start, end))
    return [each for each in joined if each.end > now]


def _described(ops: Connection, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """`until` is of the next day where it is not after `from`."""
    described = ops.target.at(SECTION)
    days = _FIFTH if any("weeks" in each for each in described) else _FORTNIGHT
    for each, day in product(described, range(-8, days)):
        at = now + day * _DAY
        week = (at.day + 6) // 7  # the first Sunday of a month is in its first seven days
        if DAYS[at.weekday()] in each["days"] and week in each.get("weeks", [week]):
            opens, closes = (time.fromisoformat(each[name]) for name in ("from", "until"))
            start, end = (datetime.combine(at, hour, UTC) for hour in (opens, closes))
            yield start, end if end > start else end + _DAY


def is_open(ops: Connection, within: Window) -> bool:
    return within.start <= ops.now()


def told(ops: Connection, within: Window) -> str:
    """Inside or outside now, in words; `within`: the first of `openings`."""
    now = ops.now()
    if is_open(ops, within):
        return (
            f"Inside the maintenance window, until {clock(within.end, now)} UTC: "
            f"{long(within.end - now)} left."
        )
    return (
        f"Outside the maintenance window: it opens {within.start:%A %Y-%m-%d %H:%M} UTC for "
        f"{long(within.end - within.start)}, in {long(within.start - now)}."
    )


def long(span: timedelta) -> str:
    """2 d 4 h, 3 h 20 min, 40 min: what matters of it."""
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return (
        " ".join(filter(None, (f"{hours} h" * bool(hours), f"{minutes} min" * bool(minutes))))
        or "less than a minute"
    )


def phrase(ops: Connection) -> str:
    """What is typed to change production outside of it."""
    return f"{ops.target.name} outside the window"


def wanted(ops: Connection) -> str:
    """What is typed now to change it: its name, or the phrase; empty where it is no production."""
    if not ops.target.production:
        return ""
    return phrase(ops) if outside(ops) else ops.target.name


def outside(ops: Connection) -> str:
    """That it is outside of its windows now, in words; empty inside, and where it has none."""
    first = next(iter(openings(ops)), None)
    return "" if first is None or is_open(ops, first) else told(ops, first)


def notes(ops: Connection, steps: Iterable[Step]) -> list[str]:
    """What a plan says of it. How long steps may wait is known, how long they take is not."""
    found = openings(ops)
    if not found or not steps:
        return []
    said = told(ops, found[0])
    if not is_open(ops, found[0]):
        how = f" To apply it all the same: confirm = {phrase(ops)!r}." * ops.target.production
        return [f"{said}{how}"]
    waits = (step.do.get("timeout_seconds") or step.do.get("seconds") or 0 for step in steps)
    most = timedelta(seconds=sum(waits))
    if ops.now() + most > found[0].end:
        said += f" Its steps may wait for up to {long(most)}: it may end outside."
    return [said]
