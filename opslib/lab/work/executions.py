"""The state machines of a target's file, and their executions before the lab's start."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.corrections.workflows import executions as kept
from opslib.lab.corrections.workflows.executions import Execution
from opslib.lab.forms import data
from opslib.lab.places import Place, plain
from opslib.lab.resources import names
from opslib.lab.resources.placeholders import filled

_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "states.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def name(place: Place, key: str) -> str:
    return str(place.facts["workflows"][key]["name"])


def arn(place: Place, key: str) -> str:
    return names.arn(place, "states", f"stateMachine:{name(place, key)}")


def seed(place: Place, about: data.Data) -> None:
    for key in place.facts.get("workflows", {}):
        iam = place.client("iam")
        known = about.workflows.get(key, data.Workflow())
        role = f"{plain(name(place, key))}-role"
        made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=_TRUST)["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": list(known.allows), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName=role, PolicyName="run", PolicyDocument=policy)
        group = f"/aws/vendedlogs/states/{name(place, key)}"
        place.logs(group, [])
        to = {"logGroupArn": names.arn(place, "logs", f"log-group:{group}:*")}
        place.client("stepfunctions").create_state_machine(
            name=name(place, key),
            definition=json.dumps(filled(place, known.definition)),
            roleArn=made,
            loggingConfiguration={
                "level": "ERROR",
                "includeExecutionData": False,
                "destinations": [{"cloudWatchLogsLogGroup": to}],
            },
        )
        kept.measure(place, arn(place, key))


def add(
    place: Place, key: str, called: str, given: Any, when: datetime, seconds: float | None
) -> Execution:
    """An execution as of that time: it succeeded after so many seconds, or (None) is in its first
    state still.
    """
    machine = place.backend("stepfunctions").describe_state_machine(arn(place, key))
    made = Execution(
        f"{machine.arn.replace(':stateMachine:', ':execution:')}:{called}",
        machine.arn,
        called,
        json.dumps(given),
        machine.definition,
        machine.roleArn,
        when,
    )
    if seconds is not None:
        made.status, made.stopped = "SUCCEEDED", when + timedelta(seconds=seconds)
        made.output = made.input
    made.events = lambda: list(_told(made, seconds))
    kept.add(made)
    return made


def _told(made: Execution, seconds: float | None) -> Iterator[dict[str, Any]]:
    """The way that a definition leads when nothing fails."""
    states = json.loads(made.definition)["States"]
    path = [json.loads(made.definition)["StartAt"]]
    while following := states[path[-1]].get("Next"):
        path.append(following)
    each = (seconds or 0.0) / len(path)
    kinds: list[tuple[str, float, dict[str, Any]]] = [
        ("ExecutionStarted", 0, {"executionStarted": {"input": made.input, "roleArn": made.role}})
    ]
    for at, state in enumerate(path if seconds is not None else path[:1]):
        begun, task = each * at, {"resourceType": "lambda", "resource": "invoke"}
        about = {"name": state, "input": made.input}
        kinds.append((f"{states[state]['Type']}StateEntered", begun, {"stateEntered": about}))
        if states[state]["Type"] == "Task":
            more = {**task, "region": made.arn.split(":")[3], "parameters": made.input}
            kinds.append(("TaskScheduled", begun, {"taskScheduled": more}))
            kinds.append(("TaskStarted", begun, {"taskStarted": task}))
        if seconds is None:
            break
        if states[state]["Type"] == "Task":
            kinds.append(("TaskSucceeded", begun + each, {"taskSucceeded": task}))
        left = {"name": state, "output": made.input}
        kinds.append((f"{states[state]['Type']}StateExited", begun + each, {"stateExited": left}))
    if seconds is not None:
        kinds.append(
            ("ExecutionSucceeded", seconds, {"executionSucceeded": {"output": made.input}})
        )
    for at, (kind, after, details) in enumerate(kinds, 1):
        when = made.started + timedelta(seconds=after)
        told = {f"{name}EventDetails": about for name, about in details.items()}
        yield {"id": at, "previousEventId": at - 1, "type": kind, "timestamp": when, **told}
