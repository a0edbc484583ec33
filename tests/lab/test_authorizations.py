"""IAM in the lab: users and roles with policies, sessions of roles, policies of sessions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.aws import authorizations
from opslib.lab.world import World

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/changes"
QUEUE = f"arn:aws:sqs:us-west-2:{ACCOUNT}:orders"
Clients = Callable[..., Any]


def allowing(*actions: str, on: str = "*", region: str = "") -> str:
    said: dict[str, Any] = {"Effect": "Allow", "Action": [*actions], "Resource": on}
    if region:
        said["Condition"] = {"StringEquals": {"aws:RequestedRegion": region}}
    return json.dumps({"Version": "2012-10-17", "Statement": [said]})


@contextmanager
def refused(code: str, said: str | None = None) -> Iterator[None]:
    with pytest.raises(ClientError, match=said) as error:
        yield
    assert error.value.response["Error"]["Code"] == code


@pytest.fixture
def queue(aws: Clients) -> str:
    return str(aws("sqs").create_queue(QueueName="orders")["QueueUrl"])


@pytest.fixture
def role(aws: Clients) -> Iterator[str]:
    """A role that may do all with queues, and that the account's users may assume."""
    iam = aws("iam")
    trusted: dict[str, Any] = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    trusted["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    iam.create_role(RoleName="changes", AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName="changes", PolicyName="all", PolicyDocument=allowing("sqs:*"))
    yield ROLE
    iam.delete_role_policy(RoleName="changes", PolicyName="all")
    iam.delete_role(RoleName="changes")


def session(aws: Clients, role: str, service: str = "sqs", **given: Any) -> Any:
    """A client of a role's session."""
    at = {"RoleArn": role, "RoleSessionName": "ana", **given}
    keys = aws("sts").assume_role(**at)["Credentials"]
    return aws(
        service,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def test_a_user_with_a_policy_may_do_what_that_allows(aws: Clients, queue: str) -> None:
    held = {"UserName": "reviewer", "PolicyName": "orders"}
    policy = allowing("sqs:GetQueueAttributes", on=QUEUE)
    aws("iam").put_user_policy(**held, PolicyDocument=policy)
    sqs = aws("sqs", user="reviewer")
    try:
        sqs.get_queue_attributes(QueueUrl=queue)
        with refused("AccessDenied", rf"perform: sqs:DeleteMessage on resource: {QUEUE} because"):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle="x")
        with refused("AccessDenied"):
            sqs.get_queue_attributes(QueueUrl=queue.replace("orders", "others"))
    finally:
        aws("iam").delete_user_policy(**held)
    with pytest.raises(ClientError, match=r"(?i)receipt"):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle="x")


def test_a_session_may_do_what_its_role_and_its_own_policy_allow(
    aws: Clients, queue: str, role: str
) -> None:
    session(aws, role).list_queues()
    narrow = session(aws, role, Policy=allowing("sqs:GetQueueAttributes", on=QUEUE))
    narrow.get_queue_attributes(QueueUrl=queue)
    with refused("AccessDenied", "no session policy allows the sqs:ListQueues action"):
        narrow.list_queues()
    wide = session(aws, role, "logs", Policy=allowing("*"))
    with refused("AccessDeniedException", "no identity-based policy"):
        wide.describe_log_groups()
    me = session(aws, role, "sts").get_caller_identity()["Arn"]
    assert me == f"arn:aws:sts::{ACCOUNT}:assumed-role/changes/ana"


def test_a_condition_that_is_not_met_allows_nothing(aws: Clients, role: str) -> None:
    session(aws, role, Policy=allowing("sqs:ListQueues", region="us-west-2")).list_queues()
    other = session(aws, role, Policy=allowing("sqs:ListQueues", region="eu-west-1"))
    with refused("AccessDenied"):
        other.list_queues()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DurationSeconds": 3601}, "durationSeconds"),
        ({"Policy": allowing("sqs:" + "x" * 2048)}, "less than or equal to 2048"),
    ],
)
def test_a_session_has_limits(aws: Clients, role: str, given: Any, said: str) -> None:
    with pytest.raises(ClientError, match=said):
        session(aws, role, **given)


def test_a_role_that_is_not_there_or_trusts_another_is_not_assumed(aws: Clients) -> None:
    with refused("AccessDenied", "not authorized to perform: sts:AssumeRole"):
        session(aws, ROLE)


def test_the_role_of_a_targets_file_is_there_to_be_assumed(aws: Clients, world: World) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/ops/changes"
    for _ in range(2):  # also when the account is opened again
        authorizations.make_role(world.backend("iam", ACCOUNT, "us-west-2"), role)
    session(aws, role).list_queues()
    aws("iam").delete_role_policy(RoleName="changes", PolicyName="all")
    aws("iam").delete_role(RoleName="changes")


def test_a_question_mark_in_a_policy_stands_for_one_sign(aws: Clients, role: str) -> None:
    secrets = aws("secretsmanager")
    secrets.create_secret(Name="a.b", SecretString="x")
    aws("iam").put_role_policy(
        RoleName="changes", PolicyName="all", PolicyDocument=allowing("secretsmanager:*")
    )
    of = f"arn:aws:secretsmanager:us-west-2:{ACCOUNT}:secret:"
    reads = "secretsmanager:DescribeSecret"
    at = session(aws, role, "secretsmanager", Policy=allowing(reads, on=f"{of}a.b-??????"))
    at.describe_secret(SecretId="a.b")
    at = session(aws, role, "secretsmanager", Policy=allowing(reads, on=f"{of}a-b-??????"))
    with refused("AccessDeniedException"):
        at.describe_secret(SecretId="a.b")
    secrets.delete_secret(SecretId="a.b", ForceDeleteWithoutRecovery=True)
