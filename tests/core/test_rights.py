"""Which right a call takes: of every operation that opslib calls, and what a call names."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
import yaml
from botocore import xform_name

from opslib.core.rights import rights
from opslib.core.tables import Json
from tests import rooms
from tests.rooms import LIBRARY

ACCOUNT, REGION = "111122223333", "us-west-2"
ARN = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"
TABLE: Json = yaml.safe_load((LIBRARY / "core/rights/rights.yaml").read_text())
# Words that are the names of operations, too, and of which no call is made.
WORDS = {
    "cloudfront": {"ListFunctions", "GetResourcePolicy"},
    "cloudtrail": {"GetDashboard", "GetQueryResults", "GetResourcePolicy", "ListDashboards"}
    | {"StartQuery"},
    "cognito-idp": {"ChangePassword", "DeleteUser", "GetGroup", "SignUp"},
    "dynamodb": {"GetResourcePolicy"},
    "apigateway": {"GetAccount", "GetDomainName"},
    "apigatewayv2": {"GetDeployments"},
    "ec2": {"DescribeImages"},
    "elasticache": {"DeleteUser", "DescribeEvents"},
    "elb": {"DescribeLoadBalancerAttributes"},
    "elbv2": {"GetResourcePolicy"},
    "events": {"DeleteRule", "ListEndpoints"},
    "iam": {"ChangePassword", "DeleteUser", "ListGroups"},
    "kinesis": {"GetResourcePolicy", "ListQueues"},
    "kms": {"EnableKeyRotation", "ListAliases", "UpdateAlias"},
    "lambda": {"GetResourcePolicy"},
    "opensearch": {"DescribeVpcEndpoints", "ListVersions"},
}


def texts() -> dict[str, set[Path]]:
    """Every text in the library's code and tables, beside the lab's, and where it stands."""
    found: dict[str, set[Path]] = defaultdict(set)
    for path in LIBRARY.rglob("*.py"):
        if "lab" not in path.relative_to(LIBRARY).parts:
            for node in ast.walk(rooms.parsed(path)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found[node.value].add(path)
    for path in LIBRARY.rglob("*.yaml"):
        if "lab" not in path.relative_to(LIBRARY).parts and path.parent.name != "rights":
            for word in re.findall(r"[a-z][a-z0-9_]+", path.read_text()):
                found[word].add(path)
    return found


def called() -> Iterator[tuple[str, str]]:
    """Each operation of a service whose name stands in the library, where the service is known."""
    loader, known = botocore.session.get_session(), texts()
    for service in sorted(TABLE.keys() - {"es"}):
        for name in loader.get_service_model(service).operation_names:
            word = xform_name(name)
            if "_" in word and word in known and name not in WORDS.get(service, ()):
                yield service, name


def test_the_right_of_every_operation_that_is_called_is_known() -> None:
    assert [each for each in called() if each not in rights._table()] == []


@pytest.mark.slow
def test_every_service_that_is_called_is_in_the_table() -> None:
    services = set(botocore.session.get_session().get_available_services())
    found = set()
    for path in LIBRARY.rglob("*.py"):
        if "lab" in path.relative_to(LIBRARY).parts:
            continue
        for node in ast.walk(rooms.parsed(path)):
            if isinstance(node, ast.Call) and getattr(
                node.func, "attr", getattr(node.func, "id", "")
            ) in (*("call", "pages", "change", "client", "Aws", "Read", "Wait"),):
                first = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
                found |= services & {each for each in first if isinstance(each, str)}
    assert found - TABLE.keys() == set()


def test_each_operation_of_the_table_is_one() -> None:
    loader = botocore.session.get_session()
    for service, said in TABLE.items():
        if service == "es":
            continue
        model = loader.get_service_model(service)
        for at, operations in said.items():
            if at == "prefix":
                continue
            for each in operations:
                (name,) = each if isinstance(each, dict) else [each]
                assert name in model.operation_names, (service, name)
                members = model.operation_model(name).input_shape
                _has(at, set(members.members) if members else set(), f"{service} {name}")


def _has(at: str, members: set[str], what: str) -> None:
    """The places of a resource are parameters of the operation, or stand deeper in it."""
    own = {"partition", "region", "account"}
    for name, _, _ in rights._PLACE.findall(at):
        within = re.match(r"\w+", rights._WITHIN.get(name, ""))
        assert name in members | own or (within and within[0] in members), (what, name)


def needed(asked: tuple[str, str], given: Json) -> list[tuple[str, str]]:
    needs = rights.needs(*asked, rights.named(given), REGION, ACCOUNT)
    return [(need.action, need.resource) for need in needs]


@pytest.mark.parametrize(
    ("asked", "given", "takes"),
    [
        (("sts", "GetCallerIdentity"), {}, []),
        (("ec2", "DescribeVpcs"), {}, [("ec2:DescribeVpcs", "*")]),
        (
            ("lambda", "Invoke"),
            {"FunctionName": "api", "Payload": b"{}"},
            [("lambda:InvokeFunction", ARN.format("lambda", "function:api"))],
        ),
        (
            ("s3", "ListObjectsV2"),
            {"Bucket": "images", "Prefix": "books/"},
            [("s3:ListBucket", "arn:aws:s3:::images")],
        ),
        (
            ("s3", "DeleteObjects"),
            {"Bucket": "images", "Delete": {"Objects": [{"Key": "a", "VersionId": "1"}]}},
            [
                ("s3:DeleteObject", "arn:aws:s3:::images/*"),
                ("s3:DeleteObjectVersion", "arn:aws:s3:::images/*"),
            ],
        ),
        (
            ("sqs", "DeleteMessageBatch"),
            {"QueueUrl": "http://127.0.0.1:1/111122223333/jobs", "Entries": []},
            [("sqs:DeleteMessage", ARN.format("sqs", "jobs"))],
        ),
        (
            ("secretsmanager", "GetSecretValue"),
            {"SecretId": "app/database"},
            [
                (
                    "secretsmanager:GetSecretValue",
                    ARN.format("secretsmanager", "secret:app/database-??????"),
                )
            ],
        ),
        (
            ("ecs", "UpdateService"),
            {"cluster": ARN.format("ecs", "cluster/app"), "service": "web"},
            [("ecs:UpdateService", ARN.format("ecs", "service/app/web"))],
        ),
        (
            ("dynamodb", "BatchWriteItem"),
            {"RequestItems": {"images": [{"PutRequest": {"Item": {"pk": {"S": "USER#1"}}}}]}},
            [("dynamodb:BatchWriteItem", ARN.format("dynamodb", "table/images"))],
        ),
        (
            ("stepfunctions", "StopExecution"),
            {"executionArn": ARN.format("states", "execution:process:document-1")},
            [("states:StopExecution", ARN.format("states", "execution:process:*"))],
        ),
        (
            ("sns", "GetTopicAttributes"),
            {"TopicArn": ARN.format("sns", "alarms")},
            [("sns:GetTopicAttributes", ARN.format("sns", "alarms"))],
        ),
        (
            ("rds", "DescribeDBInstances"),
            {},
            [("rds:DescribeDBInstances", ARN.format("rds", "db:*"))],
        ),
    ],
    ids=lambda each: ":".join(each) if isinstance(each, tuple) else "",
)
def test_a_call_takes(asked: tuple[str, str], given: Json, takes: list[tuple[str, str]]) -> None:
    assert needed(asked, given) == takes


def test_no_value_and_no_key_is_kept_of_a_call() -> None:
    given = {
        "SecretId": "app/key",
        "SecretString": "hush",
        "Bucket": "images",
        "Key": "users/ana.jpg",
        "Payload": b"{}",
        "Qualifier": "live",
        "AlarmNames": [f"alarm-{number}" for number in range(30)],
    }
    assert rights.named(given) == {
        "AlarmNames": ["*"],
        "Bucket": ["images"],
        "Qualifier": ["*"],
        "SecretId": ["app/key"],
    }
