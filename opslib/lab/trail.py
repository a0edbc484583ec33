"""The calls that the lab received, for CloudTrail: the last 5,000 of an account and region."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any, NamedTuple

from opslib.lab.operations import AwsError, Call

_KEPT = 5000
_trails: dict[tuple[str, str], deque[Event]] = {}


class Event(NamedTuple):
    id: str
    time: datetime
    service: str
    operation: str
    user: str | None
    account: str
    region: str
    error: str | None


def record(call: Call, error: AwsError | None) -> None:
    kept = _trails.setdefault((call.account, call.region), deque(maxlen=_KEPT))
    kept.append(
        Event(
            call.request_id, call.received, call.service, call.operation, call.user, call.account, call.region,
            error.code if error else None,
        )
    )  # fmt: skip


def events(account: str, region: str) -> list[Event]:
    """Newest first."""
    return list(reversed(_trails.get((account, region), ())))


def clear() -> None:
    _trails.clear()


def as_json(event: Event) -> dict[str, Any]:
    return event._asdict()
