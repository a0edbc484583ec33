"""CloudWatch Logs: plain moto matches every event with most filter patterns, and reads whole groups for a minute.

Estates append in bulk, in-process; the group and its streams are made when they are not there:

    from opslib.lab.corrections import logs

    logs.append("111122223333", "us-west-2", "/aws/lambda/api", [(when, "2026/11/22/[3]0a1b…", "START …"), …])
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from moto.logs.models import logs_backends


def append(account: str, region: str, group: str, events: Iterable[tuple[datetime, str, str]]) -> int:
    """Append (time, stream, message) events, in any order; answers how many."""
    backend = logs_backends[account][region]
    backend.ensure_log_group(group)
    by_stream: dict[str, list[dict[str, object]]] = {}
    for when, stream, message in events:
        entry = {"timestamp": int(when.timestamp() * 1000), "message": message}
        by_stream.setdefault(stream, []).append(entry)
    for stream, entries in by_stream.items():
        backend.ensure_log_stream(group, stream)
        backend.groups[group].put_log_events(stream, entries)
    return sum(map(len, by_stream.values()))
