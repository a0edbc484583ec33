"""Application Auto Scaling of ECS services.

Moto takes a policy of a target that is not there, gives one that is replaced another ARN and alarms
beside the old ones, never scales, and has no activities.
"""

import uuid
from datetime import datetime
from typing import Any

from opslib.lab.aws.ground import Ground, Standing
from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.ecs import services
from opslib.lab.corrections.ecs.schedulers import Shape

_SERVICE = "application-autoscaling"
_activities: dict[tuple[str, str], list[Shape]] = {}  # by account and region, newest first


def reset() -> None:
    _activities.clear()


def held() -> tuple[dict[Any, Any], ...]:
    return (_activities,)


def tick(world: Ground[Standing], now: datetime) -> None:
    """Keeps each service within its bounds, whoever set its count."""
    for (account, region, cluster, name), service in list(services.every()):
        resource = f"service/{cluster}/{name}"
        known = world.backend(_SERVICE, account, region).targets.get("ecs:service:DesiredCount", {})
        if target := known.get(resource):
            wanted = min(max(service.desired, target.min_capacity), target.max_capacity)
            if wanted != service.desired:
                which = "minimum" if wanted > service.desired else "maximum"
                service.shown["desiredCount"] = wanted
                _tell(account, region, resource, wanted, which, now)


def _tell(account: str, region: str, resource: str, wanted: int, which: str, now: datetime) -> None:
    done = {
        "ActivityId": str(uuid.uuid4()),
        "ServiceNamespace": "ecs",
        "ResourceId": resource,
        "ScalableDimension": "ecs:service:DesiredCount",
        "Description": f"Setting desired count to {wanted}.",
        "Cause": f"{which} capacity was set to {wanted}",
        "StartTime": now,
        "EndTime": now,
        "StatusCode": "Successful",
        "StatusMessage": f"Successfully set desired count to {wanted}. Change successfully "
        "fulfilled by ecs.",
    }
    _activities.setdefault((account, region), []).insert(0, done)


def _policy(call: Call) -> Any:
    wanted = call.params["PolicyName"], call.params["ResourceId"]
    every = call.backend().policies.values()
    return next((each for each in every if (each.policy_name, each.resource_id) == wanted), None)


def _replaced(call: Call, before: Any, answer: Any) -> Any:
    """A policy that is written again keeps its ARN and, while it tracks, its alarms."""
    after = _policy(call)
    after.policy_arn = before.policy_arn
    if not (before.alarms and after.alarms):
        before.delete_alarms(call.account, call.region)
        return {**answer, "PolicyARN": before.policy_arn}
    after.delete_alarms(call.account, call.region)
    after.alarms = before.alarms
    shown = [{"AlarmName": each.name, "AlarmARN": each.alarm_arn} for each in after.alarms]
    return {**answer, "PolicyARN": before.policy_arn, "Alarms": shown}


@answers(_SERVICE, "PutScalingPolicy")
def put_scaling_policy(call: Call) -> Result:
    given, backend = call.params, call.backend()
    dimension, resource = given["ScalableDimension"], given["ResourceId"]
    if resource not in backend.targets.get(dimension, {}):
        raise AwsError(
            "ObjectNotFoundException",
            f"No scalable target registered for service namespace: {given['ServiceNamespace']}, "
            f"resource ID: {resource}, scalable dimension: {dimension}",
            400,
        )
    before = _policy(call)
    answer: Shape = _replaced(call, before, call.moto()) if before else call.moto()
    target = given.get("TargetTrackingScalingPolicyConfiguration", {}).get("TargetValue")
    for alarm in call.backend("cloudwatch").alarms.values():
        if target and alarm.name in {each["AlarmName"] for each in answer.get("Alarms", ())}:
            # AWS's lower one rings whenever there is little to do; moto's thresholds are made up
            high = "AlarmHigh" in alarm.name
            alarm.threshold = target if high else 0.0
            alarm.metric_name, alarm.statistic = "CPUUtilization", "Average"
            alarm.comparison_operator = "GreaterThanThreshold" if high else "LessThanThreshold"
    return answer


@answers(_SERVICE, "DescribeScalingActivities")
def describe_scaling_activities(call: Call) -> Result:
    wanted = {k: v for k, v in call.params.items() if k in ("ServiceNamespace", "ResourceId")}
    found = [
        each
        for each in _activities.get((call.account, call.region), [])
        if all(each[name] == value for name, value in wanted.items())
    ]
    return {"ScalingActivities": found[: call.params.get("MaxResults") or 50]}
