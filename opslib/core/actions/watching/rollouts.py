"""What ECS runs is watched: a service's deployment until it is complete, its tasks started anew; a
task of its own, with another command than its service's, to its exit code.
"""

import math
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action, action, take_back
from opslib.core.connections.connection import Connection
from opslib.core.errors import HalfWay, Lost, OpsError, Unfinished, after
from opslib.core.reads import services, stops
from opslib.core.tables import Json
from opslib.core.text import count
from opslib.core.waiting import poll

# How many failed tasks ECS's circuit breaker takes for a failure: half of the count, 3 to 200
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
_FEWEST_FAILED, _MOST_FAILED = 3, 200
_SHOWN = 40  # of a task's last lines
_LATE_SECONDS = 3.0  # by which lines come after the task's end


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
        lambda: _look(services.described(ops, cluster, service), definition),
        lambda seen: seen.done or bool(seen.failed),
        timeout_seconds,
        lambda seen: seen.told,
    )
    if seen.done:
        return "COMPLETED"
    why = seen.failed or f"it is not complete after {waited:.0f} s"
    told = _last_words(ops, cluster, service, "taskDefinitionArn", definition)
    said = f"The deployment of {service} failed: {why} ({seen.told}{told})."
    if back and (seen.ours or not seen.failed):
        take_back(ops, back, said)
        to = back["parameters"].get("taskDefinition", "").rpartition("/")[2]
        raise OpsError(f"{said} It was taken back: the service has {to} again.")
    raise (OpsError if seen.failed else Unfinished)(said)


def _last_words(ops: Connection, cluster: str, service: str, key: str, of: Any) -> str:
    """Why the newest of its tasks stopped that have this under a key (empty: of all of them), as
    far as that can be told.
    """
    try:
        tasks = services.tasks(ops, cluster, service, "STOPPED")
    except OpsError as exc:
        return f"; why its tasks stopped is not known: {exc}"
    ours = (task for task in tasks if of in ("", task.get(key)))
    newest: Json = max(ours, key=lambda task: str(task.get("stoppedAt", "")), default={})
    return f"; {newest['stoppedReason']}" if newest.get("stoppedReason") else ""


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
    told = ops.change(
        "ecs", "update_service", cluster=cluster, service=service, forceNewDeployment=True
    )
    ours = next(e for e in told["service"]["deployments"] if e["status"] == "PRIMARY")
    with after({"deployment": ours["id"]}):
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
    told = services.described(ops, cluster, service)
    present: Json = next((e for e in told["deployments"] if e["id"] == ours), {})
    why, own = _failed(told, present)
    if why:
        why += _last_words(ops, cluster, service, "startedBy", ours)
        return _Seen(False, why.rstrip("."), own, "FAILED")
    running = services.tasks(ops, cluster, service, "RUNNING")
    older = sum(each.get("startedBy") != ours for each in running)
    state = present.get("rolloutState", "")
    said = f"{state}, {count(older, 'task')} of before"
    return _Seen(state == "COMPLETED" and not older, "", own, said)


def _run(do: Action) -> str:
    of, command = do["definition"].rpartition("/")[2], " ".join(do["command"])
    return f"ecs.run_task({of}, {do['container']['name']}: {command}), followed to its exit code"


@action("one-off", _run)
def OneOff(
    ops: Connection,
    cluster: str,
    definition: str,
    container: Json,
    command: list[str],
    run: Json,
    timeout_seconds: float = 900,
    proof: Action | None = None,
    before: Any = None,
    after: Any = None,
) -> Any:
    """RunTask of a task definition (its ARN), one container with another command.

    `container`: its name and logConfiguration. `run`: what else RunTask is given: network, launch
    type or capacity providers. `proof`: a read that tells what it did: `before` still, or `after`.
    Where its command failed that decides: not done (OpsError), done all the same (Lost, and seen),
    in part (OpsError with `done`). Raises Lost as well while it goes on: it is not stopped.
    """
    name = container["name"]
    overrides = {"containerOverrides": [{"name": name, "command": command}]}
    told = ops.change(
        "ecs",
        "run_task",
        cluster=cluster,
        taskDefinition=definition,
        overrides=overrides,
        count=1,
        **run,
    )
    if not told["tasks"]:
        why = "; ".join(each.get("reason", "") for each in told.get("failures", ()))
        raise OpsError(f"ECS started no task: {why or 'it gives no reason'}. Nothing was done.")
    task = told["tasks"][0]
    said = f"Task {task['taskArn'].rpartition('/')[2]} ({' '.join(command)})"
    print(said, flush=True)
    ended = _followed(ops, cluster, task, name, timeout_seconds, said)
    lines = _lines(ops, container, ended)
    print("\n".join(f"    {each}" for each in lines), flush=True)
    code = services.exit_code(ended, name)
    if code == 0:
        return {"task": task["taskArn"], "exit": code, "lines": lines}
    how = f"ended with exit code {code}" if code is not None else "never ran its command"
    last = f" Its last line: {lines[-1]}" if lines else ""
    why = f"{said} {how}: {stops.reason(ended)}.{last}"
    if not (proof and before):
        raise HalfWay(why)
    try:
        now = Action(proof).perform(ops)
    except OpsError as exc:
        raise Lost(f"{why} Whether it did something cannot be seen: {exc}") from exc
    if now == before:
        raise OpsError(f"{why} Not done: it is still {now}.")
    if now == after:
        raise Lost(f"{why} And yet it is {now}.")
    raise OpsError(f"{why} Done in part: it was {before}, now it is {now}.", {"now": now})


def _followed(
    ops: Connection, cluster: str, task: Json, container: str, most: float, said: str
) -> Json:
    """The task, as it is when its container has ended; others of it may go on. Raises Lost."""
    given = {"cluster": cluster, "tasks": [task["taskArn"]]}

    def over(task: Json) -> bool:
        return services.exit_code(task, container) is not None or task["lastStatus"] == "STOPPED"

    try:
        seen, waited = poll(
            lambda: next(iter(ops.call("ecs", "describe_tasks", **given)["tasks"]), task),
            over,
            most,
            lambda task: f"task {task['taskArn'].rpartition('/')[2]} is {task['lastStatus']}",
        )
    except OpsError as exc:
        raise Lost(f"{said} was started and cannot be followed, so it may go on. {exc}") from exc
    if not over(seen):
        raise Lost(
            f"{said} is {seen['lastStatus']} after {waited:.0f} s. It is not stopped: "
            "what is half done may be worse than what is slow. See who holds a lock: "
            "databases/sessions."
        )
    return seen


def _lines(ops: Connection, container: Json, task: Json) -> list[str]:
    """The last that its container wrote; why they cannot be read, in place of them."""
    if "startedAt" not in task:
        return []
    try:
        found, _ = poll(lambda: services.lines(ops, container, task), bool, _LATE_SECONDS)
    except OpsError as exc:
        return [f"(what it wrote cannot be read: {exc})"]
    return [each["message"].rstrip() for each in found[-_SHOWN:]]
