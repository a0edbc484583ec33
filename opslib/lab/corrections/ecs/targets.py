"""Elastic Load Balancing: moto's targets are always healthy; those of a service follow its tasks.

`place.faults["targets"] = {"<target group's name>": "503"}`: its health checks are answered so;
`timeout` for none.
"""

from __future__ import annotations

from collections.abc import Iterator

from opslib.lab.aws.operations import Call, Result, answers
from opslib.lab.corrections.ecs import schedulers, services
from opslib.lab.corrections.ecs.schedulers import Shape

_FAILED = {
    "timeout": ("Target.Timeout", "Request timed out"),
    "refused": ("Target.FailedHealthChecks", "Health checks failed"),
}


@answers("elbv2", "DescribeTargetHealth")
def describe_target_health(call: Call) -> Result:
    group = call.params["TargetGroupArn"]
    if not services.registered(call.account, call.region, group):
        return call.moto()
    wanted = {each["Id"] for each in call.params.get("Targets", ())}
    found = [
        {
            "Target": {"Id": schedulers.address(task), "Port": task["port"]},
            "HealthCheckPort": str(task["port"]),
            "TargetHealth": _health(task, _fault(call, group)),
        }
        for task in services.behind(call.world, call.account, call.region, group)
        if not wanted or schedulers.address(task) in wanted
    ]
    return {"TargetHealthDescriptions": found}


def _fault(call: Call, group: str) -> str:
    name = group.split("/")[1]
    places: Iterator[str] = (
        place.faults.get("targets", {}).get(name, "")
        for place in call.world.places_in(call.account, call.region)
    )
    return next(filter(None, places), "")


def _health(task: Shape, fault: str) -> Shape:
    if task["desiredStatus"] == "STOPPED":
        reason = "Target.DeregistrationInProgress"
        return {
            "State": "draining",
            "Reason": reason,
            "Description": "Target deregistration is in progress",
        }
    if fault:
        code = f"Health checks failed with these codes: [{fault}]"
        reason, text = _FAILED.get(fault, ("Target.ResponseCodeMismatch", code))
        return {"State": "unhealthy", "Reason": reason, "Description": text}
    if task["healthStatus"] == "UNKNOWN":
        return {
            "State": "initial",
            "Reason": "Elb.RegistrationInProgress",
            "Description": "Target registration is in progress",
        }
    return {"State": "healthy"}
