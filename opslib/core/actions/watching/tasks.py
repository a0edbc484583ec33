"""A task of its own, with another command than its service's: followed to its exit code."""

from __future__ import annotations

from typing import Any

from opslib.core.actions.actions import Action, action
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, OpsError
from opslib.core.reads import services, stops
from opslib.core.tables import Json
from opslib.core.waiting import poll

_SHOWN = 40  # of its last lines
_LATE_SECONDS = 3.0  # by which lines come after the task's end


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
    at = {"cluster": cluster, "taskDefinition": definition, **run}
    told = ops.change("ecs", "run_task", **at, overrides=overrides, count=1)
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
    if not proof:
        raise OpsError(why)
    try:
        now = Action(proof).perform(ops)
    except OpsError as exc:
        raise Lost(f"{why} Whether it did something cannot be seen: {exc}") from exc
    if not before:
        raise OpsError(f"{why} It is {now} now.")
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
