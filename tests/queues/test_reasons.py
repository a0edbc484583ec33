"""Why a message failed: its reason is found, and only what the world confirms leads to a purge."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote_plus

import pytest

from opslib import apply
from opslib.core.checks.signs import FAILURES, sign_of
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, NotFound, Refused
from opslib.queues import moves, queues
from opslib.queues.proofs import Proofs
from opslib.queues.reasons import attributes_of, find_reason, unwrapped

TARGET = "lab/bluemoxon-staging"
BUCKET = "bluemoxon-staging-images"

pytestmark = pytest.mark.usefixtures("records_folder")


def packed(value: Any, pack: Any = lambda content: content) -> str:
    return base64.b64encode(pack(json.dumps(value).encode())).decode()


def attribute(**texts: str) -> dict[str, Any]:
    named = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
    return {"MessageAttributes": named}


ORDER = {"order": 7, "reason": "a gift", "note": "no errors please"}
WRAPPED = [
    ({"error": "Stock is empty"}, "Stock is empty"),
    ({**ORDER, "error": {"code": "E42", "message": "Stock is empty"}}, "E42: Stock is empty"),
    ([{"sku": 1}, {"sku": 2, "exception": "Stock is empty"}], "Stock is empty"),
    (
        {
            "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": {"error": "an old one, of what was asked"},
            "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
            "responsePayload": {"errorMessage": "Stock is empty", "errorType": "StockError"},
        },
        "StockError: Stock is empty",
    ),
    ({"requestContext": {"condition": "RetryAttemptsExhausted"}}, "RetryAttemptsExhausted"),
    (
        {
            "Type": "Notification",
            "Message": json.dumps({**ORDER, "errorMessage": "Stock is empty"}),
        },
        "Stock is empty",
    ),
    (
        {"Type": "Notification", "Message": "Worker failed: stock is empty"},
        "Worker failed: stock is empty",
    ),
    (
        {
            "Type": "Notification",
            "Message": "{}",
            "MessageAttributes": {"ErrorMessage": {"Type": "String", "Value": "Stock is empty"}},
        },
        "Stock is empty",
    ),
    (
        {"body": packed([[7], {"error": "Stock is empty"}, {}]), "headers": {"task": "shop.pick"}},
        "Stock is empty",
    ),
    (
        {"body": packed([[7], {}, {}]), "headers": {"task": "x", "exc": "Stock is empty"}},
        "Stock is empty",
    ),
    (packed({"failureReason": "Stock is empty"}), "Stock is empty"),
    (packed({"error": "Stock is empty"}, partial(gzip.compress, mtime=0)), "Stock is empty"),
    (
        {"Error": "States.TaskFailed", "Cause": '{"errorMessage":"Stock is empty"}'},
        "Stock is empty",
    ),
    (
        "<order><Error><Code>E42</Code><Message>Stock is empty</Message></Error></order>",
        "E42: Stock",
    ),
    (
        '<s:Fault xmlns:s="urn:x"><faultstring>Stock is empty</faultstring></s:Fault>',
        "Stock is empty",
    ),
    ({"exc_type": "StockError", "exc_message": ["Stock is empty"]}, "StockError: Stock is empty"),
    ({"responseContext": {"statusCode": 503}}, "status 503"),
    ({"name": "pick", "failedReason": "Stock is empty", "stacktrace": []}, "Stock is empty"),
    ({"data": "x", "exc_info": "Traceback\nStockError: Stock is empty"}, "Stock is empty"),
    (
        {"Headers": {"NServiceBus.ExceptionInfo.Message": "Stock is empty"}, "Body": "e30="},
        "Stock is empty",
    ),
    ({"error_class": "StockError", "error_message": "it is empty"}, "StockError: it is empty"),
    ("Traceback: could not connect to the stock", "could not connect to the stock"),
    *(({name: "Stock is empty"}, "Stock is empty") for name in ("err", "errMsg", "error_reason")),
    *(({name: "Stock is empty"}, "Stock is empty") for name in ("rootCause", "dlqReason")),
    ({"errors": {"quantity": ["Stock is empty"]}}, "Stock is empty"),
    ({"error": {"type": "x", "root_cause": [{"reason": "Stock is empty"}]}}, "Stock is empty"),
    (
        {"exceptions": [{"exceptionType": "E", "message": "Stock is empty", "stackTrace": "at X"}]},
        "E: Stock is empty",
    ),
    (
        {"result": {"exc_message": ["Stock is empty"]}, "traceback": "Traceback: stock.py"},
        "Stock is empty",
    ),
    (
        {"attributes": [{"key": "exception.message", "value": {"stringValue": "Stock is empty"}}]},
        "Stock is empty",
    ),
    (
        {"requestContext": {"condition": "EventAgeExceeded"}, "requestPayload": {"error": "old"}},
        "EventAgeExceeded",
    ),
    (
        {"statusReason": "A container exited", "container": {"reason": "OutOfMemoryError"}},
        "A container exited: OutOfMemoryError",
    ),
    ('<result><error code="E42" message="Stock is empty"/></result>', "E42: Stock is empty"),
    ("<errors><error>Stock is empty</error><error>Late</error></errors>", "Stock is empty"),
    (
        "<Fault><Code><Value>Sender</Value></Code><Reason><Text lang='en'>Stock is empty</Text>"
        "</Reason></Fault>",
        "Sender: Stock is empty",
    ),
    ("order=7&error=Stock+is+empty&status=failed", "Stock is empty"),
    ("payload=%7B%22error%22%3A%22Stock%20is%20empty%22%7D&order=7", "Stock is empty"),
]


@pytest.mark.parametrize(("body", "reason"), WRAPPED)
def test_a_reason_is_found_whatever_is_wrapped_round_it(body: Any, reason: str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert reason in find_reason({}, unwrapped(text))


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (
            {"ERROR_CODE": "SDK_CLIENT_ERROR", "ERROR_MESSAGE": "Stock is empty"},
            "SDK_CLIENT_ERROR: ",
        ),
        ({"ERROR_CODE": "NO_PERMISSIONS", "RULE_ARN": "arn:x"}, "NO_PERMISSIONS"),
        (
            {"ErrorCode": "200", "ErrorMessage": "Stock is empty", "RequestID": "1"},
            "Stock is empty",
        ),
        ({"EXHAUSTED_RETRY_CONDITION": "MaximumEventAgeInSeconds"}, "MaximumEventAgeInSeconds"),
        ({"MT-Fault-Message": "Stock is empty", "MT-Reason": "fault"}, "Stock is empty"),
        ({"kafka_dlt-exception-message": "Stock is empty"}, "Stock is empty"),
        ({"rbs2-error-details": "Stock is empty"}, "Stock is empty"),
        ({"ce-knativeerrordata": "Stock is empty"}, "Stock is empty"),
    ],
)
def test_a_reason_is_found_in_attributes(attributes: dict[str, str], reason: str) -> None:
    assert find_reason(attributes_of(attribute(**attributes)), unwrapped("{}")).startswith(reason)


@pytest.mark.parametrize(
    "body",
    [
        *("", "{}", "[]", json.dumps({"error": None, "errors": []}), '{"error": false}', "<a/>"),
        *('{"product_description": "a lamp"}', '{"backtrace": "a walk"}'),
        '{"job_class": "Pick", "arguments": [{"error": "of an order, not of the worker"}]}',
    ],
)
def test_where_nothing_is_said_no_reason_is_made_up(body: str) -> None:
    assert find_reason({}, unwrapped(body)) == ""
    assert sign_of(FAILURES, "").name == "no error recorded"


def test_what_cannot_be_opened_is_a_text() -> None:
    bomb = base64.b64encode(gzip.compress(b"a" * 50_000_000)).decode()
    assert len(str(unwrapped(bomb))) <= 1_000_000
    entities = '<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    assert unwrapped(entities) == entities
    deep = "[" * 100_000
    assert unwrapped(deep) == deep


PASSING = [
    "ConnectionError: https://x.example/data.json could not connect",
    "connection refused (schema public)",
    "Error: getaddrinfo ENOTFOUND api.example.org",
    "getaddrinfo EAI_AGAIN db.internal",
    "socket.gaierror: [Errno -2] Name or service not known",
    "psycopg.errors.DeadlockDetected: deadlock detected on relation orders",
    "HTTPError: 503 Server Error: Service Unavailable for url https://x.example/schema.json",
    "Request failed with status code 502",
    "FATAL: the database system is starting up",
    "server closed the connection unexpectedly",
    "ThrottlingException: Rate exceeded while reading schema",
    "SlowDown: Please reduce your request rate",
    "ProvisionedThroughputExceededException",
    'FATAL:  password authentication failed for user "app"',
    'column "cover_id" does not exist LINE 1: SELECT cover_id',
    'UndefinedTable: relation "orders_v2" does not exist',
    "AccessDenied: not authorized to perform s3:GetObject on NoSuchKey",
    "KeyError: 'BEDROCK_MODEL'",
    "Missing environment variable STOCK_URL",
    "NoSuchBucket: The specified bucket does not exist",
    "NoSuchKey: The specified key does not exist.",
    "404 Client Error: Not Found for url https://x.example/books/7",
    "KeyError: 'pages'",
    "pydantic ValidationError: 1 validation error for Config",
    "JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
    "TypeError: unsupported operand",
    "somebody pulled the plug",
]


@pytest.mark.parametrize("error", PASSING)
def test_no_error_alone_leads_to_a_purge(ops: Connection, error: str) -> None:
    assert "purge" not in sign_of(FAILURES, error).next + sign_of(FAILURES, error).advice
    bodies: list[Any] = [{"book_id": 500, "job_id": "x"}, {}, [], "text", None]
    for body in bodies:
        assert Proofs(ops, set()).judge(error, body).next != "queues/purge"
    whole = Proofs(ops, {"book_id"}).judge(error, {"detail": {"book_id": 500}})
    assert whole.next != "queues/purge"


@pytest.mark.parametrize("error", ["KeyError: 'book_id'", "JSONDecodeError: Expecting value"])
def test_a_message_without_what_each_must_hold_cannot_be_read(ops: Connection, error: str) -> None:
    assert Proofs(ops, {"book_id"}).judge(error, {"boook": 1}).next == "queues/purge"


@pytest.mark.parametrize(
    "body",
    [
        {"bookId": 500},
        "{'book_id': 500}",
        "book_id: 500\nkind: analysis",
        unwrapped("book_id=500&kind=analysis"),
        '{"kind": "analysis", "book_id": 500, "note": "cut o',
        ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "b", "s3Key": "k"}],
        {"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}]},
        base64.b64encode(b"\x0a\x05books\x10\xf4\x03").decode(),
        {"payload": base64.b64encode(bytes(range(60))).decode()},
        "\x00\x00\x00\x01\x0abooks",
    ],
)
def test_a_message_in_another_form_is_not_said_to_be_broken(ops: Connection, body: Any) -> None:
    """Its sender writes another way, or what it says is packed or elsewhere: the work is there."""
    for error in ("KeyError: 'book_id'", "JSONDecodeError: Expecting value"):
        assert Proofs(ops, {"book_id"}).judge(error, body).name == "not understood"


@pytest.fixture
def stored(ops: Connection) -> Iterator[str]:
    key = "books/470/there now.jpeg"
    ops.call("s3", "put_object", Bucket=BUCKET, Key=key, Body=b"jpeg")
    yield key
    for version in ops.call("s3", "list_object_versions", Bucket=BUCKET, Prefix=key)["Versions"]:
        ops.call("s3", "delete_object", Bucket=BUCKET, Key=key, VersionId=version["VersionId"])


def test_whether_what_it_needs_is_gone_is_asked_of_the_bucket(ops: Connection, stored: str) -> None:
    error, judge = "NoSuchKey: The specified key does not exist.", Proofs(ops, set()).judge
    event = {"s3": {"bucket": {"name": BUCKET}, "object": {"key": stored.replace(" ", "+")}}}
    assert judge(error, {"Records": [event]}).next == "queues/redrive"
    assert judge(error, {"bucket": BUCKET, "key": "books/470/never.jpeg"}).next == "queues/purge"
    both = {"urls": [], "a": f"s3://{BUCKET}/books/470/never.jpeg", "bucket": BUCKET, "key": stored}
    assert judge(error, both).next == "logs/search"
    assert judge(error, {"bucket": "no-such-bucket-here", "key": "a"}).next == "logs/search"


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize(
    "named",
    [
        {"bucket": BUCKET, "key": "{key}"},
        {"s3_bucket": BUCKET, "s3_key": "{key}"},
        {"S3Object": {"Bucket": BUCKET, "Name": "{key}"}},
        {"bucketName": BUCKET, "objectKey": "{key}"},
        {"arn": f"arn:aws:s3:::{BUCKET}/{{key}}"},
        {"url": f"https://{BUCKET}.s3.us-west-2.amazonaws.com/{{key}}?X-Amz-Expires=60"},
        {"url": f"https://s3.us-west-2.amazonaws.com/{BUCKET}/{{key}}"},
        {"url": f"s3a://{BUCKET}/{{key}}"},
    ],
)
def test_an_object_is_found_however_it_is_named(
    ops: Connection, stored: str, named: dict[str, Any], escaped: bool
) -> None:
    key = quote_plus(stored) if escaped else stored.replace(" ", "%20")
    body = unwrapped(json.dumps(named).replace("{key}", key))
    assert Proofs(ops, set()).judge("NoSuchKey", body).next == "queues/redrive"


def test_what_was_deleted_and_is_kept_as_a_version_is_brought_back(
    ops: Connection, stored: str
) -> None:
    ops.call("s3", "delete_object", Bucket=BUCKET, Key=stored)
    named = {"bucket": BUCKET, "key": stored}
    assert Proofs(ops, set()).judge("NoSuchKey", named).next == "buckets/restore"
    marker = ops.call("s3", "list_object_versions", Bucket=BUCKET, Prefix=stored)["DeleteMarkers"]
    ops.call("s3", "delete_object", Bucket=BUCKET, Key=stored, VersionId=marker[0]["VersionId"])


@pytest.mark.parametrize(
    "error",
    [
        "404 Client Error: Not Found for url https://x.example/books/7",
        "Book matching query does not exist.",
        "ResourceNotFoundException: Function not found: arn:aws:lambda:us-west-2:1:function:shop",
    ],
)
def test_an_error_about_something_else_is_not_proven_by_an_object_that_is_gone(
    ops: Connection, error: str
) -> None:
    gone = {"bucket": BUCKET, "key": "uploads/worked-on-and-taken-away.jpeg"}
    assert Proofs(ops, set()).judge(error, gone).next == "logs/search"


@pytest.mark.parametrize("error", [NotAllowed("denied"), NotFound("no bucket")])
def test_an_object_that_cannot_be_seen_is_not_gone(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(ops, "pages", refused)
    named = {"bucket": BUCKET, "key": "a"}
    assert Proofs(ops, set()).judge("NoSuchKey", named).next == "logs/search"


@pytest.fixture
def shared(lab: Any, ops: Connection) -> Iterator[Connection]:
    """The dead letters of another work queue come to the same place."""
    dead = ops.target["queues"]["analysis"]["dead_letters"]
    arn = f"arn:aws:sqs:{ops.target.region}:{ops.target.account}:{dead}"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    with lab.broken("dead-letter-backlog"):
        url = ops.call(
            "sqs", "create_queue", QueueName="shop-orders", Attributes={"RedrivePolicy": policy}
        )["QueueUrl"]
        try:
            yield ops
        finally:
            ops.call("sqs", "delete_queue", QueueUrl=url)


@pytest.mark.parametrize("planner", [moves.plan_redrive, moves.plan_purge])
def test_letters_of_another_queue_are_neither_sent_nor_destroyed(
    shared: Connection, lab: Any, planner: Any
) -> None:
    before = lab.state()
    with pytest.raises(Refused, match=r"also holds the dead letters of shop-orders.*Nothing was"):
        apply(shared, planner(shared, "analysis"), "now")
    assert lab.state() == before


@pytest.mark.parametrize(("number", "refused"), [(24, False), (23, True)])
def test_letters_that_are_all_known_to_be_ours_go_back(
    shared: Connection, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    """SQS writes on each letter which queue it came from; the practice copy does not."""
    work = shared.target["queues"]["analysis"]["name"]
    known = [{"Attributes": {"DeadLetterQueueSourceArn": f"arn:aws:sqs:x:1:{work}"}}] * number
    monkeypatch.setattr("opslib.queues.letters.Dead.sample", lambda _: known)
    if refused:
        with pytest.raises(Refused, match="not all were seen"):
            moves.plan_redrive(shared, "analysis")
    else:
        assert len(moves.plan_redrive(shared, "analysis").steps) == 2


def test_a_passing_failure_among_the_letters_is_told_as_one(ops: Connection, lab: Any) -> None:
    dead = ops.target["queues"]["analysis"]["dead_letters"]
    url = ops.call("sqs", "get_queue_url", QueueName=dead)["QueueUrl"]
    body = {
        "book_id": 500,
        "responsePayload": {"errorMessage": "connect ECONNREFUSED 10.0.0.7:5432"},
    }
    ops.call("sqs", "send_message", QueueUrl=url, MessageBody=json.dumps(body))
    try:
        (found,) = queues.check_letters(ops, "analysis")
        assert (found.next, "ECONNREFUSED" in found.seen) == ("network/endpoints", True)
    finally:
        (letter,) = ops.call("sqs", "receive_message", QueueUrl=url)["Messages"]
        ops.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
