"""CloudWatch Logs.

Plain moto matches every event with most filter patterns, and reads whole groups for a minute.

Estates append in bulk, in-process; the group and its streams are made when they are not there:

    from opslib.lab.corrections import logs

    logs.append("111122223333", "us-west-2", "/aws/lambda/api", [(when, "2026/11/22/[3]0a1b…",
    "START …"), …])
"""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import moto.logs.models as models
from moto.core.utils import utcfromtimestamp
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogGroup, LogsBackend, LogStream, logs_backends
from moto.logs.responses import LogsResponse

from opslib.lab.corrections.logs.log_patterns import compile_pattern
from opslib.lab.corrections.logs.log_stores import Event, forget, ingest, page

# AWS searches so far for one page, and answers what it found there: perhaps nothing, with a token
# to go on.
SCANNED_A_PAGE = 10_000
BYTES_A_PAGE = 1_048_576
_LIMIT = 10_000
_INGESTION_DELAY = 350  # milliseconds
_BACKWARDS_SINCE = (
    1_704_067_200_000  # 2024-01-01: startFromHead=False is refused for windows before
)
_BAD_TOKEN = "The specified nextToken is invalid."

_moto_delete_log_stream = LogGroup.delete_log_stream
_moto_get_log_events = LogStream.get_log_events


