"""S3 as it is relied on: versions, delete markers, errors a key."""

from __future__ import annotations

import io
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.places import Place


@pytest.fixture
def s3(aws: Any) -> Any:
    return aws("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    """A versioned bucket."""
    name = f"practice-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def keys(s3: Any, bucket: str, **given: Any) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **given)
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def delete(s3: Any, bucket: str, *names: str) -> Any:
    return s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})


def test_what_is_put_is_got_from_bytes_and_from_a_file(s3: Any, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket, Key="books/1/a b+ü.jpeg", Body=b"\xff\xd8jpeg", ContentType="image/jpeg"
    )
    s3.upload_fileobj(io.BytesIO(b"x" * 9_000_000), bucket, "large")
    assert s3.get_object(Bucket=bucket, Key="books/1/a b+ü.jpeg")["Body"].read() == b"\xff\xd8jpeg"
    assert s3.head_object(Bucket=bucket, Key="large")["ContentLength"] == 9_000_000
    assert s3.get_object(Bucket=bucket, Key="large", Range="bytes=0-9")["ContentLength"] == 10


def test_lists_come_in_pages_by_prefix_and_folder(s3: Any, bucket: str) -> None:
    for number in range(7):
        s3.put_object(Bucket=bucket, Key=f"books/{number % 2}/{number}.jpeg", Body=b"x")
    assert len(keys(s3, bucket, Prefix="books/1/", PaginationConfig={"PageSize": 2})) == 3
    s3.delete_object(Bucket=bucket, Key="books/1/3.jpeg")
    s3.put_object(Bucket=bucket, Key="books/1/3 b+ü.jpeg", Body=b"x")
    listed = keys(s3, bucket, Prefix="books/1/", PaginationConfig={"PageSize": 1})
    assert listed == ["books/1/1.jpeg", "books/1/3 b+ü.jpeg", "books/1/5.jpeg"]
    assert keys(s3, bucket, StartAfter="books/1/3.jpeg") == ["books/1/5.jpeg"]
    folders = s3.list_objects_v2(Bucket=bucket, Prefix="books/", Delimiter="/")["CommonPrefixes"]
    assert [each["Prefix"] for each in folders] == ["books/0/", "books/1/"]


def test_a_deleted_object_comes_back_when_its_marker_goes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"one")
    deleted = delete(s3, bucket, "a")["Deleted"][0]
    assert deleted["DeleteMarker"] is True
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=bucket, Key="a")
    assert keys(s3, bucket) == []
    versions = s3.list_object_versions(Bucket=bucket)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (1, 1)
    s3.delete_object(Bucket=bucket, Key="a", VersionId=deleted["DeleteMarkerVersionId"])
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"one"


def test_a_protected_key_is_an_error_in_an_answer_that_succeeded(
    s3: Any, bucket: str, place: Place
) -> None:
    for name in ("books/7/a", "books/8/a"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    place.faults["protected_keys"] = ("books/7/",)
    answer = delete(s3, bucket, "books/7/a", "books/8/a")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [
        ("books/7/a", "AccessDenied")
    ]
    assert [each["Key"] for each in answer["Deleted"]] == ["books/8/a"]
    assert keys(s3, bucket) == ["books/7/a"]


def test_versions_come_in_pages_and_in_the_order_in_which_they_were_put(
    s3: Any, bucket: str
) -> None:
    for body in (b"1", b"22", b"333"):
        s3.put_object(Bucket=bucket, Key="a b+ü", Body=body)
    s3.delete_object(Bucket=bucket, Key="a b+ü")
    s3.put_object(Bucket=bucket, Key="b", Body=b"4444")
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    told = [page.get("DeleteMarkers", []) + page.get("Versions", []) for page in pages]
    assert [[(e["Key"], e.get("Size"), e["IsLatest"]) for e in page] for page in told] == [
        [("a b+ü", None, True), ("a b+ü", 3, False)],
        [("a b+ü", 2, False), ("a b+ü", 1, False)],
        [("b", 4, True)],
    ]
    assert s3.list_object_versions(Bucket=bucket, Prefix="b")["Versions"][0]["Key"] == "b"
    after = s3.list_object_versions(Bucket=bucket, KeyMarker="a b+ü")
    assert [each["Key"] for each in after["Versions"]] == ["b"]


def test_two_calls_at_once_delete_what_each_names(s3: Any, bucket: str) -> None:
    put = [s3.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"] for _ in range(80)]

    def gone(ids: list[str]) -> None:
        objects = [{"Key": "a", "VersionId": id} for id in ids]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(gone, [put[at::4] for at in range(4)]))
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)


def test_a_lock_is_told_and_its_absence_has_a_code_of_its_own(s3: Any) -> None:
    name = f"practice-{uuid.uuid4().hex[:12]}"
    where = {"LocationConstraint": "us-west-2"}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where, ObjectLockEnabledForBucket=True)
    at = {"Bucket": name, "Key": "a"}
    at["VersionId"] = s3.put_object(**at, Body=b"x")["VersionId"]
    for read in (s3.get_object_retention, s3.get_object_legal_hold):
        with pytest.raises(ClientError, match="NoSuchObjectLockConfiguration"):
            read(**at)
    until = datetime(2999, 1, 1, tzinfo=UTC)
    s3.put_object_retention(**at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    s3.put_object_legal_hold(**at, LegalHold={"Status": "ON"})
    kept = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    assert s3.get_object_retention(**at)["Retention"] == kept
    assert s3.get_object_legal_hold(**at)["LegalHold"] == {"Status": "ON"}
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(**at)


def test_a_missing_bucket_is_said(s3: Any) -> None:
    for operation, code in (("head_bucket", "404"), ("list_objects_v2", "NoSuchBucket")):
        with pytest.raises(ClientError) as error:
            getattr(s3, operation)(Bucket="practice-none")
        assert error.value.response["Error"]["Code"] == code


def test_a_copy_is_made_of_what_is_meant_into_a_bucket_of_whom_is_meant(
    s3: Any, bucket: str
) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a b+ü", Body=b"one")["ETag"]
    given = {"Bucket": bucket, "Key": "b", "CopySource": {"Bucket": bucket, "Key": "a b+ü"}}
    for wrong in ({"CopySourceIfMatch": '"0"'}, {"ExpectedBucketOwner": "999999999999"}):
        with pytest.raises(ClientError, match=r"PreconditionFailed|AccessDenied"):
            s3.copy_object(**given, **wrong)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner="999999999999")
    s3.copy_object(**given, CopySourceIfMatch=etag)
    assert keys(s3, bucket) == ["a b+ü", "b"]


@pytest.mark.parametrize(
    ("condition", "denied"),
    [
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"BoolIfExists": {"aws:securetransport": False}}, False),
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, True),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, False),
        ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, False),
        ({"Null": {"aws:SourceVpce": "true"}}, True),
    ],
)
def test_a_bucket_s_policy_denies_what_its_condition_says_and_no_more(
    s3: Any, bucket: str, condition: dict[str, Any], denied: bool
) -> None:
    """moto takes every condition but StringEquals for met."""
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    statement: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    statement |= {"Resource": f"arn:aws:s3:::{bucket}/*", "Condition": condition}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [statement]}))
    if denied:
        with pytest.raises(ClientError):
            s3.get_object(Bucket=bucket, Key="a")
    else:
        assert s3.get_object(Bucket=bucket, Key="a")["ContentLength"] == 1
