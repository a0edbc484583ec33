"""Tasks that RunTask starts: none of a service's. Each does what its estate knows, and ends.

`place.memory["commands"] = {family: handler}`: a handler takes the place, the command and the
container's variables, and returns an exit code with the lines that it wrote. Without one, as
without a command, the container goes on until it is stopped.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.aws.ground import Ground, Standing
from opslib.lab.corrections.ecs import fates
from opslib.lab.corrections.ecs.schedulers import DRAINED, PENDING, RUNNING, SETTLED, Shape
from opslib.lab.corrections.logs import log_stores, logs

Handler = Callable[[Any, Sequence[str], Mapping[str, str]], tuple[int, list[str]]]
Key = tuple[str, str, str]  # account, region, cluster
_KEPT = timedelta(hours=1)
_KILLED = 143
held: dict[Key, list[Shape]] = {}
_STEP = timedelta(milliseconds=1)


def start(
    key: Key, given: Mapping[str, Any], definition: Any, cluster: str, now: datetime
) -> Shape:
    """A task of RunTask's parameters. `definition`: moto's; `cluster`: its ARN."""
    arn = f"{cluster.replace(':cluster/', ':task/')}/{uuid.uuid4().hex}"
    task = {
        "taskArn": arn,
        "clusterArn": cluster,
        "taskDefinitionArn": definition.arn,
        "group": given.get("group") or f"family:{definition.family}",
        "startedBy": given.get("startedBy", ""),
        "launchType": given.get("launchType", "FARGATE"),
        "platformVersion": given.get("platformVersion", "LATEST"),
        "overrides": given.get("overrides", {}),
        "createdAt": now,
        "desiredStatus": "RUNNING",
        "lastStatus": "PROVISIONING",
        "healthStatus": "UNKNOWN",
        "attachments": [],
        "tags": given.get("tags", []),
    }
    held.setdefault(key, []).append(task)
    return task


def tasks(world: Ground[Standing], key: Key, now: datetime) -> Iterator[Shape]:
    """Of a cluster, as they are now."""
    found = held.get(key, [])
    found[:] = [e for e in found if "stoppedAt" not in e or now - e["stoppedAt"] < _KEPT]
    for task in found:
        go_on(world, key, task, now)
    yield from found


def tick(world: Ground[Standing], now: datetime) -> None:
    for key in list(held):
        for _ in tasks(world, key, now):
            pass


def definition_of(world: Ground[Standing], key: Key, task: Shape) -> Any:
    family, revision = task["taskDefinitionArn"].rpartition("/")[2].rsplit(":", 1)
    return world.backend("ecs", *key[:2]).task_definitions[family][int(revision)]


def forget(world: Ground[Standing], task: Shape) -> None:
    """A task is as if it had never been, with what it wrote."""
    for key, found in held.items():
        if task in found:
            found.remove(task)
            for group in world.backend("logs", *key[:2]).groups.values():
                for name in [n for n in group.streams if n.endswith(_id(task))]:
                    log_stores.forget(group, name)
                    del group.streams[name]


def _id(task: Shape) -> str:
    return str(task["taskArn"]).rpartition("/")[2]


def go_on(world: Ground[Standing], key: Key, task: Shape, now: datetime) -> None:
    """What has become of it until now."""
    age = now - task["createdAt"]
    if task["lastStatus"] == "STOPPED":
        return
    if task["desiredStatus"] == "STOPPED":
        if now - task["stoppingAt"] >= DRAINED:
            _stopped(task, now, task["stopCode"], task["stoppedReason"], _KILLED)
        return
    if task["lastStatus"] == "PROVISIONING" and age >= PENDING:
        task["lastStatus"] = "PENDING"
    if task["lastStatus"] == "PENDING" and age >= RUNNING:
        fate = fates.of(world, *key[:2], definition_of(world, key, task))
        if fate and not fate.unhealthy:
            _stopped(task, now, fate.code, fate.reason, fate.exit_code, fate.container)
            return
        task |= {"lastStatus": "RUNNING", "startedAt": now}
    if task["lastStatus"] == "RUNNING" and age >= SETTLED and "begun" not in task:
        task["begun"] = True  # two who ask at a time: it works once
        _work(world, key, task, now)


def _work(world: Ground[Standing], key: Key, task: Shape, now: datetime) -> None:
    """The command of the one container that has one, where an estate knows it."""
    definition = definition_of(world, key, task)
    for override in task["overrides"].get("containerOverrides", ()):
        for place in world.places_in(*key[:2]):
            handler = place.memory.get("commands", {}).get(definition.family)
            if handler and (command := override.get("command")):
                container = _container(definition, override["name"])
                known = {e["name"]: e["value"] for e in container.get("environment", ())}
                code, lines = handler(place, command, known)
                _tell(key, container, task, now, lines)
                said = "Essential container in task exited"
                _stopped(task, now, "EssentialContainerExited", said, code)
                return


def _container(definition: Any, name: str) -> Shape:
    return next(e for e in definition.container_definitions if e["name"] == name)


def _tell(key: Key, container: Shape, task: Shape, now: datetime, lines: Sequence[str]) -> None:
    options = container.get("logConfiguration", {}).get("options", {})
    if "awslogs-group" in options:
        stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{_id(task)}"
        told = [(now + at * _STEP, stream, line) for at, line in enumerate(lines)]
        logs.append(*key[:2], options["awslogs-group"], told)


def _stopped(
    task: Shape, now: datetime, code: str, reason: str, exit_code: int | None, said: str = ""
) -> None:
    task |= {"stopCode": code, "stoppedReason": reason, "stoppingAt": now, "stoppedAt": now}
    task |= {"desiredStatus": "STOPPED", "lastStatus": "STOPPED"}
    for container in task["containers"]:
        container["lastStatus"] = "STOPPED"
        container |= {"exitCode": exit_code} if exit_code is not None else {}
        container |= {"reason": said} if said else {}
