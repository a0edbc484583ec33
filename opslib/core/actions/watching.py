"""What is watched as it begins to serve: a version of a function, taken back when it does worse; a
service's tasks started anew, with the definition that it has: they read its secrets again.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action, Aws
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.core.reads.log_levels import read
from opslib.core.tables import Json
from opslib.core.text import count
from opslib.core.times import Window
from opslib.core.waiting import poll

_FAILED_TASKS = 3  # the fewest at which ECS's own circuit breaker gives up
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


class Watch(Action, kind="watch"):
    """Look at a version's requests for a while; when they go worse than those of the version
    `before`, in the hour before, do `back` and fail.
    """

    def __init__(
        self, group: str, version: Any, before: str, seconds: float, back: Aws
    ) -> None: ...

    def __str__(self) -> str:
        return (
            f"watch version {self['version']} in {self['group']} for {self['seconds']:g} s; "
            f"when it does worse than version {self['before']}: {self.of(self['back'])}"
        )

    def perform(self, ops: Connection) -> Any:
        group, began = self["group"], ops.now()
        before = served(ops, group, self["before"], Window(began - _BASELINE, began))
        now, _ = poll(
            lambda: self._now(ops, began),
            lambda seen: bool(seen.worse(before)),
            self["seconds"],
            lambda seen: f"version {self['version']}: {seen}; before: {before}",
        )
        if why := now.worse(before):
            self.of(self["back"]).perform(ops)
            raise OpsError(
                f"Version {self['version']}: {now}, {why} (version {self['before']}: {before}). "
                f"The alias was pointed back to version {self['before']}."
            )
        return {"version": self["version"], "seen": str(now), "before": str(before)}

    def _now(self, ops: Connection, began: datetime) -> Served:
        return served(ops, self["group"], self["version"], Window(began, ops.now()))


class _Seen(NamedTuple):
    state: str
    why: str
    older: int

    def __str__(self) -> str:
        return f"{self.state}, {count(self.older, 'task')} of before"


class Anew(Action, kind="anew"):
    """A forced deployment, watched until it completed and no task of before is left.

    It has failed when ECS says so, takes it back or replaces it, or when three tasks failed.
    """

    def __init__(self, cluster: str, service: str, timeout_seconds: int = 1800) -> None: ...

    def __str__(self) -> str:
        return (
            f"ecs.update_service(cluster={self['cluster']}, service={self['service']}, "
            "forceNewDeployment=True), until no task of before is left"
        )

    def perform(self, ops: Connection) -> Any:
        at = {"cluster": self["cluster"], "service": self["service"]}
        told = ops.change("ecs", "update_service", self.token, **at, forceNewDeployment=True)
        ours = next(e for e in told["service"]["deployments"] if e["status"] == "PRIMARY")
        seen, waited = poll(
            lambda: self._look(ops, ours),
            lambda seen: seen.state == "FAILED" or (seen.state == "COMPLETED" and not seen.older),
            self["timeout_seconds"],
            lambda seen: f"{self['service']}: {seen}",
        )
        if seen.state == "FAILED":
            raise OpsError(
                f"{self['service']}: its new tasks do not stay: {seen.why}. Those of before go on "
                "as long as they live, but whichever starts now reads what the new ones read."
            )
        if seen.state != "COMPLETED" or seen.older:
            raise Unfinished(f"{self['service']}: {seen} after {waited:.0f} s; it may yet finish.")
        return {"deployment": ours["id"], "state": seen.state}

    def _look(self, ops: Connection, ours: Json) -> _Seen:
        at = {"cluster": self["cluster"]}
        told = ops.call("ecs", "describe_services", **at, services=[self["service"]])["services"][0]
        present: Json = next((e for e in told["deployments"] if e["id"] == ours["id"]), {})
        state, failed = present.get("rolloutState", ""), present.get("failedTasks", 0)
        breaker = told.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
        why = present.get("rolloutStateReason", "")
        if present.get("status") != "PRIMARY":
            state, why = "FAILED", f"another deployment took its place; {why}"
        elif failed >= _FAILED_TASKS and not breaker.get("enable"):
            state = "FAILED"
        if state == "FAILED":
            said = f"{count(failed, 'task')} failed; {why} {self._stopped(ops, ours)}"
            return _Seen(state, said.strip(" ;."), 0)
        older = [e for e in self._tasks(ops, "RUNNING") if e.get("startedBy") != ours["id"]]
        return _Seen(state, why, len(older))

    def _tasks(self, ops: Connection, status: str) -> list[Json]:
        at = {"cluster": self["cluster"]}
        given = {**at, "serviceName": self["service"], "desiredStatus": status}
        arns = ops.pages("ecs", "list_tasks", "taskArns", **given)
        parts = [arns[n : n + 100] for n in range(0, len(arns), 100)]
        reads = [partial(ops.call, "ecs", "describe_tasks", **at, tasks=part) for part in parts]
        return [task for answer in ops.gather(*reads) for task in answer["tasks"]]

    def _stopped(self, ops: Connection, ours: Json) -> str:
        """What ECS says of a task of it that stopped."""
        found = (e for e in self._tasks(ops, "STOPPED") if e.get("startedBy") == ours["id"])
        return next((e["stoppedReason"] for e in found if e.get("stoppedReason")), "")
