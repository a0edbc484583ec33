"""A task of its own, with another command than its service's: followed to its exit code."""

from __future__ import annotations

from typing import Any

from opslib.core.actions.actions import Action
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, OpsError
from opslib.core.reads import services, stops
from opslib.core.tables import Json
from opslib.core.waiting import poll

_SHOWN = 40  # of its last lines
_LATE_SECONDS = 3.0  # by which lines come after the task's end


class OneOff(Action, kind="one-off"):
    """RunTask of a task definition (its ARN), one container with another command.

    `container`: its name and logConfiguration. `run`: what else RunTask is given: network, launch
    type or capacity providers. `proof`: a read that tells what it did: `before` still, or `after`.
    Where its command failed that decides: not done (OpsError), done all the same (Lost, and seen),
    in part (OpsError with `done`). Raises Lost as well while it goes on: it is not stopped.
    """

    def __init__(
        self,
        cluster: str,
        definition: str,
        container: Json,
        command: list[str],
        run: Json,
        timeout_seconds: float = 900,
        proof: Action | None = None,
        before: Any = None,
        after: Any = None,
    ) -> None: ...

    def __str__(self) -> str:
        of = self["definition"].rpartition("/")[2]
        return (
            f"ecs.run_task({of}, {self['container']['name']}: {' '.join(self['command'])}), "
            "followed to its exit code"
        )

    def perform(self, ops: Connection) -> Any:
        name, command = self["container"]["name"], " ".join(self["command"])
        overrides = {"containerOverrides": [{"name": name, "command": self["command"]}]}
        at = {"cluster": self["cluster"], "taskDefinition": self["definition"], **self["run"]}
        told = ops.change("ecs", "run_task", self.token, **at, overrides=overrides, count=1)
        if not told["tasks"]:
            why = "; ".join(each.get("reason", "") for each in told.get("failures", ()))
            raise OpsError(f"ECS started no task: {why or 'it gives no reason'}. Nothing was done.")
        task = told["tasks"][0]
        said = f"Task {task['taskArn'].rpartition('/')[2]} ({command})"
        print(said, flush=True)
        ended = self._followed(ops, task, said)
        lines = self._lines(ops, ended)
        print("\n".join(f"    {each}" for each in lines), flush=True)
        code = services.exit_code(ended, name)
        if code == 0:
            return {"task": task["taskArn"], "exit": code, "lines": lines}
        how = f"ended with exit code {code}" if code is not None else "never ran its command"
        last = f" Its last line: {lines[-1]}" if lines else ""
        raise self._judged(ops, f"{said} {how}: {stops.reason(ended)}.{last}")

    def _followed(self, ops: Connection, task: Json, said: str) -> Json:
        def look() -> Json:
            given = {"cluster": self["cluster"], "tasks": [task["taskArn"]]}
            return next(iter(ops.call("ecs", "describe_tasks", **given)["tasks"]), task)

        try:
            seen, waited = poll(look, self._over, self["timeout_seconds"], self._state)
        except OpsError as exc:
            raise Lost(
                f"{said} was started and cannot be followed, so it may go on. {exc}"
            ) from exc
        if not self._over(seen):
            raise Lost(
                f"{said} is {seen['lastStatus']} after {waited:.0f} s. It is not stopped: "
                "what is half done may be worse than what is slow. See who holds a lock: "
                "databases/sessions."
            )
        return seen

    def _over(self, task: Json) -> bool:
        """Its container has ended; others of the task may go on."""
        code = services.exit_code(task, self["container"]["name"])
        return code is not None or task["lastStatus"] == "STOPPED"

    def _state(self, task: Json) -> str:
        return f"task {task['taskArn'].rpartition('/')[2]} is {task['lastStatus']}"

    def _lines(self, ops: Connection, task: Json) -> list[str]:
        """The last that its container wrote; why they cannot be read, in place of them."""
        found: list[Json] = []

        def look() -> int:
            found[:] = services.lines(ops, self["container"], task)
            return len(found)

        if "startedAt" not in task:
            return []
        try:
            poll(look, bool, _LATE_SECONDS)
        except OpsError as exc:
            return [f"(what it wrote cannot be read: {exc})"]
        return [each["message"].rstrip() for each in found[-_SHOWN:]]

    def _judged(self, ops: Connection, why: str) -> OpsError:
        if not self["proof"]:
            return OpsError(why)
        try:
            now = self.of(self["proof"]).perform(ops)
        except OpsError as exc:
            return Lost(f"{why} Whether it did something cannot be seen: {exc}")
        if not self["before"]:
            return OpsError(f"{why} It is {now} now.")
        if now == self["before"]:
            return OpsError(f"{why} Not done: it is still {now}.")
        if now == self["after"]:
            return Lost(f"{why} And yet it is {now}.")
        said = f"{why} Done in part: it was {self['before']}, now it is {now}."
        return OpsError(said, {"now": now})
