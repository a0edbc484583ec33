"""ECS's history of service deployments and revisions, which moto does not have."""

from collections.abc import Iterator

from opslib.lab.aws.operations import Call, Result, answers
from opslib.lab.corrections.ecs import services
from opslib.lab.corrections.ecs.schedulers import Scheduler, Shape


@answers("ecs", "ListServiceDeployments")
def list_service_deployments(call: Call) -> Result:
    service, wanted = services.seek(call, call.params["service"]), call.params.get("status", [])
    found = [_brief(each) for each in service.history if not wanted or each["status"] in wanted]
    return services.page(call, "serviceDeployments", found, 20)


def _brief(deployment: Shape) -> Shape:
    own = ("taskDefinition", "deployment")
    return {name: value for name, value in deployment.items() if name not in own}


def _history(call: Call) -> Iterator[tuple[Scheduler, Shape]]:
    for key, each in services.every():
        if key[:2] == (call.account, call.region):
            yield from ((each, deployment) for deployment in each.history)


@answers("ecs", "DescribeServiceDeployments")
def describe_service_deployments(call: Call) -> Result:
    wanted, found = call.params["serviceDeploymentArns"], []
    for service, each in _history(call):
        if each["serviceDeploymentArn"] in wanted:
            about = _brief(each)
            target = {
                "arn": about.pop("targetServiceRevisionArn"),
                "requestedTaskCount": service.desired,
            }
            found.append({**about, "targetServiceRevision": target})
    known = {each["serviceDeploymentArn"] for each in found}
    failures = [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in known]
    return {"serviceDeployments": found, "failures": failures}


@answers("ecs", "DescribeServiceRevisions")
def describe_service_revisions(call: Call) -> Result:
    wanted = call.params["serviceRevisionArns"]
    found = [
        {
            "serviceRevisionArn": each["targetServiceRevisionArn"],
            "serviceArn": each["serviceArn"],
            "clusterArn": each["clusterArn"],
            "taskDefinition": each["taskDefinition"],
            "createdAt": each["createdAt"],
        }
        for _, each in _history(call)
        if each["targetServiceRevisionArn"] in wanted
    ]
    known = {each["serviceRevisionArn"] for each in found}
    failures = [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in known]
    return {"serviceRevisions": found, "failures": failures}
