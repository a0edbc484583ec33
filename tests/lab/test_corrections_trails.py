"""CloudTrail as the real one: what was called, by whom, and what was refused."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.places import Place


def lookup(aws: Any, key: str, value: str, **given: Any) -> list[Any]:
    pages = (
        aws("cloudtrail")
        .get_paginator("lookup_events")
        .paginate(LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}], **given)
    )
    return [event for page in pages for event in page["Events"]]


def test_a_change_is_found_by_its_name_its_user_and_its_resource(aws: Any) -> None:
    name = f"practice/{uuid.uuid4().hex}"
    aws("secretsmanager").create_secret(Name=name, SecretString="never shown")
    request = aws("secretsmanager", user="reviewer").put_secret_value(
        SecretId=name, SecretString="nor this"
    )
    for key, value in {
        "ResourceName": name,
        "EventName": "PutSecretValue",
        "Username": "reviewer",
    }.items():
        event = lookup(aws, key, value)[0]
        assert event["EventId"] == request["ResponseMetadata"]["RequestId"]
    whole = json.loads(event["CloudTrailEvent"])
    assert whole["userIdentity"]["arn"] == "arn:aws:iam::111111111111:user/reviewer"
    assert (event["EventSource"], event["ReadOnly"]) == ("secretsmanager.amazonaws.com", "false")
    assert "nor this" not in event["CloudTrailEvent"]


def test_a_refused_call_is_there_with_its_error(aws: Any, place: Place) -> None:
    place.deny("rds:DescribeDBClusters")
    with pytest.raises(ClientError):
        aws("rds").describe_db_clusters()
    event = json.loads(lookup(aws, "EventName", "DescribeDBClusters")[0]["CloudTrailEvent"])
    assert event["errorCode"] == "AccessDenied"


def test_data_events_are_not_there(aws: Any) -> None:
    aws("s3").create_bucket(
        Bucket="practice-trail", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    aws("s3").put_object(Bucket="practice-trail", Key="a", Body=b"a")
    assert lookup(aws, "EventName", "CreateBucket")
    assert not lookup(aws, "EventName", "PutObject")


def test_the_newest_come_first_in_pages_within_the_window(aws: Any) -> None:
    for _ in range(7):
        aws("sqs").list_queues()
    found = lookup(aws, "EventName", "ListQueues", PaginationConfig={"PageSize": 3})
    assert len(found) >= 7
    assert [event["EventTime"] for event in found] == sorted(
        (event["EventTime"] for event in found), reverse=True
    )
    assert not lookup(aws, "EventName", "ListQueues", EndTime=datetime.now(UTC) - timedelta(days=1))


def test_only_one_attribute_may_be_asked_for(aws: Any) -> None:
    attribute = {"AttributeKey": "EventName", "AttributeValue": "ListQueues"}
    with pytest.raises(ClientError, match="InvalidLookupAttributes"):
        aws("cloudtrail").lookup_events(LookupAttributes=[attribute, attribute])
