"""The queues of jobs and their dead-letter queues."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from opslib.lab.estates.bluemoxon import names
from opslib.lab.estates.bluemoxon.jobs import MAX_ATTEMPTS
from opslib.lab.places import Place

_FOURTEEN_DAYS = 14 * 86_400
_VISIBILITY_SECONDS = 900  # half as long again as a worker may take


def seed(place: Place) -> None:
    sqs = place.client("sqs")
    for key in place.facts["queues"]:
        sqs.create_queue(
            QueueName=names.dead_letters(place, key),
            Attributes={"MessageRetentionPeriod": str(_FOURTEEN_DAYS), "SqsManagedSseEnabled": "true"},
        )
        policy = {
            "deadLetterTargetArn": names.arn(place, "sqs", names.dead_letters(place, key)),
            "maxReceiveCount": MAX_ATTEMPTS,
        }
        sqs.create_queue(
            QueueName=names.queue(place, key),
            Attributes={
                "VisibilityTimeout": str(_VISIBILITY_SECONDS),
                "MessageRetentionPeriod": str(_FOURTEEN_DAYS),
                "RedrivePolicy": json.dumps(policy),
            },
        )


def url(place: Place, name: str) -> str:
    """As AWS names it; what the functions' variables hold."""
    return f"https://sqs.{place.region}.amazonaws.com/{place.account}/{name}"


def held(place: Place, name: str) -> list[Any]:
    """moto's messages of a queue, whether visible or not."""
    return list(place.backend("sqs").get_queue(name)._messages)


def depth(place: Place, name: str) -> float:
    return float(place.backend("sqs").get_queue(name).approximate_number_of_messages)


def in_flight(place: Place, name: str) -> float:
    return float(place.backend("sqs").get_queue(name).approximate_number_of_messages_not_visible)


def oldest(place: Place, name: str) -> float:
    """Age of the oldest message in seconds, 0 when there is none."""
    sent = [message.sent_timestamp for message in held(place, name) if message.sent_timestamp]
    return max(0.0, place.now().timestamp() - min(sent) / 1000) if sent else 0.0


def put(place: Place, name: str, messages: Sequence[tuple[UUID, datetime, str]]) -> None:
    """Messages (id, sent at, body) as if a worker had failed on them as often as it may."""
    queue = place.backend("sqs").get_queue(name)
    for identifier, sent, body in messages:
        message = _message(str(identifier), body)
        message.sent_timestamp = int(sent.timestamp() * 1000)
        message.approximate_first_receive_timestamp = message.sent_timestamp + 400
        message.approximate_receive_count = MAX_ATTEMPTS
        queue.add_message(message)


def take_back(place: Place, bodies: Sequence[str]) -> None:
    """Removes messages wherever they are by now; a redriven one has another id and the same body."""
    gone = set(bodies)
    for key in place.facts["queues"]:
        for name in (names.queue(place, key), names.dead_letters(place, key)):
            queue = place.backend("sqs").get_queue(name)
            queue._messages = [message for message in queue._messages if message.body not in gone]


def _message(identifier: str, body: str) -> Any:
    from moto.sqs.models import Message

    return Message(identifier, body)
