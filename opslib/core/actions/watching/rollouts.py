"""An ECS service's deployment watched until it is complete; its tasks started anew."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action, Aws
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.core.reads import services
from opslib.core.tables import Json
from opslib.core.text import count
from opslib.core.waiting import poll

# How many failed tasks ECS's circuit breaker takes for a failure: half of the count, 3 to 200
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
_FEWEST_FAILED, _MOST_FAILED = 3, 200


class _Seen(NamedTuple):
    done: bool
    failed: str  # why it will not be complete; empty while it may
    ours: bool  # whether it is for us to take it back: ECS does not
    told: str


def _failed(told: Json, deployment: Json) -> tuple[str, bool]:
    """Why a deployment of a service will not be complete, or nothing; whether it is still for us
    to take it back.

    It failed when ECS says so or another has its place, and, where no circuit breaker judges, when
    as many of its tasks failed as one would count.
    """
    breaker = told.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
    state, tasks = deployment.get("rolloutState"), deployment.get("failedTasks", 0)
    why = deployment.get("rolloutStateReason", "")
    if deployment.get("status") != "PRIMARY":
        who = "ECS took it back" if breaker.get("rollback") else "somebody replaced it"
        return f"{who}, the service has another deployment. {why}".strip(), False
    if state == "FAILED":
        back = " ECS takes it back" if breaker.get("rollback") else ""
        return f"{why or state}{back}", not back
    limit = min(_MOST_FAILED, max(_FEWEST_FAILED, math.ceil(told["desiredCount"] / 2)))
    if not breaker.get("enable") and tasks >= limit and state != "COMPLETED":
        return f"{tasks} of its tasks failed", True
    return "", False


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
        primary = services.primary(told)
        if primary is None:
            return _Seen(False, "", False, "no deployment is told")
        said = f"{primary['taskDefinition'].rpartition('/')[2]}: {primary.get('runningCount', 0)} "
        said += (
            f"of {told['desiredCount']} run, {count(primary.get('failedTasks', 0), 'task')} failed"
        )
        events = [e for e in told.get("events", ()) if e["createdAt"] >= primary["createdAt"]]
        said += f"; {events[0]['message']}" if events else ""
        replaced = self["definition"] not in ("", primary["taskDefinition"])
        failed, ours = _failed(told, {} if replaced else primary)
        return _Seen(not failed and primary.get("rolloutState") == "COMPLETED", failed, ours, said)

    def _why(self, ops: Connection) -> str:
        """What the newest of its stopped tasks says of itself, if ECS tells."""
        try:
            tasks = services.tasks(ops, self["cluster"], self["service"], "STOPPED")
        except OpsError as exc:
            return f"; why its tasks stopped is not known: {exc}"
        of = [t for t in tasks if self["definition"] in ("", t["taskDefinitionArn"])]
        newest: Json = max(of, key=lambda task: str(task.get("stoppedAt", "")), default={})
        return f"; {newest['stoppedReason']}" if newest.get("stoppedReason") else ""


class _Left(NamedTuple):
    state: str
    why: str
    older: int

    def __str__(self) -> str:
        return f"{self.state}, {count(self.older, 'task')} of before"


class Anew(Action, kind="anew"):
    """A forced deployment, watched until it completed and no task of before is left.

    When it fails, the tasks of before are left as they are.
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

    def _look(self, ops: Connection, ours: Json) -> _Left:
        at = {"cluster": self["cluster"]}
        told = ops.call("ecs", "describe_services", **at, services=[self["service"]])["services"][0]
        present: Json = next((e for e in told["deployments"] if e["id"] == ours["id"]), {})
        why, _ = _failed(told, present)
        if why:
            return _Left("FAILED", f"{why}; {self._stopped(ops, ours)}".rstrip(" ;."), 0)
        older = [e for e in self._tasks(ops, "RUNNING") if e.get("startedBy") != ours["id"]]
        return _Left(present.get("rolloutState", ""), "", len(older))

    def _tasks(self, ops: Connection, status: str) -> list[Json]:
        return services.tasks(ops, self["cluster"], self["service"], status)

    def _stopped(self, ops: Connection, ours: Json) -> str:
        """What ECS says of a task of it that stopped."""
        found = (e for e in self._tasks(ops, "STOPPED") if e.get("startedBy") == ours["id"])
        return next((e["stoppedReason"] for e in found if e.get("stoppedReason")), "")
