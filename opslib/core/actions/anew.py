"""A service's tasks started anew, with the definition that it has: they read its secrets again."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.core.tables import Json
from opslib.core.text import count
from opslib.core.waiting import poll

_FAILED_TASKS = 3  # the fewest at which ECS's own circuit breaker gives up


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
