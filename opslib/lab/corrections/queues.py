"""SQS.

Moto has no message move tasks (redrive), a peek of a long queue shows the same ten messages for
ever, and a

message that waited for half a day cannot be given back."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend

from opslib.lab.aws.operations import AwsError, Call, Result, answers

_RATE = 50  # messages a second where the caller gives none; AWS chooses one itself
_KEPT = 10
_MISSING = "The resource that you specified for the {} parameter doesn't exist."
_LONGEST_SECONDS = 43200
_TOO_LONG = (
    "Value {} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the "
    "message is beyond the "
    "limit [43200 seconds]"
)
_received_at: dict[str, float] = {}  # by message id, the last time
_moto_receive = SQSBackend.receive_message
_tasks: dict[str, deque[MoveTask]] = {}  # by the source's ARN, newest first


@dataclass
class MoveTask:
    """Moves what is visible in a dead-letter queue back, as new messages, at its rate."""

    source: Queue
    destination: Queue
    given_destination: str | None
    rate: int | None
    total: int
    status: str = "RUNNING"
    moved: int = 0
    handle: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: int = field(default_factory=lambda: int(time.time() * 1000))

    def run(self) -> None:
        while self.status == "RUNNING" and self.moved < self.total:
            time.sleep(1 / (self.rate or _RATE))
            if not self._move_one():
                break
        self.status = "CANCELLED" if self.status == "CANCELLING" else "COMPLETED"

    def _move_one(self) -> bool:
        message = next(iter(self.source.messages), None)
        if message is None:
            return False
        with suppress(ValueError):  # purged at this moment
            self.source._messages.remove(message)
            self.source.pending_messages.discard(message)
            self.destination.add_message(_anew(message))
            self.moved += 1
        return True

    def shown(self) -> Result:
        shown: dict[str, Any] = {
            "TaskHandle": self.handle if self.status == "RUNNING" else None,
            "Status": self.status,
            "SourceArn": self.source.queue_arn,
            "DestinationArn": self.given_destination,
            "MaxNumberOfMessagesPerSecond": self.rate,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.total,
            "StartedTimestamp": self.started,
        }
        return {key: value for key, value in shown.items() if value is not None}


def install() -> None:
    SQSBackend.receive_message = _receive
    SQSBackend.change_message_visibility = _change_visibility


def held() -> tuple[dict[Any, Any], ...]:
    return _tasks, _received_at


def reset() -> None:
    _tasks.clear()
    _received_at.clear()


def _anew(message: Message) -> Message:
    """AWS: a redriven message is a new one, with an id, a time and a receive count of its own."""
    new = Message(str(uuid.uuid4()), message.body, message.system_attributes)
    new.message_attributes = dict(message.message_attributes)
    new.group_id, new.deduplication_id = message.group_id, message.deduplication_id
    new.mark_sent()
    return new


def _receive(
    self: SQSBackend,
    queue_name: str,
    count: int,
    wait_seconds_timeout: int,
    visibility_timeout: int,
    message_attribute_names: list[str] | None = None,
) -> list[Message]:
    """As moto, but what is seen and stays visible goes to the end:
    the next peek sees the others.
    """
    received: list[Message] = _moto_receive(
        self, queue_name, count, wait_seconds_timeout, visibility_timeout, message_attribute_names
    )
    queue: Queue = self.get_queue(queue_name)
    for message in received:
        _received_at[message.id] = time.time()
    if visibility_timeout == 0 and not queue.fifo_queue:
        seen = {message.id for message in received}
        queue._messages.sort(key=lambda message: message.id in seen)  # in place and stable
    return received


def _change_visibility(
    self: SQSBackend, queue_name: str, receipt_handle: str, visibility_timeout: int
) -> None:
    """As moto, but the twelve hours count from when the message was received.

    Moto's count from when it was sent, so that

    a message of yesterday could not be given back."""
    queue: Queue = self.get_queue(queue_name)
    message = next(
        (held for held in queue._messages if held.had_receipt_handle(receipt_handle)), None
    )
    if message is None:
        raise ReceiptHandleIsInvalid
    seconds = time.time() - _received_at.get(message.id, time.time()) + int(visibility_timeout)
    if seconds > _LONGEST_SECONDS:
        raise InvalidParameterValue(_TOO_LONG.format(visibility_timeout))
    message.change_visibility(visibility_timeout)
    if message.visible:
        queue.pending_messages.discard(message)


def _queue(call: Call, name: str) -> Queue:
    arn = call.params[name]
    for queue in call.backend().queues.values():
        if queue.queue_arn == arn:
            return queue
    raise AwsError("ResourceNotFoundException", _MISSING.format(name))


@answers("sqs", "StartMessageMoveTask")
def start_message_move_task(call: Call) -> Result:
    source = _queue(call, "SourceArn")
    feeding = call.backend().list_dead_letter_source_queues(source.name)
    if not feeding:
        raise AwsError(
            "InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."
        )
    given = call.params.get("DestinationArn")
    destination = _queue(call, "DestinationArn") if given else feeding[0]
    rate = call.params.get("MaxNumberOfMessagesPerSecond")
    if rate is not None and not 1 <= rate <= 500:
        raise AwsError(
            "InvalidParameterValue", "MaxNumberOfMessagesPerSecond must be between 1 and 500."
        )
    tasks = _tasks.setdefault(source.queue_arn, deque(maxlen=_KEPT))
    if any(task.status == "RUNNING" for task in tasks):
        raise AwsError(
            "InvalidParameterValue",
            "There is already a task running. Only one active task is allowed for a source queue "
            "arn at a given time.",
        )
    task = MoveTask(source, destination, given, rate, len(source.messages))
    tasks.appendleft(task)
    threading.Thread(target=task.run, daemon=True).start()
    return {"TaskHandle": task.handle}


@answers("sqs", "ListMessageMoveTasks")
def list_message_move_tasks(call: Call) -> Result:
    tasks = list(_tasks.get(_queue(call, "SourceArn").queue_arn, ()))
    return {"Results": [task.shown() for task in tasks[: call.params.get("MaxResults") or 1]]}


@answers("sqs", "CancelMessageMoveTask")
def cancel_message_move_task(call: Call) -> Result:
    for task in (task for tasks in _tasks.values() for task in tasks):
        if task.handle == call.params["TaskHandle"]:
            if task.status != "RUNNING":
                raise AwsError(
                    "AWS.SimpleQueueService.UnsupportedOperation",
                    "Only active tasks can be cancelled.",
                )
            task.status = "CANCELLING"
            return {"ApproximateNumberOfMessagesMoved": task.moved}
    raise AwsError("ResourceNotFoundException", _MISSING.format("TaskHandle"))
