"""Elastic Load Balancing: moto's targets are always healthy; those of a service follow its tasks.

`place.faults["targets"] = {"<target group's name>": "503"}`: its health checks are answered so;
`timeout` for none.
"""

import json
from fnmatch import fnmatchcase
from typing import Any

from opslib.lab.aws.operations import Call, Result, answers
from opslib.lab.corrections.ecs import schedulers, services
from opslib.lab.corrections.ecs.schedulers import Shape

_FAILED = {
    "timeout": ("Target.Timeout", "Request timed out"),
    "refused": ("Target.FailedHealthChecks", "Health checks failed"),
}
_UNUSED = {
    "State": "unused",
    "Reason": "Target.NotInUse",
    "Description": "Target group is not configured to receive traffic from the load balancer",
}


@answers("elbv2", "DescribeTargetHealth")
def describe_target_health(call: Call) -> Result:
    group = call.params["TargetGroupArn"]
    if not services.registered(call.account, call.region, group):
        return call.moto()
    wanted = {each["Id"] for each in call.params.get("Targets", ())}
    used = _is_used(call.backend(), group)
    found = [
        {
            "Target": {"Id": schedulers.address(task), "Port": task["port"]},
            "HealthCheckPort": str(task["port"]),
            "TargetHealth": _health(task, _fault(call, group)) if used else dict(_UNUSED),
        }
        for task in services.behind(call.world, call.account, call.region, group)
        if not wanted or schedulers.address(task) in wanted
    ]
    return {"TargetHealthDescriptions": found}


def _is_used(elb: Any, group: str) -> bool:
    """Whether a listener sends anything to it, by default or by a rule."""
    return any(
        group in json.dumps(action.data, default=str)
        for balancer in elb.load_balancers.values()
        for listener in balancer.listeners.values()
        for rule in listener.rules.values()
        for action in rule.actions
    )


def _fault(call: Call, group: str) -> str:
    """How its health checks fail; of another path than the app's own, which it does not know."""
    name, asked = group.split("/")[1], call.backend().target_groups[group].health_check_path
    for place in call.world.places_in(call.account, call.region):
        if fault := place.faults.get("targets", {}).get(name, ""):
            return str(fault)
        for facts in place.facts.get("services", {}).values():
            if facts.get("target_group") == name and facts.get("health", "/") != asked:
                return "404"
    return ""


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


def fixed(elb: Any, path: str) -> tuple[int, str, bytes] | None:
    """What a load balancer's rule answers a request by itself; None: it goes to a target.

    `elb`: moto's backend. The rules of all its listeners, in the order of their priorities.
    """
    for rule in rules(elb):
        action = rule.actions[-1].data
        if any(fnmatchcase(path, each) for each in _paths(rule)):
            told = action.get("FixedResponseConfig")
            if action["Type"] != "fixed-response" or told is None:
                return None
            body = str(told.get("MessageBody", "")).encode()
            return int(told["StatusCode"]), str(told.get("ContentType", "text/plain")), body
    return None


def answered(elb: Any) -> dict[str, Any]:
    """Rules with a fixed response, by their listener's name and priority: paths and answer."""
    return {
        f"{rule.listener_arn.rpartition('/')[2]} {rule.priority}": [_paths(rule), told]
        for rule in rules(elb)
        if (told := rule.actions[-1].data.get("FixedResponseConfig"))
    }


def rules(elb: Any) -> list[Any]:
    """Those of every listener, without the default ones, by their priority."""
    listeners = (each for b in elb.load_balancers.values() for each in b.listeners.values())
    found = (rule for listener in listeners for rule in listener.rules.values())
    return sorted((e for e in found if not e.is_default), key=lambda rule: int(rule.priority))


def _paths(rule: Any) -> list[str]:
    found: list[str] = []
    for each in rule.conditions:
        if each.get("Field") == "path-pattern":
            found += (each.get("PathPatternConfig") or each).get("Values", [])
    return found
