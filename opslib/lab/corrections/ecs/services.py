"""ECS. Moto's services never start a task, and describing a task drives it to STOPPED.

Clusters and task definitions stay moto's; services, their tasks and deployments are the lab's.
Tasks of RunTask are in `alone`.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.aws.ground import Ground, Standing
from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.ecs import alone, fates, schedulers
from opslib.lab.corrections.ecs.schedulers import Scheduler, Shape

_Key = tuple[str, str, str, str]  # account, region, cluster, service
_services: dict[_Key, Scheduler] = {}
_PAGE = 100
_SETTLED = timedelta(minutes=10)
_DEFAULTS = {
    "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
    "schedulingStrategy": "REPLICA",
    "launchType": "FARGATE",
    "platformVersion": "LATEST",
    "loadBalancers": [],
    "serviceRegistries": [],
    "placementConstraints": [],
    "placementStrategy": [],
    "deploymentController": {"type": "ECS"},
    "enableExecuteCommand": False,
    "propagateTags": "NONE",
    "availabilityZoneRebalancing": "DISABLED",
}
_CHANGED = {  # of UpdateService; those that make a new deployment
    "desiredCount": False,
    "deploymentConfiguration": False,
    "healthCheckGracePeriodSeconds": False,
    "enableExecuteCommand": False,
    "propagateTags": False,
    "networkConfiguration": True,
    "platformVersion": True,
    "loadBalancers": True,
    "serviceRegistries": True,
    "capacityProviderStrategy": True,
}


def reset() -> None:
    _services.clear()
    alone.held.clear()


def held() -> tuple[dict[Any, Any], ...]:
    return (_services, alone.held)


def tick(world: Ground[Standing], now: datetime) -> None:
    for key in list(_services):
        _step(world, key, now)
    alone.tick(world, now)


def every() -> list[tuple[_Key, Scheduler]]:
    """Each with its account, region, cluster and name; those that were deleted left out."""
    return [(key, each) for key, each in _services.items() if each.shown["status"] == "ACTIVE"]


def find(account: str, region: str, cluster: str, name: str) -> Scheduler:
    """For estates and their drills. KeyError when it is not there."""
    return _services[account, region, cluster, name]


def behind(world: Ground[Standing], account: str, region: str, group: str) -> Iterator[Shape]:
    """The tasks that are registered in a target group (its ARN), with `port`, as they are now."""
    for key, service in list(_services.items()):
        for balancer in service.shown["loadBalancers"]:
            if key[:2] == (account, region) and balancer.get("targetGroupArn") == group:
                _step(world, key, world.now())
                for task in service.tasks:
                    if task["lastStatus"] == "RUNNING":
                        yield {**task, "port": balancer.get("containerPort", 80)}


def registered(account: str, region: str, group: str) -> bool:
    """Whether a service registers its tasks in a target group."""
    return any(
        key[:2] == (account, region)
        and any(each.get("targetGroupArn") == group for each in service.shown["loadBalancers"])
        for key, service in _services.items()
    )


def _step(world: Ground[Standing], key: _Key, now: datetime) -> None:
    step(world, _services[key], now)


def step(world: Ground[Standing], service: Scheduler, now: datetime) -> None:
    """Lets a service go on until now; what becomes of its tasks is looked for each time."""
    key = service.shown["clusterArn"].split(":")[4], service.shown["clusterArn"].split(":")[3]
    backend = world.backend("ecs", *key)
    arn = service.shown["taskDefinition"]
    family, revision = arn.rpartition("/")[2].rsplit(":", 1)
    definition = backend.task_definitions.get(family, {}).get(int(revision))
    fate = fates.of(world, *key, definition) if definition else None
    service.step(now, {arn: fate})
    for task in service.tasks:
        if not task["containers"] and definition and task["taskDefinitionArn"] == arn:
            task |= of_definition(definition, task["taskArn"])


def of_definition(definition: Any, arn: str) -> Shape:
    containers = [
        {
            "containerArn": arn.replace(":task/", ":container/") + f"/{uuid.uuid4()}",
            "taskArn": arn,
            "name": each["name"],
            "image": each["image"],
            "lastStatus": "PENDING",
            "healthStatus": "UNKNOWN",
            "networkInterfaces": [],
        }
        for each in definition.container_definitions
    ]
    return {"containers": containers, "cpu": definition.cpu, "memory": definition.memory}


def _cluster(call: Call) -> Any:
    """moto's cluster. Raises ClusterNotFoundException."""
    name = (call.params.get("cluster") or "default").rpartition("/")[2]
    if name not in call.backend().clusters:
        raise AwsError("ClusterNotFoundException", "Cluster not found.", 400)
    return call.backend().clusters[name]


def _key(call: Call, name: str) -> _Key:
    return call.account, call.region, str(_cluster(call).name), name.rpartition("/")[2]


