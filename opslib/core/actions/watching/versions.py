"""A version of a function watched as it begins to serve, and taken back when it does worse."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action, action, take_back
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.reads.log_levels import read
from opslib.core.times import Window
from opslib.core.waiting import poll

_BASELINE = timedelta(minutes=15)
_FEWEST, _SURE = 3, 20  # failures that are no chance; requests that say how fast it is
_TIMES, _MORE, _SLOWER_MS = 2.0, 1.0, 200.0
_TOOK = re.compile(r"^REPORT RequestId.*?Duration: ([\d.]+) ms")
_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_STARTED = re.compile(r"INIT_REPORT.*Status: (?:error|timeout)")


class Served(NamedTuple):
    """What a version answered: requests, those that failed, p95 of their time."""

    requests: int
    failed: int
    p95_ms: float

    @property
    def per_100(self) -> float:
        return 100 * self.failed / self.requests if self.requests else 0.0

    def __str__(self) -> str:
        p95 = f", p95 {self.p95_ms:,.0f} ms" if self.requests else ""
        return f"{self.failed} of {self.requests} requests failed{p95}"

    def worse(self, before: Served) -> str:
        """Why it may not stay, beside what the version before it did; empty when it may."""
        most = max(_TIMES * before.per_100, before.per_100 + _MORE)
        if self.failed >= _FEWEST and (self.per_100 > most or not self.requests):
            return f"more than {most:.2g} in 100"
        slow = _TIMES * before.p95_ms + _SLOWER_MS
        if min(self.requests, before.requests) >= _SURE and self.p95_ms > slow:
            return f"slower than {slow:,.0f} ms"
        return ""


def served(ops: Connection, group: str, version: str, within: Window) -> Served:
    """By its log's streams, which are named by version (FilterLogEvents): REPORT, and trouble."""
    begin, end = (int(at.timestamp() * 1000) for at in (within.start, within.end))
    told = ops.pages(
        "logs",
        "filter_log_events",
        "events[].[logStreamName, message]",
        logGroupName=group,
        startTime=begin,
        endTime=end,
    )
    lines = [message for stream, message in told if f"[{version}]" in stream]
    took = sorted(float(found[1]) for found in map(_TOOK.search, lines) if found)
    ill = (line for line in lines if _STARTED.search(line) or read(line).trouble is True)
    failed = {(_ID.findall(line) or [line])[0] for line in ill}  # a request may say it twice
    return Served(len(took), len(failed), took[int(0.95 * len(took))] if took else 0.0)


def _watched(do: Action) -> str:
    return (
        f"watch version {do['version']} in {do['group']} for {do['seconds']:g} s; "
        f"when it does worse than version {do['before']}: {Action(do['back'])}"
    )


@action("watch", _watched)
def Watch(
    ops: Connection, group: str, version: Any, before: str, seconds: float, back: Action
) -> Any:
    """Look at a version's requests for a while; when they go worse than those of the version
    `before`, in the hour before, do `back` and fail.
    """
    began = ops.now()
    had = served(ops, group, before, Window(began - _BASELINE, began))
    now, _ = poll(
        lambda: served(ops, group, version, Window(began, ops.now())),
        lambda seen: bool(seen.worse(had)),
        seconds,
        lambda seen: f"version {version}: {seen}; before: {had}",
    )
    if why := now.worse(had):
        said = f"Version {version}: {now}, {why} (version {before}: {had})."
        take_back(ops, back, said)
        raise OpsError(f"{said} The alias was pointed back to version {before}.")
    return {"version": version, "seen": str(now), "before": str(had)}
