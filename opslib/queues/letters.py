"""Dead letters: how they are read without being lost, and why each of them failed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib import jobs
from opslib.core.checks.signs import FAILURES, sign_of
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.tables import UTC_TIME

LETTERS = {
    "queue": "str",
    "failure": "str",
    "item": "str",
    "sent": UTC_TIME,
    "age_hours": "float64",
    "receives": "int64",
    "error": "str",
    "message_id": "str",
    "body": "str",
}
_QUIET_ROUNDS = 15  # receives without a new message before a sample counts as all there is to see
_HIDDEN_SECONDS = 60


def sample(ops: Connection, url: str, depth: int) -> list[dict[str, Any]]:
    """Messages of a queue without hiding them (visibility timeout 0), until all or nothing new is seen."""
    seen: dict[str, dict[str, Any]] = {}
    quiet = 0
    while len(seen) < depth and quiet < _QUIET_ROUNDS:
        known = len(seen)
        seen |= {message["MessageId"]: message for message in _received(ops, url, hidden_seconds=0)}
        quiet = 0 if len(seen) > known else quiet + 1
    return list(seen.values())


def all_of(ops: Connection, url: str) -> list[dict[str, Any]]:
    """Every message of a queue, ordered by id: hidden while they are read, given back at once after."""
    taken: list[dict[str, Any]] = []
    try:
        while batch := _received(ops, url, hidden_seconds=_HIDDEN_SECONDS):
            taken += batch
    finally:
        for start in range(0, len(taken), 10):
            entries = [
                {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for i, message in enumerate(taken[start : start + 10])
            ]
            ops.call("sqs", "change_message_visibility_batch", QueueUrl=url, Entries=entries)
    kept = [
        {
            "id": message["MessageId"],
            "sent": _sent(message).isoformat(),
            "attributes": {
                k: v.get("StringValue", "(binary)")
                for k, v in message.get("MessageAttributes", {}).items()
            },
            "body": message["Body"],
        }
        for message in taken
    ]
    return sorted(kept, key=lambda message: str(message["id"]))


def _received(ops: Connection, url: str, hidden_seconds: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ops.call(
        "sqs",
        "receive_message",
        QueueUrl=url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=hidden_seconds,
        WaitTimeSeconds=1,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    ).get("Messages", [])
    return found


def _sent(message: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)


def described(ops: Connection, queue: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of LETTERS: the error is the message's own, else what the job's row keeps."""
    bodies = [_decoded(message["Body"]) for message in messages]
    kept = _job_errors(ops, queue, [str(body["job_id"]) for body in bodies if body.get("job_id")])
    item = next((facts["item"] for _, facts in _jobs_of(ops, queue)), "id")
    rows = []
    for message, body in zip(messages, bodies, strict=True):
        own = message.get("MessageAttributes", {}).get("ErrorMessage", {}).get(
            "StringValue"
        ) or body.get("error")
        error = str(own or kept.get(str(body.get("job_id")), ""))
        rows.append(
            {
                "queue": queue,
                "failure": sign_of(FAILURES, error).name,
                "item": str(body.get(item, "")),
                "sent": _sent(message).replace(microsecond=0),
                "age_hours": round((ops.now() - _sent(message)).total_seconds() / 3600, 1),
                "receives": int(message["Attributes"].get("ApproximateReceiveCount", 0)),
                "error": error,
                "message_id": message["MessageId"],
                "body": message["Body"],
            }
        )
    return rows


def _decoded(body: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as exc:
        return {"error": f"The message is not JSON: {exc}"}
    return (
        value
        if isinstance(value, dict)
        else {"error": f"The message is a JSON {type(value).__name__}, no object"}
    )


def _jobs_of(ops: Connection, queue: str) -> Iterable[tuple[str, Any]]:
    kinds = ops.target["jobs"].items() if "jobs" in ops.target.facts else ()
    return [(kind, facts) for kind, facts in kinds if facts.get("queue") == queue]


def _job_errors(ops: Connection, queue: str, ids: list[str]) -> dict[str, str]:
    """Job id: error, from the tables of the jobs that come through this queue; empty when the database does not answer."""
    found: dict[str, str] = {}
    for kind, _ in _jobs_of(ops, queue):
        try:
            found |= jobs.find_errors(ops, kind, ids)
        except OpsError as exc:
            print(f"The jobs' own errors could not be read: {exc}", flush=True)
    return found


def oldest_seconds(ops: Connection, names: list[str]) -> dict[str, float]:
    """Age of the oldest message by queue name, of the last 15 minutes (CloudWatch, one GetMetricData)."""
    end = ops.now()
    queries = [
        {
            "Id": f"m{i}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS",
                    "MetricName": "ApproximateAgeOfOldestMessage",
                    "Dimensions": [{"Name": "QueueName", "Value": name}],
                },
                "Period": 60,
                "Stat": "Maximum",
            },
        }
        for i, name in enumerate(names)
    ]
    found = ops.pages(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults[]",
        MetricDataQueries=queries,
        StartTime=end - timedelta(minutes=15),
        EndTime=end,
        ScanBy="TimestampDescending",
    )
    return {names[int(one["Id"][1:])]: one["Values"][0] for one in found if one["Values"]}


def settled(count: Callable[[], int], timeout_seconds: float = 60) -> int:
    """A queue's count, read until it is 0 or the time is up: SQS counts up to a minute late."""
    until = time.monotonic() + timeout_seconds
    while (value := count()) and time.monotonic() < until:
        time.sleep(2)
    return value
