"""Step Functions as the real one: names, pages, histories, stops, redrives, what a role allows."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.corrections.workflows import executions
from opslib.lab.places import Place

_DONE = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
_FAIL = {
    "StartAt": "Send",
    "States": {
        "Send": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Parameters": {"QueueUrl.$": "$.queue", "MessageBody": {"item.$": "$.item"}},
            "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 1}],
            "End": True,
        }
    },
}
_SLOW = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": True}}}


class Machine:
    """A state machine of this test's own, whose role may do what is `allowed`."""

    def __init__(self, aws: Any, definition: Any, *allowed: str) -> None:
        name = f"flow-{uuid.uuid4().hex[:8]}"
        self.sfn, self.iam, self.role = aws("stepfunctions"), aws("iam"), f"{name}-role"
        role = self.iam.create_role(RoleName=self.role, AssumeRolePolicyDocument="{}")["Role"]
        self.allow("logs:PutLogEvents", *allowed)
        given = {"name": name, "definition": json.dumps(definition), "roleArn": role["Arn"]}
        self.arn = self.sfn.create_state_machine(**given)["stateMachineArn"]

    def allow(self, *actions: str) -> None:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": statement})
        self.iam.put_role_policy(RoleName=self.role, PolicyName="run", PolicyDocument=document)

    def start(self, given: Any = None, **named: str) -> str:
        body = json.dumps(given or {})
        answer = self.sfn.start_execution(stateMachineArn=self.arn, input=body, **named)
        return str(answer["executionArn"])

    def ended(self, arn: str) -> Any:
        end = time.monotonic() + 20
        while (told := self.sfn.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < end
            time.sleep(0.02)
        return told

    def types(self, arn: str) -> list[str]:
        events = self.sfn.get_execution_history(executionArn=arn)["events"]
        return [event["type"] for event in events]


def code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def test_an_execution_without_a_name_gets_one_and_a_name_is_used_once(aws: Any) -> None:
    machine = Machine(aws, _DONE)
    one, other = machine.start(), machine.start()
    assert one != other
    assert not one.endswith(":None")
    named = machine.start({"a": 1}, name="report-1")
    assert machine.ended(named)["status"] == "SUCCEEDED"
    with pytest.raises(ClientError) as raised:
        machine.start({"a": 1}, name="report-1")
    assert code(raised) == "ExecutionAlreadyExists"
    with pytest.raises(ClientError) as raised:
        machine.start(name="with space")
    assert code(raised) == "InvalidName"


def test_a_running_one_is_answered_again_for_the_same_input_and_can_be_stopped(aws: Any) -> None:
    machine = Machine(aws, _SLOW)
    arn = machine.start({"a": 1}, name="slow-1")
    assert machine.start({"a": 1}, name="slow-1") == arn
    with pytest.raises(ClientError) as raised:
        machine.start({"a": 2}, name="slow-1")
    assert code(raised) == "ExecutionAlreadyExists"
    machine.sfn.stop_execution(executionArn=arn, error="ByHand", cause="it was enough")
    told = machine.ended(arn)
    assert (told["status"], told["error"], told["cause"]) == ("ABORTED", "ByHand", "it was enough")
    assert machine.types(arn)[-1] == "ExecutionAborted"
    executions.settle(5)
    assert not executions.threads


def test_executions_are_listed_newest_first_by_status_and_page(aws: Any) -> None:
    machine = Machine(aws, _DONE)
    names = [machine.start(name=f"n-{at}").rsplit(":", 1)[-1] for at in range(5)]
    executions.settle()
    pages = machine.sfn.get_paginator("list_executions")
    found = [
        each["name"]
        for page in pages.paginate(stateMachineArn=machine.arn, maxResults=2)
        for each in page["executions"]
    ]
    assert found == names[::-1]
    failed = machine.sfn.list_executions(stateMachineArn=machine.arn, statusFilter="FAILED")
    assert failed["executions"] == []


def test_a_denied_task_fails_and_a_redrive_goes_on_from_its_state(aws: Any) -> None:
    queue = aws("sqs").create_queue(QueueName=f"q-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    machine = Machine(aws, _FAIL, "sns:Publish")
    arn = machine.start({"queue": queue, "item": "7"})
    told = machine.ended(arn)
    assert told["status"] == "FAILED"
    assert "not authorized to perform: sqs:SendMessage" in told["cause"]
    assert machine.types(arn).count("TaskFailed") == 3, "the first try and two more"
    assert told["redriveStatus"] == "REDRIVABLE"
    machine.allow("sqs:SendMessage")
    machine.sfn.redrive_execution(executionArn=arn)
    again = machine.ended(arn)
    assert (again["status"], again["redriveCount"]) == ("SUCCEEDED", 1)
    events = machine.sfn.get_execution_history(executionArn=arn)["events"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert "ExecutionRedriven" in machine.types(arn)
    body = aws("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"]
    assert json.loads(body) == {"item": "7"}
    with pytest.raises(ClientError) as raised:
        machine.sfn.redrive_execution(executionArn=arn)
    assert code(raised) == "ExecutionNotRedrivable"


def test_metrics_are_what_the_executions_are(aws: Any, place: Place) -> None:
    machine = Machine(aws, _DONE)
    executions.measure(place, machine.arn)
    machine.start()
    executions.settle()
    time.sleep(0.25)
    found = aws("cloudwatch").get_metric_statistics(
        Namespace="AWS/States",
        MetricName="ExecutionsSucceeded",
        Dimensions=[{"Name": "StateMachineArn", "Value": machine.arn}],
        StartTime=time.time() - 300,
        EndTime=time.time() + 60,
        Period=60,
        Statistics=["Sum"],
    )
    assert [point["Sum"] for point in found["Datapoints"]] == [1.0]
