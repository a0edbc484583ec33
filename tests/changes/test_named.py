"""What resources name and is not there is told, whoever names it; what may be missing is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opslib.changes import named
from opslib.changes.resources import Described
from opslib.core import NotAllowed
from tests.changes.test_differences import Ops

OUR_ROLE = "arn:aws:iam::111122223333:role"
BY_PATH = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{}/invocations"
QUEUE_GONE = "https://sqs.eu-west-1.amazonaws.com/111122223333/gone"
OURS = "arn:aws:{}:eu-west-1:111122223333:{}"
THERE = {
    "list_functions": ["api"],
    "describe_load_balancers": ["Shop-12.eu-west-1.elb.amazonaws.com"],
    "list_user_pools": ["eu-west-1_there"],
    "list_buckets": ["pages"],
    "get_apis": ["0123456789"],
    "get_rest_apis": ["abcdefghij"],
    "list_distributions": ["d1234567890abc.cloudfront.net"],
    "get_domain_names": ["d-0123456789.execute-api.eu-west-1.amazonaws.com"],
    "list_queues": ["https://sqs.eu-west-1.amazonaws.com/111122223333/orders"],
    "list_topics": [OURS.format("sns", "alerts")],
    "list_state_machines": ["flow"],
    "list_tables": ["items"],
    "list_roles": ["worker"],
}
GONE = OURS.format("lambda", "function:gone")


def found(
    monkeypatch: pytest.MonkeyPatch, kind: str, body: Any, lost: Any = None, absent: Any = ()
) -> list[str]:
    described = Described({(kind, "x"): body}, [*absent], lost or {})
    monkeypatch.setattr(named, "read_resources", lambda *_: described)
    ops: Any = Ops(0, {})
    ops.target.region, ops.target.account = "eu-west-1", "111122223333"
    ops.pages = lambda _, operation, __, **___: THERE[operation]
    ops.each = lambda look, names, _: {name: look(name) for name in names}
    return [each.seen for each in named.check_named(ops) if each.status != "ok"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("rule", {"targets": [{"Arn": GONE}]}),
        (
            "function",
            {"destinations": [{"Destination": OURS.format("sqs", "gone")}]},
        ),
        ("function", {"DeadLetterConfig": {"TargetArn": OURS.format("sns", "gone")}}),
        ("rule", {"targets": [{"Arn": f"{GONE}:live"}]}),
        ("pool", {"LambdaConfig": {"PostConfirmation": GONE}}),
        ("topic", {"subscriptions": [{"Endpoint": OURS.format("sqs", "gone")}]}),
        ("subscription", {"RedrivePolicy": json.dumps({"target": OURS.format("sqs", "gone")})}),
        ("bucket", {"notifications": {"LambdaFunctionConfigurations": [{"Arn": GONE}]}}),
        ("log group", {"subscriptions": [{"destinationArn": GONE}]}),
        ("secret", {"RotationLambdaARN": GONE}),
        ("api", {"integrations": [{"IntegrationUri": BY_PATH.format(GONE)}]}),
        (
            "schedule",
            {"Target": {"DeadLetterConfig": {"Arn": OURS.format("sqs", "gone")}}},
        ),
        ("schedule", {"Target": {"RoleArn": f"{OUR_ROLE}/service-role/gone"}}),
        ("schedule", {"Target": {"Arn": GONE, "RoleArn": f"{OUR_ROLE}/worker"}}),
        ("schedule", {"Target": {"Input": json.dumps({"FunctionName": "gone"})}}),
        (
            "REST API",
            {"authorizers": [{"providerARNs": [OURS.format("cognito-idp", "userpool/gone")]}]},
        ),
        (
            "state machine",
            {"definition": json.dumps({"Parameters": {"FunctionName": "gone:live"}})},
        ),
        ("state machine", {"definition": json.dumps({"Resource": GONE})}),
        ("state machine", {"roleArn": f"{OUR_ROLE}/flows/gone"}),
        ("function", {"FunctionName": "api", "Environment": {"Variables": {"QUEUE": QUEUE_GONE}}}),
        ("alarm", {"AlarmActions": [OURS.format("sns", "gone")]}),
        (
            "function",
            {"Environment": {"Variables": {"TABLE": OURS.format("dynamodb", "table/gone")}}},
        ),
    ],
)
def test_what_is_named_and_not_there_is_told_with_who_needs_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, body: Any
) -> None:
    assert found(monkeypatch, kind, body) == [f"gone is not there, and {kind} x needs it"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("rule", {"targets": [{"Arn": OURS.format("lambda", "function:api:live")}]}),
        ("rule", {"targets": [{"Arn": GONE.replace("111122223333", "999988887777")}]}),
        ("rule", {"targets": [{"Arn": GONE.replace("eu-west-1", "us-east-1")}]}),
        ("policy", {"Statement": [{"Resource": GONE}]}),
        (
            "bucket",
            {"policy": json.dumps({"Statement": [{"Principal": {"AWS": f"{OUR_ROLE}/gone"}}]})},
        ),
        (
            "queue",
            {"RedriveAllowPolicy": json.dumps({"sourceQueueArns": [OURS.format("sqs", "gone")]})},
        ),
        ("scaling", {"RoleARN": f"{OUR_ROLE}/aws-service-role/ecs/OfECS"}),
        ("state machine", {"definition": json.dumps({"Parameters": {"FunctionName.$": "$.name"}})}),
        ("service", {"definition": {"registeredBy": f"{OUR_ROLE}/gone"}}),
        ("table", "[unread]"),
    ],
)
def test_what_is_there_is_of_others_or_is_only_allowed_is_not_told(
    monkeypatch: pytest.MonkeyPatch, kind: str, body: Any
) -> None:
    assert found(monkeypatch, kind, body) == []


@pytest.mark.parametrize(
    ("domain", "lost"),
    [
        ("gone.s3.amazonaws.com", "gone"),
        ("gone.s3.eu-west-1.amazonaws.com", "gone"),
        ("gone.s3-website-eu-west-1.amazonaws.com", "gone"),
        ("gone.s3-website.eu-central-1.amazonaws.com", "gone"),
        ("Gone-34.eu-west-1.elb.amazonaws.com", "Gone-34.eu-west-1.elb.amazonaws.com"),
        ("gone-56.elb.eu-west-1.amazonaws.com", "gone-56.elb.eu-west-1.amazonaws.com"),
        ("zzzzzzzzzz.execute-api.eu-west-1.amazonaws.com", "zzzzzzzzzz"),
        ("pages.s3.eu-west-1.amazonaws.com", ""),
        ("dualstack.shop-12.eu-west-1.elb.amazonaws.com.", ""),
        ("gone-34.us-east-1.elb.amazonaws.com", ""),  # another region's is not asked for
        ("abcdefghij.execute-api.eu-west-1.amazonaws.com", ""),
        ("0123456789.execute-api.eu-west-1.amazonaws.com", ""),
        ("d1234567890abc.cloudfront.net.", ""),
        ("d1234567890abd.cloudfront.net.", "d1234567890abd.cloudfront.net"),
        ("d-0123456789.execute-api.eu-west-1.amazonaws.com.", ""),
        (
            "d-9876543210.execute-api.eu-west-1.amazonaws.com.",
            "d-9876543210.execute-api.eu-west-1.amazonaws.com",
        ),
        ("s3-website-eu-west-1.amazonaws.com.", ""),  # whose bucket is called as the record
        ("vpce-0a1b2c3d4e5f60718-abcdefgh.execute-api.eu-west-1.vpce.amazonaws.com", ""),
        ("app.example.com", ""),
    ],
)
def test_an_origin_or_an_alias_that_is_not_in_the_account_is_told(
    monkeypatch: pytest.MonkeyPatch, domain: str, lost: str
) -> None:
    body = {"Origins": {"Items": [{"DomainName": domain, "Id": "app"}]}}
    seen = f"{lost} is not in this account, and distribution x needs it"
    assert found(monkeypatch, "distribution", body) == [seen] * bool(lost)


def test_what_could_not_be_read_may_name_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"lambda:GetFunction": (NotAllowed("denied"), [("function", "x")])}
    [seen] = found(monkeypatch, "function", "[unread]", lost)
    assert seen.startswith("not known of 1 resource (function x …). denied")
    only_allows = {"iam:GetRole": (NotAllowed("denied"), [("role", "worker")])}
    assert found(monkeypatch, "function", {}, only_allows) == []


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("health check", "1a2b", True),
        ("TLS certificate", "arn:aws:acm:eu-west-1:111122223333:certificate/1", True),
        ("parameters", "default.postgres16", False),  # AWS makes it where it is asked for
        ("role", "gone", False),  # the list of every role tells of it
        ("subnet", "subnet-1", False),  # what led to it does not say so any more
    ],
)
def test_what_something_leads_to_and_is_not_there_is_told_on_the_first_day(
    monkeypatch: pytest.MonkeyPatch, kind: str, name: str, told: bool
) -> None:
    body = {"leads to": [] if kind == "subnet" else [name]}
    seen = found(monkeypatch, "DNS record", body, absent=[(kind, name)])
    assert seen == ["it is not there, and DNS record x needs it"] * told
