"""Who calls, what is denied, and how each protocol's error reads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sqs.models import Queue

from opslib.core.errors import OpsError
from opslib.lab.places import Drill, Estate, Place
from opslib.lab.world import World


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response: Any = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_each_user_is_who_he_is_in_his_account(aws: Any) -> None:
    one = aws("sts").get_caller_identity()
    two = aws("sts", "practice-two", "reviewer").get_caller_identity()
    assert (one["Account"], one["Arn"]) == (
        "111111111111",
        "arn:aws:iam::111111111111:user/operator",
    )
    assert (two["Account"], two["Arn"]) == (
        "222222222222",
        "arn:aws:iam::222222222222:user/reviewer",
    )


def test_the_accounts_share_nothing(aws: Any) -> None:
    aws("sqs").create_queue(QueueName="only-in-one")
    with pytest.raises(ClientError) as error:
        aws("sqs", "practice-two").get_queue_url(QueueName="only-in-one")
    assert code_of(error)[0] == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize(
    ("service", "operation", "code", "status"),
    [
        ("sts", "get_caller_identity", "InvalidClientTokenId", 403),
        ("rds", "describe_db_clusters", "InvalidClientTokenId", 403),
        ("sqs", "list_queues", "InvalidClientTokenId", 403),
        ("cloudwatch", "describe_alarms", "InvalidClientTokenId", 403),
        ("logs", "describe_log_groups", "UnrecognizedClientException", 400),
        ("lambda", "list_functions", "UnrecognizedClientException", 403),
        ("s3", "list_buckets", "InvalidAccessKeyId", 403),
        ("ec2", "describe_vpcs", "AuthFailure", 401),
    ],
)
def test_an_unknown_key_is_refused(
    aws: Any, service: str, operation: str, code: str, status: int
) -> None:
    with pytest.raises(ClientError) as error:
        getattr(aws(service, aws_access_key_id="AKIAIOSFODNN7EXAMPLE"), operation)()
    assert code_of(error) == (code, status)


DENIALS = [
    ("sts", "GetCallerIdentity", "get_caller_identity", {}, "AccessDenied", 403),
    ("rds", "DescribeDBClusters", "describe_db_clusters", {}, "AccessDenied", 403),
    ("sqs", "ListQueues", "list_queues", {}, "AccessDenied", 403),
    ("cloudwatch", "DescribeAlarms", "describe_alarms", {}, "AccessDenied", 403),
    ("logs", "DescribeLogGroups", "describe_log_groups", {}, "AccessDeniedException", 400),
    ("secretsmanager", "ListSecrets", "list_secrets", {}, "AccessDeniedException", 400),
    (
        "cognito-idp",
        "ListUserPools",
        "list_user_pools",
        {"MaxResults": 5},
        "AccessDeniedException",
        400,
    ),
    ("cloudtrail", "LookupEvents", "lookup_events", {}, "AccessDeniedException", 400),
    ("lambda", "ListFunctions", "list_functions", {}, "AccessDeniedException", 403),
    ("s3", "ListBuckets", "list_buckets", {}, "AccessDenied", 403),
    ("ec2", "DescribeVpcs", "describe_vpcs", {}, "UnauthorizedOperation", 403),
]


@pytest.mark.parametrize(("service", "operation", "method", "given", "code", "status"), DENIALS)
def test_a_denied_operation_says_so_as_the_service_does(
    aws: Any,
    place: Place,
    service: str,
    operation: str,
    method: str,
    given: dict[str, Any],
    code: str,
    status: int,
) -> None:
    place.deny(f"{service}:{operation}")
    with pytest.raises(ClientError) as error:
        getattr(aws(service), method)(**given)
    assert code_of(error) == (code, status)
    assert f"user/operator is not authorized to perform: {service}:{operation}" in str(error.value)
    place.allow(f"{service}:{operation}")
    getattr(aws(service), method)(**given)


def test_a_denial_is_its_targets_only(aws: Any, place: Place) -> None:
    place.deny("sqs:*")
    aws("sqs", "practice-two").list_queues()
    with pytest.raises(ClientError):
        aws("sqs").list_queues()


def test_the_delay_is_added_to_every_call(aws: Any, world: World) -> None:
    client = aws("sts")
    client.get_caller_identity()
    world.settings["delay_ms"] = 120
    try:
        began = time.monotonic()
        client.get_caller_identity()
        assert time.monotonic() - began >= 0.12
    finally:
        world.settings["delay_ms"] = 0


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sts", "get_caller_identity"),
        ("ec2", "describe_vpcs"),
        ("logs", "describe_log_groups"),
        ("s3", "list_buckets"),
    ],
)
def test_a_call_has_the_id_that_the_trail_knows(aws: Any, service: str, operation: str) -> None:
    request = getattr(aws(service), operation)()["ResponseMetadata"]["RequestId"]
    found = aws("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventId", "AttributeValue": request}]
    )
    assert len(found["Events"]) == 1


def test_the_labs_own_client_needs_no_http_and_no_permission(place: Place, world: World) -> None:
    place.deny("sqs:*")
    url = place.client("sqs").create_queue(QueueName="made-inside")["QueueUrl"]
    assert url.endswith("/111111111111/made-inside")


def test_what_moto_cannot_is_an_error_and_no_page_of_html(aws: Any) -> None:
    with pytest.raises(ClientError) as error:
        aws("lambda").get_function_recursion_config(FunctionName="any")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 400


def test_the_labs_own_client_of_s3_leaves_the_door_as_it_is(aws: Any, place: Place) -> None:
    place.client("s3").list_buckets()
    place.deny("s3:ListObjectsV2")
    with pytest.raises(ClientError, match="AccessDenied"):
        aws("s3").list_objects_v2(Bucket="any")


def test_a_drill_that_cannot_be_put_in_is_not_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone = []

    def fail(place: Place) -> None:
        raise RuntimeError("no room")

    drill = Drill("full", "Nothing goes in", "", apply=fail, undo=undone.append)
    monkeypatch.setitem(world.estates, "practice", Estate(seed=lambda place: None, drills=(drill,)))
    with pytest.raises(
        OpsError, match="Drill 'full' cannot be put into lab/practice-one now: no room"
    ):
        world.break_drill("full", "practice-one")
    assert undone == [world.places["practice-one"]]
    assert world.mend() == []


@pytest.mark.slow
def test_a_reset_lets_go_of_every_object_of_the_world_before(
    world: World, aws: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto keeps lists of all that it ever made beside its backends.

    The lab would grow with each reset.
    """
    aws("sqs").create_queue(QueueName="of-before")
    monkeypatch.setenv("OPSLIB_HOME", str(home))  # the targets are read again
    world.reset()
    assert not [queue for queue in Queue.instances_tracked if queue.name == "of-before"]
