"""The events of the lab's log groups.

One time-ordered list a group, one a stream, searched with bisect.
"""

import itertools
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from operator import attrgetter
from time import time
from typing import Any

from moto.core.utils import utcfromtimestamp
from moto.logs.models import LogGroup

from opslib.lab.aws.copies import lasting

Entry = tuple[int, str, str]  # milliseconds, stream, message

_lock = threading.RLock()
_numbers = itertools.count()
_time = attrgetter("timestamp")
_place = attrgetter("timestamp", "number")


@lasting
class Event:
    """One log event: nothing of it ever changes, and what was read of it is true of it again.

    Takes the place of moto's LogEvent, which is found by walking through every stream.
    """

    __slots__ = ("ingestion_time", "message", "number", "read", "stream", "timestamp")

    def __init__(self, ingestion_time: int, log_event: dict[str, Any], stream: str = "") -> None:
        self.ingestion_time = ingestion_time
        self.timestamp: int = log_event["timestamp"]
        self.message: str = log_event["message"]
        self.stream = stream
        self.number = next(_numbers)
        self.read: dict[str, Any] = {}  # what was found in the message, by what was looked for

    def once(self, what: str, look: Callable[[str], Any]) -> Any:
        """What a look finds in the message, which one query after the other wants to know."""
        if what not in self.read:
            self.read[what] = look(self.message)
        return self.read[what]

    @property
    def event_id(self) -> str:
        """56 digits that sort as the events do, as AWS's do."""
        return f"{self.timestamp:020d}{self.number:036d}"

    def to_filter_dict(self) -> dict[str, Any]:
        return {"eventId": self.event_id, "logStreamName": self.stream, **self.to_response_dict()}

    def to_response_dict(self) -> dict[str, Any]:
        return {
            "ingestionTime": self.ingestion_time,
            "message": self.message,
            "timestamp": self.timestamp,
        }


def ingest(group: LogGroup, entries: Iterable[Entry], delay: int | None = None) -> list[Event]:
    """Add events to a group and to its streams, which exist.

    `delay` is from event to ingestion (None: until now).
    """
    now = int(time() * 1000)
    with _lock:
        events = []
        for timestamp, stream, message in entries:
            ingested = now if delay is None else min(now, timestamp + delay)
            events.append(Event(ingested, {"timestamp": timestamp, "message": message}, stream))
        events.sort(key=_time)
        _merge(_held(group), events)
        by_stream: dict[str, list[Event]] = {}
        for event in events:
            by_stream.setdefault(event.stream, []).append(event)
        for name, theirs in by_stream.items():
            stream = group.streams[name]
            _merge(stream.events, theirs)
            stream.stored_bytes += sum(len(event.message) for event in theirs)
            stream.last_ingestion_time = utcfromtimestamp(theirs[-1].ingestion_time // 1000)
            stream.upload_sequence_token += 1
        return events


def forget(group: LogGroup, stream: str) -> None:
    """Take a deleted stream's events out of its group."""
    with _lock:
        group.__dict__["lab_events"] = [event for event in _held(group) if event.stream != stream]


def cut(group: LogGroup, streams: Collection[str], start: int) -> None:
    """Take out what these streams hold from `start` on, in milliseconds, and those that are empty
    then.
    """
    with _lock:
        held = _held(group)
        first = bisect_left(held, start, key=_time)
        held[first:] = [event for event in held[first:] if event.stream not in streams]
        for name in [name for name in streams if name in group.streams]:
            events = group.streams[name].events
            del events[bisect_left(events, start, key=_time) :]
            if not events:
                group.delete_log_stream(name)


def window(group: LogGroup, start: int | None, end: int | None) -> Sequence[Event]:
    """The events from start to end, both inclusive, in milliseconds, oldest first."""
    with _lock:
        events = _held(group)
        first = 0 if start is None else bisect_left(events, start, key=_time)
        last = len(events) if end is None else bisect_right(events, end, key=_time)
        return events[first:last]


def page(
    group: LogGroup,
    start: int | None,
    end: int | None,
    after: tuple[int, int] | None,
    size: int,
    forward: bool = True,
) -> tuple[Sequence[Event], bool]:
    """At most `size` events of the window beyond the place `after`, in that direction.

    And whether there are more.
    """
    with _lock:
        events = _held(group)
        first = 0 if start is None else bisect_left(events, start, key=_time)
        last = len(events) if end is None else bisect_right(events, end, key=_time)
        if forward:
            first = max(first, bisect_right(events, after, key=_place)) if after else first
            return events[first : min(first + size, last)], first + size < last
        last = min(last, bisect_left(events, after, key=_place)) if after else last
        return events[max(last - size, first) : last][
            ::-1
        ] if last > first else [], last - size > first


def _held(group: LogGroup) -> list[Event]:
    held: list[Event] = group.__dict__.setdefault("lab_events", [])
    return held


def _merge(held: list[Event], events: list[Event]) -> None:
    late = bool(held and events and events[0].timestamp < held[-1].timestamp)
    held.extend(events)
    if late:
        held.sort(key=_time)
