"""Windows of time: what a read looks at, from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib.errors import UsageError

if TYPE_CHECKING:
    from opslib.connections import Connection


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


def window(ops: Connection, minutes: float = 60, since: str = "", until: str = "") -> Window:
    """The last minutes; or from `since` (to `until`, else now). `30m`, `2h`, `1d` ago, or an ISO time, UTC.

    Raises UsageError for a time that cannot be read, and for a window that is empty or lies in the future.
    """
    from opslib import records

    now = ops.now()
    end = records.since(until, now) if until else now
    start = records.since(since, now) if since else end - timedelta(minutes=minutes)
    if not start < end or start > now:
        raise UsageError(
            f"Nothing lies between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC (now {now:%H:%M}): "
            "since must be before until, and minutes more than 0."
        )
    return Window(start.astimezone(UTC), end.astimezone(UTC))


def clock(moment: Any, near: datetime) -> str:
    """A moment as text: hours and minutes, with month and day when that is not the date of `near`."""
    return str(moment.strftime("%H:%M" if moment.date() == near.date() else "%m-%d %H:%M"))
