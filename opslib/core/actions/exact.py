"""Actions that hold to what was shown: whatever came or changed since is left as it is."""

from __future__ import annotations

from typing import Any

from opslib.core.actions.actions import Action
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.tables import Json

_HIDDEN_SECONDS = 60


class Shown(Action, kind="shown"):
    """One statement, kept only when it does to the rows what a trial of it did.

    `measured` does it and answers a JSON; `found`: what that was, with the rows of each table.
    """

    def __init__(self, statement: str, measured: str, found: Json) -> None: ...

    def __str__(self) -> str:
        tables = "; ".join(f"{name}: {said}" for name, said in self["found"]["tables"].items())
        return f"SQL ({tables}): {self['statement']}"

    def perform(self, ops: Connection) -> Any:
        return sql.change(ops, self["measured"], self["found"])


class Discard(Action, kind="discard"):
    """Delete these messages of a queue, by their ids; every other one is given back."""

    def __init__(self, url: str, ids: list[str]) -> None: ...

    def __str__(self) -> str:
        return f"sqs.delete_message_batch(QueueUrl={self['url']}) of {len(self['ids'])} messages"

    def perform(self, ops: Connection) -> Any:
        left, others = set(self["ids"]), dict[str, str]()
        try:
            while left and (batch := self._received(ops)):
                ours = {id: handle for id, handle in batch.items() if id in left}
                known = len(others)
                others |= {id: handle for id, handle in batch.items() if id not in left}
                if not ours and len(others) == known:
                    break  # those that are not ours come round again
                if ours:
                    entries = [{"Id": id, "ReceiptHandle": at} for id, at in ours.items()]
                    ops.call("sqs", "delete_message_batch", QueueUrl=self["url"], Entries=entries)
                    left -= set(ours)
        finally:
            for handle in others.values():
                at = {"QueueUrl": self["url"], "ReceiptHandle": handle}
                ops.call("sqs", "change_message_visibility", **at, VisibilityTimeout=0)
        done = {"deleted": len(self["ids"]) - len(left), "given_back": len(others)}
        if left:
            error = OpsError(
                f"{done['deleted']} of {len(self['ids'])} messages were deleted; {len(left)} were "
                "not met: somebody else reads or has deleted them. Look: queues/dead-letters."
            )
            error.done = done if done["deleted"] else None
            raise error
        return done

    def _received(self, ops: Connection) -> dict[str, str]:
        """Up to ten messages, hidden for a minute: the handle of each by its id."""
        asked = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
        hidden = {"VisibilityTimeout": _HIDDEN_SECONDS}
        found = ops.call("sqs", "receive_message", QueueUrl=self["url"], **asked, **hidden)
        return {each["MessageId"]: each["ReceiptHandle"] for each in found.get("Messages", ())}
