"""The queues of a target's file, their dead-letter queues, and what hands them to functions."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from opslib.lab.forms import data
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.placeholders import queue_url

__all__ = [
    "depth",
    "every",
    "hand_over",
    "handed_over",
    "in_flight",
    "measure",
    "oldest",
    "put",
    "queue_url",
    "seed",
    "send",
    "take_back",
]

_DAY = 86_400


def every(place: Place) -> Iterator[str]:
    """The names of all queues, each before its dead letters, and once."""
    queues = place.facts.get("queues", {}).values()
    found = (facts.get(key) for facts in queues for key in ("name", "dead_letters"))
    yield from dict.fromkeys(str(name) for name in found if name)


def seed(place: Place, about: data.Queues) -> None:
    sqs, retention = place.client("sqs"), str(about.retention_days * _DAY)
    queues = [*place.facts.get("queues", {}).values()]
    own = {facts["name"] for facts in queues}
    for dead in dict.fromkeys(of["dead_letters"] for of in queues if "dead_letters" in of):
        if dead not in own:  # one that several lead to, or that is described itself, is one queue
            sqs.create_queue(
                QueueName=dead,
                Attributes={"MessageRetentionPeriod": retention, "SqsManagedSseEnabled": "true"},
            )
    for facts in sorted(queues, key=lambda of: "dead_letters" in of):
        attributes = {
            "VisibilityTimeout": str(about.visibility_seconds),
            "MessageRetentionPeriod": retention,
        }
        if dead := facts.get("dead_letters"):
            attributes["RedrivePolicy"] = json.dumps(
                {
                    "deadLetterTargetArn": names.arn(place, "sqs", dead),
                    "maxReceiveCount": about.attempts,
                }
            )
        sqs.create_queue(QueueName=facts["name"], Attributes=attributes)


def measure(place: Place) -> None:
    """CloudWatch's metrics of them: true at every moment; before the lab's start, empty."""
    for name in every(place):
        for metric, reader, unit in (
            ("ApproximateNumberOfMessagesVisible", depth, "Count"),
            ("ApproximateNumberOfMessagesNotVisible", in_flight, "Count"),
            ("ApproximateAgeOfOldestMessage", oldest, "Seconds"),
        ):
            about = ("AWS/SQS", metric, {"QueueName": name})
            place.metrics.baseline(*about, lambda minute: 0.0, unit)
            place.metrics.gauge(*about, partial(reader, place, name), unit)


def send(place: Place, key: str, body: Any) -> None:
    """A message to a queue of the target's file."""
    url = queue_url(place, str(place.facts["queues"][key]["name"]))
    place.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(body))


def held(place: Place, name: str) -> list[Any]:
    """moto's messages of a queue, whether visible or not; none of one that somebody deleted."""
    queue = place.backend("sqs").queues.get(name)
    return list(queue._messages) if queue else []


def depth(place: Place, name: str) -> float:
    return _count(place, name, "approximate_number_of_messages")


def in_flight(place: Place, name: str) -> float:
    return _count(place, name, "approximate_number_of_messages_not_visible")


def _count(place: Place, name: str, what: str) -> float:
    return float(getattr(place.backend("sqs").queues.get(name), what, 0))


def oldest(place: Place, name: str) -> float:
    """Age of the oldest message in seconds, 0 when there is none."""
    sent = [message.sent_timestamp for message in held(place, name) if message.sent_timestamp]
    return max(0.0, place.now().timestamp() - min(sent) / 1000) if sent else 0.0


def put(
    place: Place, name: str, messages: Sequence[tuple[str, datetime, str]], attempts: int
) -> None:
    """Messages (id, sent at, body) as if a worker had failed on them as often as it may."""
    from moto.sqs.models import Message

    queue = place.backend("sqs").get_queue(name)
    for identifier, sent, body in messages:
        message = Message(identifier, body)
        message.sent_timestamp = int(sent.timestamp() * 1000)
        message.approximate_first_receive_timestamp = message.sent_timestamp + 400
        message.approximate_receive_count = attempts
        queue.add_message(message)


def take_back(place: Place, bodies: Sequence[str], since: datetime) -> None:
    """Removes messages wherever they are by now; a redriven one has another id and the same body.

    What the gauges have kept since then goes with them: the queues are as empty again as they were.
    """
    gone = set(bodies)
    for name in every(place):
        queue = place.backend("sqs").get_queue(name)
        queue._messages = [message for message in queue._messages if message.body not in gone]
    for key, series in place.metrics.series.items():
        if key.namespace == "AWS/SQS":
            series.gauged = [
                entry for entry in series.gauged if entry[0] < since.timestamp() // 60 * 60
            ]
    place.metrics.tick()


def hand_over(place: Place) -> None:
    """A mapping from the queue of each kind of job and workflow to its function, as callers get it.

    moto's own call would hand over messages itself, beside the lab's workers.
    """
    from moto.awslambda.models import EventSourceMapping

    of = (place.facts.get(section, {}).values() for section in ("jobs", "workflows"))
    for job in chain.from_iterable(of):
        if not {"queue", "function"} <= job.keys():
            continue
        facts = place.facts["functions"][job["function"]]
        name = ":".join(filter(None, (facts["name"], facts.get("alias"))))
        source = names.arn(place, "sqs", str(place.facts["queues"][job["queue"]]["name"]))
        made = EventSourceMapping(
            {
                "RegionName": place.region,
                "AccountId": place.account,
                "FunctionName": facts["name"],
                "FunctionArn": names.arn(place, "lambda", f"function:{name}"),
                "EventSourceArn": source,
            }
        )
        made.last_modified = names.start(place).timestamp()
        place.backend("lambda")._event_source_mappings[made.uuid] = made


def handed_over(place: Place, queue: str) -> bool:
    """Whether a queue is handed to its function."""
    found: Any = place.backend("lambda")._event_source_mappings.values()
    source = names.arn(place, "sqs", queue)
    return any(each.enabled for each in found if each.event_source_arn == source)
