"""Actions that hold to what was shown: whatever came or changed since is left as it is."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from opslib.core.actions.actions import Action
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused, Unfinished
from opslib.core.reads.stores.objects import digest_of, items_of
from opslib.core.reads.stores.queues import Queue
from opslib.core.tables import Json, batched
from opslib.core.waiting import poll

_HIDDEN_SECONDS = 60
_A_CALL, _A_WAVE = 25, 80  # keys of one BatchWriteItem, calls between two lines of progress
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # while a table gives back what it cannot take
_INDEX_SECONDS = 20.0  # so long an index may take to follow its table


class Shown(Action, kind="shown"):
    """One statement, kept only when it does to the rows what a trial of it did.

    `measured` does it and answers a JSON; `found`: what that was, with the rows of each table.
    """

    def __init__(self, statement: str, measured: str, found: Json) -> None: ...

    def __str__(self) -> str:
        tables = "; ".join(f"{name}: {said}" for name, said in self["found"]["tables"].items())
        return f"SQL{f' ({tables})' if tables else ''}: {self['statement']}"

    def perform(self, ops: Connection) -> Any:
        return sql.change(ops, self["measured"], self["found"])


class Discard(Action, kind="discard"):
    """Delete these messages of a queue, by their ids; every other one is given back."""

    def __init__(self, url: str, ids: list[str]) -> None: ...

    def __str__(self) -> str:
        return f"sqs.delete_message_batch(QueueUrl={self['url']}) of {len(self['ids'])} messages"

    def perform(self, ops: Connection) -> Any:
        queue = Queue(ops, self["url"].rpartition("/")[2])
        left, others = set(self["ids"]), dict[str, Json]()
        why = "not met: somebody else reads or has deleted them."
        try:
            while left and (batch := queue.receive(_HIDDEN_SECONDS)):
                ours = {id: each for id, each in batch.items() if id in left}
                known = len(others)
                others |= {id: each for id, each in batch.items() if id not in left}
                if not ours and len(others) == known:
                    break  # those that are not ours come round again
                if ours:
                    entries = [
                        {"Id": id, "ReceiptHandle": each["ReceiptHandle"]}
                        for id, each in ours.items()
                    ]
                    queue.call("delete_message_batch", Entries=entries)
                    left -= set(ours)
        except OpsError as exc:
            left -= {each["Id"] for each in (exc.done or {}).get("Successful", ())}
            why = f"not, or nobody knows: {exc}"
        finally:
            queue.give_back(others.values())
        done = {"deleted": len(self["ids"]) - len(left), "given_back": len(others)}
        if left:
            raise OpsError(
                f"{done['deleted']} of {len(self['ids'])} messages were deleted; {len(left)} were "
                f"{why} Look: queues/dead-letters.",
                done if done["deleted"] else None,
            )
        return done


class EraseItems(Action, kind="erase items"):
    """Delete every item of a partition, by its keys, while they are those that were shown.

    `value`: of the table's partition key, or of the index's.
    """

    def __init__(self, table: str, index: str, value: str, items: int, digest: str) -> None: ...

    def __str__(self) -> str:
        of = f"{self['value']} in index {self['index']}" if self["index"] else self["value"]
        each = f"{self['items']:,} items of {of}"
        return f"dynamodb.batch_write_item({self['table']}): delete {each}, digest {self['digest']}"

    def perform(self, ops: Connection) -> Any:
        keys = self._keys(ops)
        if digest_of(keys) != self["digest"]:
            raise Refused(
                f"What {self['value']} has in {self['table']} is no longer what was shown. "
                "Preview again."
            )
        deleted = delete_items(ops, self["table"], keys)
        seconds = _INDEX_SECONDS if self["index"] else 0.0
        left, _ = poll(lambda: len(self._keys(ops)), lambda left: not left, seconds)
        if left:
            raise OpsError(
                f"{left:,} items of {self['value']} are there still, or again: somebody writes. "
                "Shut the user out, then run it again."
            )
        return {"deleted": deleted}

    def _keys(self, ops: Connection) -> list[Json]:
        return items_of(ops, self["table"], self["value"], self["index"]).keys


def delete_items(ops: Connection, table: str, keys: Sequence[Json]) -> int:
    """How many were deleted: all. Raises OpsError that counts what is left, and says why."""
    gone, failed = 0, list[OpsError]()
    for wave in batched(batched(keys, _A_CALL), _A_WAVE):
        for left, why in ops.gather(*(partial(_delete, ops, table, batch) for batch in wave)):
            gone -= left
            failed += [why] if why else []
        gone += sum(map(len, wave))
        print(f"{gone:,} of {len(keys):,} items deleted", flush=True)
    if failed:
        raise type(failed[0])(
            f"{gone:,} of {len(keys):,} items of {table} were deleted, {len(keys) - gone:,} were "
            f"not; first: {failed[0]} Run it again: it goes on with what is left.",
            {"deleted": gone} if gone else None,
        )
    return gone


def _delete(ops: Connection, table: str, batch: Sequence[Json]) -> tuple[int, OpsError | None]:
    """How many of them are left, and why. What is given back is asked for again, ever later."""
    left = [{"DeleteRequest": {"Key": key}} for key in batch]
    why: OpsError = Unfinished(f"{table} kept giving items back: it is throttled.")
    for pause in _PAUSES:
        time.sleep(pause * random.uniform(0.5, 1))
        try:
            answer = ops.call("dynamodb", "batch_write_item", RequestItems={table: left})
        except (
            Unfinished
        ) as exc:  # throttled as a whole, or no answer: to delete twice does no harm
            why = exc
            continue
        except OpsError as exc:
            return len(left), exc
        left = answer.get("UnprocessedItems", {}).get(table, [])
        if not left:
            return 0, None
    return len(left), why
