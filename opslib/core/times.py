"""Windows of time: what a read looks at, from when to when."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.core.errors import UsageError


@dataclass(frozen=True)
class Window:
    """From start (inclusive) to end, both UTC."""

    start: datetime
    end: datetime

    @property
    def minutes(self) -> float:
        return (self.end - self.start).total_seconds() / 60

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {clock(self.end, self.start)} UTC"


def window(ops: Any, minutes: float = 60, since: str = "", until: str = "") -> Window:
    """The last minutes; or from `since` (to `until`, else now).

    `30m`, `2h`, `1d` ago, or an ISO time, UTC.

    Raises UsageError for a time that cannot be read, and for a window that is empty or lies in the
    future.
    """
    now = ops.now()
    end = moment(until, now) if until else now
    try:
        start = moment(since, now) if since else end - timedelta(minutes=minutes)
    except (OverflowError, ValueError) as exc:
        raise UsageError(f"{minutes:g} minutes are no window of time ({exc}).") from exc
    if not start < end or start > now:
        raise UsageError(
            f"Nothing lies between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC (now "
            f"{now:%H:%M}): "
            "since must be before until, and minutes more than 0."
        )
    return Window(start.astimezone(UTC), end.astimezone(UTC))


def as_iso(said: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with each moment as text in ISO."""
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in said.items()}


def clock(when: Any, near: datetime) -> str:
    """A moment as text: hours and minutes, with month and day unless the date is that of `near`,
    and with its year unless that is.
    """
    day = "" if when.date() == near.date() else "%m-%d " if when.year == near.year else "%Y-%m-%d "
    return str(when.strftime(f"{day}%H:%M"))


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


_AGO = re.compile(
    r"(\d+)\s*(s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?)?)"
    r"(?:\s+ago)?"
)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?Z?")
SKEW = timedelta(minutes=2)  # of clocks of two machines


def is_relative(text: str) -> bool:
    """Whether a moment is said as so long ago, or as a time of the day: later it is another one."""
    said = text.strip().removesuffix(" UTC")
    return said == "now" or bool(_AGO.fullmatch(said) or _CLOCK.fullmatch(said))


def moment(text: str, now: datetime | None = None) -> datetime:
    """`30m`, `12h`, `1d`, `2w` (ago), `now`, `14:05` as it was last, or an ISO date or time; UTC
    unless it says.

    Raises UsageError.
    """
    said, now = text.strip().removesuffix(" UTC"), now or datetime.now(UTC)
    try:
        if ago := _AGO.fullmatch(said):
            return now - timedelta(**{_UNITS[ago[2][0]]: int(ago[1])})
        if of_day := _CLOCK.fullmatch(said):
            hour, minute, second = (int(part or 0) for part in of_day.groups())
            found = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
            return found - timedelta(days=found > now + SKEW)
        found = now if said == "now" else datetime.fromisoformat(said)
    except (OverflowError, ValueError) as exc:
        raise UsageError(
            f"{text!r} is no time. Write 30m, 12h, 1d or 2w (ago), 14:05, or a date like "
            "2026-11-22 14:05."
        ) from exc
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def past(text: str) -> datetime:
    """A moment that was, as `moment` reads it; UTC. Raises UsageError: it lies in the future."""
    now = datetime.now(UTC)
    found = moment(text, now)
    if found > now + SKEW:
        raise UsageError(
            f"{text} lies in the future (now {now:%Y-%m-%d %H:%M} UTC). Times are UTC."
        )
    return found.astimezone(UTC)
