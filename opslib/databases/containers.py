"""Migrations by a command in a task of its own: what it is started with, how the last one ended.

Not by a shell in a task that serves (ECS ExecuteCommand): that is cut off with the session or when
the task is replaced, tells no exit code, and takes memory and CPU of requests.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.core import (
    UTC_TIME,
    Action,
    Connection,
    Finding,
    Findings,
    Json,
    OneOff,
    OpsError,
    Question,
    Refused,
    Select,
    answer,
    beside,
    check,
    count,
    frame,
    services,
    sign_of,
    signs,
    stops,
)

LINES = {"time": UTC_TIME, "message": "str"}
FAILED, HANGS = "migration-failed", "migration-hangs"
_MINUTES = 15.0
_GIVEN = ("networkConfiguration", "platformVersion")


def variable(ops: Connection, service: str, name: str) -> str:
    """A variable of the task definition that a service has; empty where it has none."""
    of = services.Service(ops, service).container()
    found = (each["value"] for each in of.get("environment", ()) if each["name"] == name)
    return next(found, "")


def one_off(ops: Connection, facts: Json, before: str, after: str, newest: str) -> Action:
    """A command in a task of the revision that its service has now, where the service's tasks run.

    Raises Refused while another one runs.
    """
    service, told, container = _known(ops, facts["service"])
    cluster, definition = service["cluster"], told["taskDefinition"]
    for task in services.alone(ops, cluster, _family(definition)):
        if task["lastStatus"] != "STOPPED":
            raise Refused(
                f"A task of {_family(definition)} runs already, started by RunTask at "
                f"{task['createdAt']:%H:%M} UTC ({_command(task)}). Nothing was changed: wait for "
                "its end, or see in its log what it is."
            )
    given = {name: told[name] for name in _GIVEN if told.get(name)}
    strategy = told.get("capacityProviderStrategy")
    if strategy:
        given["capacityProviderStrategy"] = strategy
    else:
        given["launchType"] = told.get("launchType", "FARGATE")
    logging = (container.get("logConfiguration") or {}).get("options", {})
    shown = {k: v for k, v in logging.items() if k in ("awslogs-group", "awslogs-stream-prefix")}
    of = {"name": container["name"], "logConfiguration": {"options": shown}}
    seconds = 60 * float(facts.get("timeout_minutes", _MINUTES))
    proof = Select(newest)
    return OneOff(
        cluster, definition, of, facts["command"], given, seconds, proof, before, after or None
    )


def _known(ops: Connection, key: str) -> tuple[Any, Json, Json]:
    """What the target's file says of a service, ECS of it, and the container with its app."""
    known = services.Service(ops, key)
    return known.facts, known.described, known.container()


def _family(definition: str) -> str:
    return definition.rpartition("/")[2].rpartition(":")[0]


def _command(task: Json) -> str:
    every = task.get("overrides", {}).get("containerOverrides", ())
    return " ".join(next((each["command"] for each in every if each.get("command")), ["its own"]))


def notes(ops: Connection, service: str) -> Iterator[str]:
    """What is to be known of the revision that the task has."""
    told = services.Service(ops, service).described
    revision = told["taskDefinition"].rpartition("/")[2]
    yield (
        f"The task has {revision}: its image, role, secrets and network. It serves nothing. "
        "What it logs is printed here, and stays in the log group."
    )
    if any(each.get("rolloutState") == "IN_PROGRESS" for each in told["deployments"]):
        yield f"LOOK: a deployment of {revision} is under way, and may be taken back."


@check("How did the last migration end?")
def check_runs(ops: Connection) -> Findings:
    """The newest task that RunTask started for it within the hour: exit code, what it wrote.

    Evidence: LINES. The database is the proof of what it did: `check_migrations`.
    """
    facts = ops.target["database"].get("migrate", {})
    if "service" not in facts:
        return Findings(note="No task runs the migrations of this target: nothing to look at.")
    service, told, container = _known(ops, facts["service"])
    tasks = services.alone(ops, service["cluster"], _family(told["taskDefinition"]))
    wanted = " ".join(facts["command"])
    ours = [each for each in tasks if _command(each) == wanted]
    asked = Question(f"last task of {wanted}", "ended with exit code 0", "ecs DescribeTasks")
    if not ours:
        seen = "none within the last hour, for which ECS remembers tasks"
        return Findings(asked.ok(seen, cause=FAILED))
    read: list[Json] = []
    found = answer(asked, _judged, ops, asked, ours[0], container, read)
    rows = [
        (datetime.fromtimestamp(each["timestamp"] / 1000, UTC), each["message"]) for each in read
    ]
    return Findings(found, frame(rows, LINES) if rows else None)


def _judged(
    ops: Connection, asked: Question, task: Json, container: Json, read: list[Json]
) -> Finding:
    age, code = ops.now() - task["createdAt"], services.exit_code(task, container["name"])
    seen = f"task {task['taskArn'].rpartition('/')[2]}, {task['createdAt']:%H:%M} UTC: "
    minutes = float(ops.target["database"]["migrate"].get("timeout_minutes", _MINUTES))
    if code is None and task["lastStatus"] != "STOPPED":
        seen += f"{task['lastStatus']} for {age.total_seconds() / 60:.0f} min"
        within = age < timedelta(minutes=minutes)
        return asked.judged(within, seen, otherwise="warn", cause=HANGS, next="databases/sessions")
    if code is None:
        sign = stops.sign(task)
        seen += f"it never ran, {sign.means}: {stops.reason(task)}"
        return asked.critical(seen, cause=sign.name, next=sign.next)
    try:
        read += services.lines(ops, container, task)
    except OpsError as exc:
        seen += f"(what it wrote cannot be read: {exc}) "
    seen += f"exit code {code}, {count(len(read), 'line')}"
    if code == 0:
        return asked.ok(seen, cause=FAILED)
    text = "\n".join(each["message"] for each in read)
    sign = sign_of(signs(beside(__file__, "migrations")["said"]), text)
    seen += f"; {sign.means}: {(text.strip().splitlines() or [stops.reason(task)])[-1]}"
    return asked.critical(seen, cause=FAILED, next=sign.next or "databases/migrate")