def seek(call: Call, name: str) -> Scheduler:
    key = _key(call, name)
    if key not in _services:
        raise AwsError("ServiceNotFoundException", "Service not found.", 400)
    _step(call.world, key, call.received)
    return _services[key]


def _definition(call: Call, given: str) -> Any:
    """moto's definition of `family`, `family:3` or an ARN; its newest active revision alone."""
    family, _, revision = given.rpartition("/")[2].partition(":")
    known = call.backend().task_definitions.get(family, {})
    active = {number: each for number, each in known.items() if each.status == "ACTIVE"}
    found = active.get(int(revision)) if revision else active.get(max(active, default=0))
    if found is None:
        raise AwsError("ClientException", "Unable to describe task definition.", 400)
    return found


@answers("ecs", "CreateService")
def create_service(call: Call) -> Result:
    given, cluster = dict(call.params), _cluster(call)
    name = given["serviceName"]
    key = _key(call, name)
    if key in _services and _services[key].shown["status"] == "ACTIVE":
        raise AwsError("InvalidParameterException", "Creation of service was not idempotent.", 400)
    definition = _definition(call, given["taskDefinition"])
    call.moto()  # it looks at the network, and tells other services that there is such a one
    base = f"arn:{call.partition}:ecs:{call.region}:{call.account}"
    taken = {each: value for each, value in given.items() if each not in ("cluster", "clientToken")}
    shown = {
        **_DEFAULTS,
        **taken,
        "serviceArn": f"{base}:service/{cluster.name}/{name}",
        "clusterArn": cluster.arn,
        "status": "ACTIVE",
        "desiredCount": given.get("desiredCount", 0),
        "createdAt": call.received,
        "events": [],
    }
    service = _services[key] = Scheduler(shown, f"{base}:task/{cluster.name}", call.received)
    _deploy(call, service, definition.arn)
    return {"service": service.described()}


@answers("ecs", "UpdateService")
def update_service(call: Call) -> Result:
    given, service = call.params, seek(call, call.params["service"])
    if service.shown["status"] != "ACTIVE":
        raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.", 400)
    definition = service.shown["taskDefinition"]
    if "taskDefinition" in given:
        definition = _definition(call, given["taskDefinition"]).arn
    changed = {name: given[name] for name in _CHANGED if name in given}
    anew = definition != service.shown["taskDefinition"] or given.get("forceNewDeployment")
    anew = anew or any(
        _CHANGED[name] and service.shown.get(name) != value for name, value in changed.items()
    )
    kept = service.shown["deploymentConfiguration"]
    if "deploymentConfiguration" in changed:
        changed["deploymentConfiguration"] = {**kept, **changed["deploymentConfiguration"]}
    service.shown |= changed
    if anew:
        _deploy(call, service, definition)
    _step(call.world, _key(call, given["service"]), call.received)
    return {"service": service.described()}


def _deploy(call: Call, service: Scheduler, definition: str) -> None:
    """The lab's own deployments, as in seeding, are over at once."""
    when = call.received - _SETTLED if call.quiet else call.received
    service.deploy(definition, when)
    if call.quiet:
        service.settle(when)


@answers("ecs", "DeleteService")
def delete_service(call: Call) -> Result:
    service = seek(call, call.params["service"])
    if service.desired and not call.params.get("force"):
        text = "The service cannot be stopped while it is scaled above 0."
        raise AwsError("InvalidParameterException", text, 400)
    call.moto()
    service.shown |= {"status": "DRAINING" if service.tasks else "INACTIVE", "desiredCount": 0}
    for each in service.tasks:
        schedulers.stop(each, call.received, "ServiceSchedulerInitiated", "Service was deleted")
    return {"service": service.described()}


@answers("ecs", "DescribeServices")
def describe_services(call: Call) -> Result:
    given = call.params.get("services", [])
    if not 1 <= len(given) <= 10:
        raise AwsError("InvalidParameterException", "Services must contain 1 to 10 names.", 400)
    found, failures = [], []
    for name in given:
        key = _key(call, name)
        if key in _services:
            found.append(seek(call, name).described())
        else:
            arn = f"arn:{call.partition}:ecs:{call.region}:{call.account}:service/{key[2]}/{key[3]}"
            failures.append({"arn": arn, "reason": "MISSING"})
    if "TAGS" not in call.params.get("include", ()):
        found = [{k: v for k, v in each.items() if k != "tags"} for each in found]
    return {"services": found, "failures": failures}


@answers("ecs", "ListServices")
def list_services(call: Call) -> Result:
    cluster = _cluster(call)
    arns = [
        each.shown["serviceArn"]
        for key, each in _of_cluster(call, cluster.name)
        if each.shown["status"] != "INACTIVE"
    ]
    return page(call, "serviceArns", arns, 10)


