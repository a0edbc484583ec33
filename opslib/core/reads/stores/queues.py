"""A queue of SQS as it is, by its name; its messages, hidden while they are looked at."""

from collections.abc import Iterable
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.tables import Json, batched


class Queue:
    """A queue by the name that AWS knows it by."""

    def __init__(self, ops: Connection, name: str) -> None:
        self.ops, self.name = ops, name
        self.url = str(ops.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"])

    def call(self, operation: str, **parameters: Any) -> Json:
        return self.ops.call("sqs", operation, QueueUrl=self.url, **parameters)

    def attributes(self) -> dict[str, str]:
        return dict(self.call("get_queue_attributes", AttributeNames=["All"])["Attributes"])

    def receive(self, hidden_seconds: int) -> dict[str, Json]:
        """Up to ten messages by their ids, hidden for so long."""
        found = self.call(
            "receive_message",
            MaxNumberOfMessages=10,
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return {each["MessageId"]: each for each in found.get("Messages", ())}

    def give_back(self, messages: Iterable[Json]) -> None:
        """To be seen by everybody at once."""
        for part in batched([*messages], 10):
            entries = [
                {"Id": str(i), "ReceiptHandle": each["ReceiptHandle"], "VisibilityTimeout": 0}
                for i, each in enumerate(part)
            ]
            try:
                self.call("change_message_visibility_batch", Entries=entries)
            except OpsError as exc:  # what is no longer hidden need not be given back
                print(f"Not all messages were given back: {exc}", flush=True)

    def held(self) -> int:
        """Its messages: that wait, in flight, delayed."""
        return sum(depths(self.attributes()).values())


def depths(attributes: dict[str, str]) -> dict[str, int]:
    """How many messages are visible, in flight, delayed."""
    suffixes = {"visible": "", "in_flight": "NotVisible", "delayed": "Delayed"}
    each = "ApproximateNumberOfMessages"
    return {name: int(attributes[each + suffix]) for name, suffix in suffixes.items()}
