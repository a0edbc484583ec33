"""What begins to serve is watched, and taken back when it does worse than what it replaces.

A version of a Lambda function by its answers, a deployment of an ECS service until it is complete.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action, Aws
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.core.reads.log_levels import read
from opslib.core.tables import Json
from opslib.core.text import count
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


# How many failed tasks ECS's circuit breaker takes for a failure: half of the count, 3 to 200
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
_FEWEST_FAILED, _MOST_FAILED = 3, 200


class _Seen(NamedTuple):
    done: bool
    failed: str  # why it will not be complete; empty while it may
    ours: bool  # whether it is for us to take it back: ECS does not
    told: str


class Rollout(Action, kind="rollout"):
    """Watch the deployment of a task definition (its ARN; empty: whatever is the newest).

    `back`: the call that takes it back when it fails, or does not end in time. Where the service's
    circuit breaker rolls back, ECS does. Raises OpsError (failed, and whether it was taken back),
    Unfinished (still under way, and nothing takes it back).
    """

    def __init__(
        self,
        cluster: str,
        service: str,
        definition: str | Json = "",
        back: Aws | None = None,
        timeout_seconds: int = 1800,
    ) -> None: ...

    def __str__(self) -> str:
        back = self["back"] and f"; when it fails: {self.of(self['back'])}"
        return f"watch the deployment of {self['service']} until it is complete{back or ''}"

    def perform(self, ops: Connection) -> str:
        seen, waited = poll(
            lambda: self._look(ops),
            lambda seen: seen.done or bool(seen.failed),
            self["timeout_seconds"],
            lambda seen: seen.told,
        )
        if seen.done:
            return "COMPLETED"
        why = seen.failed or f"it is not complete after {waited:.0f} s"
        said = f"The deployment of {self['service']} failed: {why} ({seen.told}{self._why(ops)})."
        if self["back"] and (seen.ours or not seen.failed):
            self.of(self["back"]).perform(ops)
            back = self["back"]["parameters"].get("taskDefinition", "").rpartition("/")[2]
            raise OpsError(f"{said} It was taken back: the service has {back} again.")
        raise (OpsError if seen.failed else Unfinished)(said)

    def _look(self, ops: Connection) -> _Seen:
        cluster, name = self["cluster"], self["service"]
        told = ops.call("ecs", "describe_services", cluster=cluster, services=[name])["services"][0]
        primary = next(each for each in told["deployments"] if each["status"] == "PRIMARY")
        failed = primary.get("failedTasks", 0)
        said = f"{primary['taskDefinition'].rpartition('/')[2]}: {primary.get('runningCount', 0)} "
        said += f"of {told['desiredCount']} run, {count(failed, 'task')} failed"
        events = [e for e in told.get("events", ()) if e["createdAt"] >= primary["createdAt"]]
        said += f"; {events[0]['message']}" if events else ""
        state = primary.get("rolloutState")
        breaker = told.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
        if self["definition"] not in ("", primary["taskDefinition"]):
            who = "ECS took it back" if breaker.get("rollback") else "somebody replaced it"
            return _Seen(False, f"{who}, the service has another revision", False, said)
        if state == "FAILED":
            why = primary.get("rolloutStateReason", state)
            if breaker.get("rollback"):
                return _Seen(False, f"{why} ECS takes it back", False, said)
            return _Seen(False, why, True, said)
        limit = min(_MOST_FAILED, max(_FEWEST_FAILED, math.ceil(told["desiredCount"] / 2)))
        if not breaker.get("enable") and failed >= limit and state != "COMPLETED":
            return _Seen(False, f"{failed} of its tasks failed", True, said)
        return _Seen(state == "COMPLETED", "", False, said)

    def _why(self, ops: Connection) -> str:
        """What the newest of its stopped tasks says of itself, if ECS tells."""
        at = {"cluster": self["cluster"]}
        asked = {"serviceName": self["service"], "desiredStatus": "STOPPED"}
        try:
            arns = ops.pages("ecs", "list_tasks", "taskArns[]", limit=100, **asked, **at)
            tasks = ops.call("ecs", "describe_tasks", tasks=arns, **at)["tasks"] if arns else []
        except OpsError as exc:
            return f"; why its tasks stopped is not known: {exc}"
        of = [t for t in tasks if self["definition"] in ("", t["taskDefinitionArn"])]
        newest: Json = max(of, key=lambda task: str(task.get("stoppedAt", "")), default={})
        return f"; {newest['stoppedReason']}" if newest.get("stoppedReason") else ""
