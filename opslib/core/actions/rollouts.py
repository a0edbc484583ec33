"""An ECS service's deployment watched until it is complete, and taken back when it fails."""

from __future__ import annotations

import math
from typing import NamedTuple

from opslib.core.actions.actions import Action, Aws
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.core.tables import Json
from opslib.core.text import count
from opslib.core.waiting import poll

# How many failed tasks ECS's circuit breaker takes for a failure: half of the count, 3 to 200
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
_FEWEST, _MOST = 3, 200


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
        limit = min(_MOST, max(_FEWEST, math.ceil(told["desiredCount"] / 2)))
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