def _of_cluster(call: Call, cluster: str) -> Iterator[tuple[_Key, Scheduler]]:
    for key, each in sorted(_services.items(), key=lambda item: item[0]):
        if key[:3] == (call.account, call.region, cluster):
            yield key, each


def page(call: Call, name: str, found: Sequence[Any], usual: int = _PAGE) -> Result:
    start = int(call.params.get("nextToken") or 0)
    end = start + int(call.params.get("maxResults") or usual)
    more = {"nextToken": str(end)} if end < len(found) else {}
    return {name: list(found[start:end]), **more}


def _tasks(call: Call) -> Iterator[Shape]:
    """Of the cluster, as they are now: of its services, and those that were run alone."""
    cluster = _cluster(call)
    for key, each in list(_of_cluster(call, cluster.name)):
        _step(call.world, key, call.received)
        yield from each.tasks
    yield from alone.tasks(call.world, (call.account, call.region, cluster.name), call.received)


@answers("ecs", "RunTask")
def run_task(call: Call) -> Result:
    given, cluster = call.params, _cluster(call)
    definition = _definition(call, given["taskDefinition"])
    key = call.account, call.region, str(cluster.name)
    token = given.get("clientToken")
    for task in alone.tasks(call.world, key, call.received):
        if token and task.get("clientToken") == token:
            return {"tasks": [task], "failures": []}
    named = {each["name"] for each in definition.container_definitions}
    for each in given.get("overrides", {}).get("containerOverrides", ()):
        if each.get("name") not in named:
            raise AwsError(
                "InvalidParameterException",
                f"Override for container named {each.get('name')} is not a container in the "
                "TaskDefinition.",
                400,
            )
    if definition.network_mode == "awsvpc" and "networkConfiguration" not in given:
        raise AwsError(
            "InvalidParameterException",
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            400,
        )
    if fates.of(call.world, call.account, call.region, definition) is fates.UNPLACED:
        return {"tasks": [], "failures": [{"arn": cluster.arn, "reason": fates.UNPLACED.reason}]}
    task = alone.start(key, given, definition, cluster.arn, call.received)
    task |= {"clientToken": token, **of_definition(definition, task["taskArn"])}
    return {"tasks": [task], "failures": []}


@answers("ecs", "ListTasks")
def list_tasks(call: Call) -> Result:
    given = call.params
    if "serviceName" in given:
        seek(call, given["serviceName"])
    wanted = {
        "group": f"service:{given['serviceName'].rpartition('/')[2]}"
        if "serviceName" in given
        else None,
        "startedBy": given.get("startedBy"),
        "desiredStatus": given.get("desiredStatus", "RUNNING"),
        "launchType": given.get("launchType"),
    }
    found = [
        each["taskArn"]
        for each in _tasks(call)
        if all(value is None or each.get(name) == value for name, value in wanted.items())
        and ("family" not in given or f"/{given['family']}:" in each["taskDefinitionArn"])
    ]
    return page(call, "taskArns", found)


@answers("ecs", "DescribeTasks")
def describe_tasks(call: Call) -> Result:
    wanted = call.params.get("tasks", [])
    if not wanted:
        raise AwsError("InvalidParameterException", "Tasks cannot be empty.", 400)
    if len(wanted) > _PAGE:
        raise AwsError("InvalidParameterException", "Tasks must contain at most 100.", 400)
    known = {each["taskArn"].rpartition("/")[2]: each for each in _tasks(call)}
    found = [known[each.rpartition("/")[2]] for each in wanted if each.rpartition("/")[2] in known]
    missing = [
        {"arn": each, "reason": "MISSING"}
        for each in wanted
        if each.rpartition("/")[2] not in known
    ]
    return {"tasks": found, "failures": missing}


@answers("ecs", "StopTask")
def stop_task(call: Call) -> Result:
    wanted = call.params["task"].rpartition("/")[2]
    for task in _tasks(call):
        if task["taskArn"].endswith(wanted):
            reason = call.params.get("reason") or "Task stopped by user"
            schedulers.stop(task, call.received, "UserInitiated", reason)
            return {"task": task}
    text = "The referenced task was not found."
    raise AwsError("InvalidParameterException", text, 400)


@answers("ecs", "ListTaskDefinitions")
def list_task_definitions(call: Call) -> Result:
    """Moto ignores `sort` and sorts revisions as texts."""
    family, status = call.params.get("familyPrefix"), call.params.get("status") or "ACTIVE"
    found = sorted(
        (each.family, each.revision, each.arn)
        for revisions in call.backend().task_definitions.values()
        for each in revisions.values()
        if each.status == status and family in (None, each.family)
    )
    if call.params.get("sort") == "DESC":
        found.reverse()
    return page(call, "taskDefinitionArns", [arn for *_, arn in found])
