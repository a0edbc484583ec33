"""A queue of SQS as it is, by its name."""

from __future__ import annotations

from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.tables import Json


class Queue:
    """A queue by the name that AWS knows it by."""

    def __init__(self, ops: Connection, name: str) -> None:
        self.ops, self.name = ops, name
        self.url = str(ops.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"])

    def call(self, operation: str, **parameters: Any) -> Json:
        return self.ops.call("sqs", operation, QueueUrl=self.url, **parameters)

    def attributes(self) -> dict[str, str]:
        return dict(self.call("get_queue_attributes", AttributeNames=["All"])["Attributes"])

    def held(self) -> int:
        """Its messages: that wait, in flight, delayed."""
        return sum(depths(self.attributes()).values())


def depths(attributes: dict[str, str]) -> dict[str, int]:
    """How many messages are visible, in flight, delayed."""
    suffixes = {"visible": "", "in_flight": "NotVisible", "delayed": "Delayed"}
    each = "ApproximateNumberOfMessages"
    return {name: int(attributes[each + suffix]) for name, suffix in suffixes.items()}
