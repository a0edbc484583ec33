"""Schedules of EventBridge Scheduler, as the target's file describes them.

Nothing is started by them: they are there to be looked at.
"""

import json
from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import names

_HOURS = "cron(15 3 * * ? *)"
_STARTS = ["lambda:InvokeFunction", "sqs:SendMessage", "states:StartExecution"]


def seed(place: Place) -> None:
    """Each in its group, with a role that it is started by."""
    every = place.facts.get("schedules", {}).values()
    if not every:
        return
    client, role = place.client("scheduler"), _role(place)
    for group in sorted({each["group"] for each in every if "group" in each} - {"default"}):
        client.create_schedule_group(Name=group)
    for facts in every:
        client.create_schedule(
            Name=facts["name"],
            GroupName=facts.get("group", "default"),
            ScheduleExpression=_HOURS,
            FlexibleTimeWindow={"Mode": "OFF"},
            State="ENABLED" if facts.get("enabled", True) else "DISABLED",
            Target={"Arn": _target(place, facts), "RoleArn": role, "Input": "{}"},
        )


def _target(place: Place, facts: Any) -> str:
    """The queue, workflow or function of that name; without one the first function."""
    of, wanted = place.facts, facts.get("target", "")
    if wanted in {each["name"] for each in of.get("queues", {}).values()}:
        return names.arn(place, "sqs", wanted)
    if wanted in {each["name"] for each in of.get("workflows", {}).values()}:
        return names.arn(place, "states", f"stateMachine:{wanted}")
    functions = [each["name"] for each in of.get("functions", {}).values()]
    return names.arn(place, "lambda", f"function:{wanted or next(iter(functions), 'nothing')}")


def _role(place: Place) -> str:
    client, name = place.client("iam"), f"{place.called}-scheduler"
    who = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}}
    trust = {"Version": "2012-10-17", "Statement": [{**who, "Action": "sts:AssumeRole"}]}
    may = {"Effect": "Allow", "Action": _STARTS, "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [may]}
    made = client.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    client.put_role_policy(RoleName=name, PolicyName="start", PolicyDocument=json.dumps(document))
    return str(made["Role"]["Arn"])
