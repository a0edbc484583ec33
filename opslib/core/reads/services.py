"""ECS services as their task definitions have them: where they log, what they may and know."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound
from opslib.core.reads.described import Described
from opslib.core.tables import Json, batched

_PER_CALL = 100  # tasks


def described(ops: Connection, cluster: str, service: str) -> Json:
    """ECS DescribeServices. Raises NotFound, also for one that was deleted."""
    found = ops.call("ecs", "describe_services", cluster=cluster, services=[service])["services"]
    deleted = ": deleted" * any(each.get("status") == "INACTIVE" for each in found)
    if deleted or not found:
        raise NotFound(f"service {service} not found in {ops.where}{deleted}.")
    return dict(found[0])


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


class Service(Described):
    """An ECS service of the target."""

    section = "services"

    @cached_property
    def described(self) -> Json:
        """ECS DescribeServices. Raises NotFound, also for one that was deleted."""
        return described(self.ops, self.facts["cluster"], self.name)

    def definition(self, arn: str = "") -> Json:
        """A task definition (ECS DescribeTaskDefinition); the one that the service has."""
        of = arn or self.described["taskDefinition"]
        found = self.ops.call("ecs", "describe_task_definition", taskDefinition=of)
        return dict(found["taskDefinition"])

    def container(self, definition: Json | None = None) -> Json:
        """The container with the app: the one that the target's file names, else the first that is
        essential.
        """
        every = (definition or self.definition())["containerDefinitions"]
        named = [each for each in every if each["name"] == self.facts.get("container")]
        essential = [each for each in every if each.get("essential", True)]
        return dict((named or essential or every)[0])

    @property
    def network(self) -> Json:
        """Subnets and security groups of its tasks, where they have addresses of their own."""
        way: Json = self.described.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
        return way


def log_group(ops: Connection, key: str) -> str:
    """Where its app logs: as the target's file says, else its task definition (driver awslogs).

    Raises NotFound where neither tells.
    """
    service = Service(ops, key)
    if "log_group" in service.facts:
        return str(service.facts["log_group"])
    logging = service.container().get("logConfiguration") or {}
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
    service = Service(ops, key)
    of, way = service.definition(), service.network
    app = service.container(of)
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
