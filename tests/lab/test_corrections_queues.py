"""SQS as the real one: redrive, honest counts, a peek that shows every message,
a purge a minute.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.waiting import until


class Pair:
    """A queue and its dead-letter queue."""

    def __init__(self, sqs: Any) -> None:
        self.sqs = sqs
        name = f"work-{uuid.uuid4().hex[:8]}"
        self.dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        self.dead_arn = self.attributes(self.dead)["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": self.dead_arn, "maxReceiveCount": 2})
        self.main = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})[
            "QueueUrl"
        ]
        self.main_arn = self.attributes(self.main)["QueueArn"]

    def attributes(self, url: str) -> dict[str, str]:
        found: dict[str, str] = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
            "Attributes"
        ]
        return found

    def counts(self, url: str) -> tuple[int, int, int]:
        """(visible, in flight, delayed)"""
        found = self.attributes(url)
        names = ("", "NotVisible", "Delayed")
        visible, in_flight, delayed = (
            int(found[f"ApproximateNumberOfMessages{name}"]) for name in names
        )
        return visible, in_flight, delayed

    def send(self, url: str, count: int, **given: Any) -> None:
        for number in range(count):
            self.sqs.send_message(QueueUrl=url, MessageBody=f"job {number}", **given)

    def task(self) -> Any:
        return self.sqs.list_message_move_tasks(SourceArn=self.dead_arn)["Results"][0]

    def wait(self) -> Any:
        until(lambda: self.task()["Status"] != "RUNNING")
        return self.task()


@pytest.fixture
def pair(aws: Any) -> Pair:
    return Pair(aws("sqs"))


def test_a_redrive_moves_every_message_back_as_new_ones(pair: Pair) -> None:
    pair.send(pair.dead, 12)
    before = pair.sqs.receive_message(QueueUrl=pair.dead, VisibilityTimeout=0)["Messages"][0][
        "MessageId"
    ]
    handle = pair.sqs.start_message_move_task(SourceArn=pair.dead_arn)["TaskHandle"]
    assert pair.task()["TaskHandle"] == handle
    done = pair.wait()
    assert (done["Status"], done["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 12)
    assert "TaskHandle" not in done
    assert (pair.counts(pair.dead), pair.counts(pair.main)) == ((0, 0, 0), (12, 0, 0))
    message = pair.sqs.receive_message(QueueUrl=pair.main, AttributeNames=["All"])["Messages"][0]
    assert message["MessageId"] != before
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_a_redrive_keeps_to_its_rate_and_can_be_cancelled(pair: Pair) -> None:
    pair.send(pair.dead, 30)
    handle = pair.sqs.start_message_move_task(
        SourceArn=pair.dead_arn, MaxNumberOfMessagesPerSecond=5
    )["TaskHandle"]
    with pytest.raises(pair.sqs.exceptions.ClientError, match="already a task running"):
        pair.sqs.start_message_move_task(SourceArn=pair.dead_arn)
    until(lambda: pair.task()["ApproximateNumberOfMessagesMoved"])
    moved = pair.sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"]
    assert 1 <= moved < 30
    until(lambda: pair.task()["Status"] == "CANCELLED")
    assert pair.counts(pair.dead)[0] + pair.counts(pair.main)[0] == 30


def test_only_a_dead_letter_queue_can_be_redriven(pair: Pair) -> None:
    with pytest.raises(pair.sqs.exceptions.ClientError, match="Dead Letter Queue") as error:
        pair.sqs.start_message_move_task(SourceArn=pair.main_arn)
    assert error.value.response["Error"]["Code"] == "InvalidParameterValue"
    with pytest.raises(pair.sqs.exceptions.ResourceNotFoundException):
        pair.sqs.start_message_move_task(SourceArn=pair.dead_arn + "-none")


def test_visible_in_flight_and_delayed_are_counted_apart(pair: Pair) -> None:
    pair.send(pair.main, 5)
    pair.send(pair.main, 2, DelaySeconds=60)
    pair.sqs.receive_message(QueueUrl=pair.main, MaxNumberOfMessages=3, VisibilityTimeout=60)
    assert pair.counts(pair.main) == (2, 3, 2)


def test_a_peek_hides_nothing_and_comes_to_see_every_message(pair: Pair) -> None:
    pair.send(pair.dead, 23)
    seen: set[str] = set()
    for _ in range(4):
        found = pair.sqs.receive_message(
            QueueUrl=pair.dead, MaxNumberOfMessages=10, VisibilityTimeout=0
        )["Messages"]
        seen.update(message["Body"] for message in found)
        assert pair.counts(pair.dead) == (23, 0, 0)
    assert len(seen) == 23


def test_a_peek_counts_as_a_receive(pair: Pair) -> None:
    pair.send(pair.dead, 1)
    given: dict[str, Any] = {
        "QueueUrl": pair.dead,
        "VisibilityTimeout": 0,
        "AttributeNames": ["All"],
    }
    counts = [
        pair.sqs.receive_message(**given)["Messages"][0]["Attributes"]["ApproximateReceiveCount"]
        for _ in range(2)
    ]
    assert counts == ["1", "2"]


def test_what_is_received_too_often_goes_to_the_dead_letter_queue(pair: Pair) -> None:
    pair.send(pair.main, 1)
    for _ in range(3):
        pair.sqs.receive_message(QueueUrl=pair.main, VisibilityTimeout=0)
    assert (pair.counts(pair.main), pair.counts(pair.dead)) == ((0, 0, 0), (1, 0, 0))


def test_a_purge_takes_messages_in_flight_and_is_allowed_once_a_minute(pair: Pair) -> None:
    pair.send(pair.dead, 3)
    pair.sqs.receive_message(QueueUrl=pair.dead, VisibilityTimeout=60)
    pair.sqs.purge_queue(QueueUrl=pair.dead)
    assert pair.counts(pair.dead) == (0, 0, 0)
    with pytest.raises(pair.sqs.exceptions.PurgeQueueInProgress, match="every 60 seconds"):
        pair.sqs.purge_queue(QueueUrl=pair.dead)


def test_a_message_that_waited_for_a_day_can_be_given_back(pair: Pair, place: Any) -> None:
    pair.send(pair.main, 1)
    queue = place.backend("sqs").get_queue(pair.main.rsplit("/", 1)[-1])
    queue._messages[0].sent_timestamp -= 24 * 3600 * 1000
    taken = pair.sqs.receive_message(QueueUrl=pair.main, VisibilityTimeout=60)["Messages"][0]
    assert pair.counts(pair.main) == (0, 1, 0)
    pair.sqs.change_message_visibility(
        QueueUrl=pair.main, ReceiptHandle=taken["ReceiptHandle"], VisibilityTimeout=0
    )
    assert pair.counts(pair.main) == (1, 0, 0)
    with pytest.raises(pair.sqs.exceptions.ClientError, match="ReceiptHandleIsInvalid"):
        pair.sqs.change_message_visibility(
            QueueUrl=pair.main, ReceiptHandle="none such", VisibilityTimeout=0
        )
