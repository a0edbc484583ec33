"""An ECS service's deployment watched until it is complete; its tasks started anew."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action, action
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


def _rolled(do: Action) -> str:
    back = f"; when it fails: {Action(do['back'])}" if do["back"] else ""
    return f"watch the deployment of {do['service']} until it is complete{back}"


@action("rollout", _rolled)
def Rollout(
    ops: Connection,
    cluster: str,
    service: str,
    definition: str | Json = "",
    back: Action | None = None,
    timeout_seconds: int = 1800,
) -> str:
    """Watch the deployment of a task definition (its ARN; empty: whatever is the newest).

    `back`: the call that takes it back when it fails, or does not end in time. Where the service's
    circuit breaker rolls back, ECS does. Raises OpsError (failed, and whether it was taken back),
    Unfinished (still under way, and nothing takes it back).
    """
    seen, waited = poll(
        lambda: _look(_described(ops, cluster, service), definition),
        lambda seen: seen.done or bool(seen.failed),
        timeout_seconds,
        lambda seen: seen.told,
    )
    if seen.done:
        return "COMPLETED"
    why = seen.failed or f"it is not complete after {waited:.0f} s"
    try:
        tasks = services.tasks(ops, cluster, service, "STOPPED")
        of = [t for t in tasks if definition in ("", t["taskDefinitionArn"])]
        newest: Json = max(of, key=lambda task: str(task.get("stoppedAt", "")), default={})
        told = f"; {newest['stoppedReason']}" if newest.get("stoppedReason") else ""
    except OpsError as exc:
        told = f"; why its tasks stopped is not known: {exc}"
    said = f"The deployment of {service} failed: {why} ({seen.told}{told})."
    if back and (seen.ours or not seen.failed):
        Action(back).perform(ops)
        to = back["parameters"].get("taskDefinition", "").rpartition("/")[2]
        raise OpsError(f"{said} It was taken back: the service has {to} again.")
    raise (OpsError if seen.failed else Unfinished)(said)


def _described(ops: Connection, cluster: str, service: str) -> Json:
    given = {"cluster": cluster, "services": [service]}
    return dict(ops.call("ecs", "describe_services", **given)["services"][0])


def _look(told: Json, definition: str | Json) -> _Seen:
    primary = services.primary(told)
    if primary is None:
        return _Seen(False, "", False, "no deployment is told")
    said = f"{primary['taskDefinition'].rpartition('/')[2]}: {primary.get('runningCount', 0)} "
    said += f"of {told['desiredCount']} run, {count(primary.get('failedTasks', 0), 'task')} failed"
    events = [e for e in told.get("events", ()) if e["createdAt"] >= primary["createdAt"]]
    said += f"; {events[0]['message']}" if events else ""
    replaced = definition not in ("", primary["taskDefinition"])
    failed, ours = _failed(told, {} if replaced else primary)
    return _Seen(not failed and primary.get("rolloutState") == "COMPLETED", failed, ours, said)


@action(
    "anew",
    "ecs.update_service(cluster={cluster}, service={service}, forceNewDeployment=True), until no "
    "task of before is left",
)
def Anew(ops: Connection, cluster: str, service: str, timeout_seconds: int = 1800) -> Any:
    """A forced deployment, watched until it completed and no task of before is left.

    When it fails, the tasks of before are left as they are.
    """
    at = {"cluster": cluster, "service": service}
    told = ops.change("ecs", "update_service", **at, forceNewDeployment=True)
    ours = next(e for e in told["service"]["deployments"] if e["status"] == "PRIMARY")
    seen, waited = poll(
        lambda: _left(ops, cluster, service, ours["id"]),
        lambda seen: seen.done or bool(seen.failed),
        timeout_seconds,
        lambda seen: f"{service}: {seen.told}",
    )
    if seen.failed:
        raise OpsError(
            f"{service}: its new tasks do not stay: {seen.failed}. Those of before go on "
            "as long as they live, but whichever starts now reads what the new ones read."
        )
    if not seen.done:
        raise Unfinished(f"{service}: {seen.told} after {waited:.0f} s; it may yet finish.")
    return {"deployment": ours["id"], "state": "COMPLETED"}


def _left(ops: Connection, cluster: str, service: str, ours: str) -> _Seen:
    told, tasks = _described(ops, cluster, service), partial(services.tasks, ops, cluster, service)
    present: Json = next((e for e in told["deployments"] if e["id"] == ours), {})
    why, own = _failed(told, present)
    if why:
        stopped = (e for e in tasks("STOPPED") if e.get("startedBy") == ours)
        says = next((e["stoppedReason"] for e in stopped if e.get("stoppedReason")), "")
        return _Seen(False, f"{why}; {says}".rstrip(" ;."), own, "FAILED")
    older = sum(e.get("startedBy") != ours for e in tasks("RUNNING"))
    state = present.get("rolloutState", "")
    said = f"{state}, {count(older, 'task')} of before"
    return _Seen(state == "COMPLETED" and not older, "", own, said)
