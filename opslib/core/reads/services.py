"""ECS services as their task definitions have them: where they log, what they may and know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound
from opslib.core.tables import Json, batched

_PER_CALL = 100  # tasks


def tasks(ops: Connection, cluster: str, service: str, *statuses: str) -> list[Json]:
    """Its tasks whose desired status is one of these: RUNNING, and STOPPED of the last hour.

    ECS ListTasks, DescribeTasks; with tasks of none of its services left out.
    """
    return _told(ops, cluster, statuses, serviceName=service)


def primary(told: Json) -> Json | None:
    """The deployment of a described service that is to stay; None while one takes another's place,
    and where ECS does not keep them.
    """
    return next((each for each in told["deployments"] if each["status"] == "PRIMARY"), None)


def alone(ops: Connection, cluster: str, family: str) -> list[Json]:
    """Tasks of a family that RunTask started, newest first: those that run, or ended within the
    last hour.

    ECS ListTasks, DescribeTasks; tasks of services are left out.
    """
    told = _told(ops, cluster, ("RUNNING", "STOPPED"), family=family)
    own = [task for task in told if not task.get("group", "").startswith("service:")]
    return sorted(own, key=lambda task: str(task["createdAt"]), reverse=True)


def _told(ops: Connection, cluster: str, statuses: Sequence[str], **of: Any) -> list[Json]:
    listed = partial(ops.pages, "ecs", "list_tasks", "taskArns", cluster=cluster, **of)
    found = ops.gather(*(partial(listed, desiredStatus=status) for status in statuses))
    arns = [arn for each in found for arn in each]
    describe = partial(ops.call, "ecs", "describe_tasks", cluster=cluster)
    reads = [partial(describe, tasks=part) for part in batched(arns, _PER_CALL)]
    # one that ECS forgot meanwhile is in `failures`
    return [task for answer in ops.gather(*reads) for task in answer["tasks"]]


def exit_code(task: Json, name: str) -> int | None:
    """With which a container ended; None: it runs, or never did."""
    found = [each.get("exitCode") for each in task.get("containers", ()) if each["name"] == name]
    return found[0] if found else None


def lines(ops: Connection, container: Json, task: Json) -> list[Json]:
    """What a container of a task wrote, oldest first: timestamp, message (driver awslogs).

    Raises NotFound where it wrote nothing, or elsewhere.
    """
    options = (container.get("logConfiguration") or {}).get("options", {})
    prefix = options.get("awslogs-stream-prefix")
    if not prefix or "awslogs-group" not in options:
        raise NotFound(f"Container {container['name']} logs to no stream that is known.")
    stream = f"{prefix}/{container['name']}/{task['taskArn'].rpartition('/')[2]}"
    return ops.pages(
        "logs",
        "filter_log_events",
        "events[].{timestamp: timestamp, message: message}",
        logGroupName=options["awslogs-group"],
        logStreamNames=[stream],
        startTime=int(task["createdAt"].timestamp() * 1000),
    )


def container(facts: Any, definition: Json) -> Json:
    """The container with the app: the one that the target's file names, else the first that is
    essential.
    """
    every = definition["containerDefinitions"]
    named = [each for each in every if each["name"] == facts.get("container")]
    essential = [each for each in every if each.get("essential", True)]
    return dict((named or essential or every)[0])


def described(ops: Connection, key: str) -> Json:
    """A service (ECS DescribeServices). Raises NotFound."""
    facts = ops.target["services"][key]
    given = {"cluster": facts["cluster"], "services": [facts["name"]]}
    found = ops.call("ecs", "describe_services", **given)["services"]
    if not found:
        raise NotFound(f"Service {facts['name']} not found in {ops.where}.")
    return dict(found[0])


def definition(ops: Connection, key: str) -> Json:
    """The task definition that it has (ECS DescribeTaskDefinition)."""
    arn = described(ops, key)["taskDefinition"]
    return dict(ops.call("ecs", "describe_task_definition", taskDefinition=arn)["taskDefinition"])


def log_group(ops: Connection, key: str) -> str:
    """Where its app logs: as the target's file says, else its task definition (driver awslogs).

    Raises NotFound where neither tells.
    """
    facts = ops.target["services"][key]
    if "log_group" in facts:
        return str(facts["log_group"])
    logging = container(facts, definition(ops, key)).get("logConfiguration") or {}
    if group := logging.get("options", {}).get("awslogs-group"):
        return str(group)
    driver = logging.get("logDriver", "none")
    raise NotFound(
        f"Service {key} of {ops.target.name} logs to no log group that is known (driver {driver}). "
        "Name it in the target's file: log_group."
    )


def as_configuration(ops: Connection, key: str) -> Json:
    """What its tasks may do, know and reach, in the form of a Lambda function's configuration.

    Role, Environment, VpcConfig, Version (its revision). A secret is there by its ARN only.
    """
    facts, told, of = ops.target["services"][key], described(ops, key), definition(ops, key)
    way = told.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    app = container(facts, of)
    variables = {each["name"]: each["value"] for each in app.get("environment", ())}
    for each in app.get("secrets", ()):  # the ARN alone, without the key in it
        variables[each["name"]] = ":".join(each["valueFrom"].split(":")[:7])
    return {
        "Role": of.get("taskRoleArn", ""),
        "Environment": {"Variables": variables},
        "VpcConfig": {
            "SubnetIds": way.get("subnets", []),
            "SecurityGroupIds": way.get("securityGroups", []),
        },
        "Version": str(of["revision"]),
    }