def append(
    account: str, region: str, group: str, events: Iterable[tuple[datetime, str, str]]
) -> int:
    """Append (aware time, stream, message) events,
    in any order and of any age; answers how many.
    """
    backend = logs_backends[account][region]
    backend.ensure_log_group(group)
    held = backend.groups[group]
    entries = [(int(when.timestamp() * 1000), stream, message) for when, stream, message in events]
    first: dict[str, int] = {}
    for timestamp, stream, _ in entries:
        first[stream] = min(timestamp, first.get(stream, timestamp))
    for stream, timestamp in first.items():
        if stream not in held.streams:
            held.create_log_stream(stream)
            held.streams[stream].creation_time = utcfromtimestamp(timestamp // 1000)
    return len(ingest(held, entries, _INGESTION_DELAY))


def install() -> None:
    """Set the lab's methods on moto's classes."""
    models.LogEvent = Event
    models.EventMessageFilter = _message_filter
    LogStream.put_log_events = _put_log_events
    LogStream.get_log_events = _get_log_events
    LogStream._update = _update
    LogGroup.delete_log_stream = _delete_log_stream
    LogsBackend._find_log_group = find_log_group
    LogsResponse.filter_log_events = _filter_log_events
    LogsResponse.describe_log_groups = _describe_log_groups


def _message_filter(pattern: str) -> SimpleNamespace:
    return SimpleNamespace(matches=compile_pattern(pattern or ""))


def _put_log_events(self: LogStream, log_events: list[dict[str, Any]]) -> str:
    entries = [(event["timestamp"], self.log_stream_name, event["message"]) for event in log_events]
    events = ingest(self.log_group, entries)
    for each in self.log_group.subscription_filters.values():
        matches = compile_pattern(each.filter_pattern or "")
        self._send_log_events(
            service=each.destination_arn.split(":")[2],
            destination_arn=each.destination_arn,
            filter_name=each.name,
            log_events=[
                {"id": event.event_id, "timestamp": event.timestamp, "message": event.message}
                for event in events
                if matches(event.message)
            ],
        )
    return f"{self.upload_sequence_token:056d}"


def _get_log_events(
    self: LogStream, start_time: int | None, end_time: int | None, *rest: Any
) -> tuple[list[dict[str, Any]], str | None, str | None]:
    """As moto, but the end of the window is exclusive, as in AWS."""
    page: tuple[list[dict[str, Any]], str | None, str | None]
    page = _moto_get_log_events(self, start_time, end_time - 1 if end_time else None, *rest)
    return page


def _update(self: LogStream) -> None:
    events: Sequence[Any] = self.events
    self.first_event_timestamp = events[0].timestamp if events else None
    self.last_event_timestamp = events[-1].timestamp if events else None


def _delete_log_stream(self: LogGroup, log_stream_name: str) -> None:
    stream = self.streams.get(log_stream_name)
    _moto_delete_log_stream(self, log_stream_name)
    forget(self, log_stream_name)
    if stream is not None:
        stream.events.clear()  # moto keeps every stream that there ever was


def find_log_group(
    self: LogsBackend, log_group_id: str | None = None, log_group_name: str | None = None
) -> LogGroup:
    """By name, or by an identifier that is a name or an ARN.

    Moto takes the last group for any ARN.
    """
    if bool(log_group_id) == bool(log_group_name):
        raise InvalidParameterException(
            "Exactly one of the following must be provided: logGroupName, logGroupIdentifier"
        )
    name = log_group_name or (log_group_id or "").removesuffix(":*").rpartition(":log-group:")[2]
    if name not in self.groups:
        raise ResourceNotFoundException()
    return self.groups[name]


def _describe_log_groups(self: LogsResponse) -> str:
    """By prefix or by a part of the name, which moto does not know; in pages."""
    asked: dict[str, Any] = json.loads(self.body)
    prefix, part = asked.get("logGroupNamePrefix"), asked.get("logGroupNamePattern")
    if prefix and part:
        raise InvalidParameterException(
            "logGroupNamePrefix and logGroupNamePattern are mutually exclusive."
        )
    limit, after = asked.get("limit") or 50, asked.get("nextToken") or ""
    if not 1 <= limit <= 50:
        raise InvalidParameterException(
            constraint="Member must have value less than or equal to 50",
            parameter="limit",
            value=limit,
        )
    groups = self.logs_backend.groups
    names = [name for name in groups if name.startswith(prefix or "") and (part or "") in name]
    names = sorted(name for name in names if name > after)
    answer: dict[str, Any] = {
        "logGroups": [groups[name].to_describe_dict() for name in names[:limit]]
    }
    if len(names) > limit:
        answer["nextToken"] = names[limit - 1]
    return json.dumps(answer)


def _filter_log_events(self: LogsResponse) -> str:
    asked: dict[str, Any] = json.loads(self.body)
    group = find_log_group(
        self.logs_backend, asked.get("logGroupIdentifier"), asked.get("logGroupName")
    )
    limit = asked.get("limit") or _LIMIT
    if not 1 <= limit <= _LIMIT:
        raise InvalidParameterException(
            constraint="Member must have value less than or equal to 10000",
            parameter="limit",
            value=limit,
        )
    wanted = _streams(group, asked.get("logStreamNames"), asked.get("logStreamNamePrefix"))
    pattern = asked.get("filterPattern") or ""
    matches = compile_pattern(pattern)
    start, end = asked.get("startTime"), asked.get("endTime")
    forward, after = True, None
    if asked.get("nextToken"):
        forward, after = _read_token(group, asked["nextToken"])
    elif asked.get("startFromHead") is False:
        forward = False
        if (start or 0) < _BACKWARDS_SINCE:
            raise InvalidParameterException(
                "startFromHead=false needs a startTime on or after 2024-01-01."
            )
    scanned, more = page(group, start, end, after, SCANNED_A_PAGE, forward)
    found, last, more = _select(
        scanned, wanted, lambda event: event.once(f"filter {pattern}", matches), limit, more
    )
    answer: dict[str, Any] = {
        "events": [event.to_filter_dict() for event in found],
        "searchedLogStreams": [],
    }
    if more and last:
        answer["nextToken"] = _token(group, last, forward)
    return json.dumps(answer)


def _streams(group: LogGroup, names: list[str] | None, prefix: str | None) -> frozenset[str] | None:
    if names and prefix:
        raise InvalidParameterException(
            "logStreamNames and logStreamNamePrefix cannot be given together."
        )
    if prefix:
        return frozenset(name for name in group.streams if name.startswith(prefix))
    for name in names or ():
        if name not in group.streams:
            raise ResourceNotFoundException("The specified log stream does not exist.")
    return frozenset(names) if names else None


def _select(
    scanned: Sequence[Event],
    wanted: frozenset[str] | None,
    matches: Callable[[Event], bool],
    limit: int,
    more: bool,
) -> tuple[list[Event], Event | None, bool]:
    """The matching events of a page, the last that was looked at,
    and whether there is more beyond it.
    """
    found: list[Event] = []
    last, size = None, 0
    for event in scanned:
        if (wanted is None or event.stream in wanted) and matches(event):
            size += len(event.message) + 26  # what AWS counts for an event beside its message
            if found and (size > BYTES_A_PAGE or len(found) == limit):
                return found, last, True
            found.append(event)
        last = event
    return found, last, more


def _token(group: LogGroup, last: Event, forward: bool) -> str:
    return base64.urlsafe_b64encode(
        json.dumps([group.name, last.timestamp, last.number, forward]).encode()
    ).decode()


def _read_token(group: LogGroup, token: str) -> tuple[bool, tuple[int, int]]:
    try:
        name, timestamp, number, forward = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise InvalidParameterException(_BAD_TOKEN) from None
    if name != group.name:
        raise InvalidParameterException(_BAD_TOKEN)
    return bool(forward), (int(timestamp), int(number))
