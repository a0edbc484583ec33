"""Actions that hold to what was shown: whatever came or changed since is left as it is."""

import random
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from opslib.core.actions.actions import Action, action
from opslib.core.actions.stores.objects import ended, in_waves
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, OpsError, Refused, Unfinished, after
from opslib.core.reads.stores.objects import digest_of, items_of
from opslib.core.reads.stores.queues import Queue
from opslib.core.tables import Json
from opslib.core.waiting import poll

_HIDDEN_SECONDS = 60
_A_CALL, _A_WAVE = 25, 80  # keys of one BatchWriteItem, calls between two lines of progress
_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # while a table gives back what it cannot take
_INDEX_SECONDS = 20.0  # so long an index may take to follow its table


def _shown(do: Action) -> str:
    tables = "; ".join(f"{name}: {said}" for name, said in do["found"]["tables"].items())
    return f"SQL{f' ({tables})' if tables else ''}: {do['statement']}"


@action("shown", _shown)
def Shown(ops: Connection, statement: str, measured: str, found: Json) -> Any:
    """One statement, kept only when it does to the rows what a trial of it did.

    `measured` does it and answers a JSON; `found`: what that was, with the rows of each table.
    """
    return sql.change(ops, measured, found)


@action(
    "discard",
    lambda do: f"sqs.delete_message_batch(QueueUrl={do['url']}) of {len(do['ids'])} messages",
)
def Discard(ops: Connection, url: str, ids: list[str]) -> Any:
    """Delete these messages of a queue, by their ids; every other one is given back."""
    queue = Queue(ops, url.rpartition("/")[2])
    left, others = set(ids), dict[str, Json]()
    why, kind = "not met: somebody else reads or has deleted them.", OpsError
    try:
        while left and (batch := queue.receive(_HIDDEN_SECONDS)):
            ours = [each | {"Id": id} for id, each in batch.items() if id in left]
            known = len(others)
            others |= {id: each for id, each in batch.items() if id not in left}
            if ours:
                entries = [{key: each[key] for key in ("Id", "ReceiptHandle")} for each in ours]
                ops.call_again("sqs", "delete_message_batch", QueueUrl=queue.url, Entries=entries)
                left -= batch.keys()
            elif len(others) == known:
                break  # those that are not ours come round again
    except OpsError as exc:
        left -= {each["Id"] for each in (exc.done or {}).get("Successful", ())}
        why, kind = f"not, or nobody knows: {exc}", type(exc)
    finally:
        queue.give_back(others.values())
    done = {"deleted": len(ids) - len(left), "given_back": len(others)}
    if left:
        raise kind(
            f"{done['deleted']} of {len(ids)} messages were deleted; {len(left)} were {why} Look: "
            "queues/dead-letters.",
            done if done["deleted"] else None,
        )
    return done


def _erased(do: Action) -> str:
    of = f"{do['value']} in index {do['index']}" if do["index"] else do["value"]
    each = f"{do['items']:,} items of {of}"
    return f"dynamodb.batch_write_item({do['table']}): delete {each}, digest {do['digest']}"


@action("erase items", _erased)
def EraseItems(ops: Connection, table: str, index: str, value: str, items: int, digest: str) -> Any:
    """Delete every item of a partition, by its keys, while they are those that were shown.

    `value`: of the table's partition key, or of the index's.
    """

    def keys() -> list[Json]:
        return items_of(ops, table, value, index).keys

    if digest_of(found := keys()) != digest:
        raise Refused(f"What {value} has in {table} is no longer what was shown. Preview again.")
    deleted = delete_items(ops, table, found)
    with after(done := {"deleted": deleted}):
        left, _ = poll(lambda: len(keys()), lambda left: not left, _INDEX_SECONDS if index else 0.0)
        if left:
            raise OpsError(
                f"{left:,} items of {value} are there still, or again: somebody writes. "
                "Shut the user out, then run it again."
            )
    return done


def delete_items(ops: Connection, table: str, keys: Sequence[Json]) -> int:
    """How many were deleted: all. Raises OpsError that counts what is left, and says why."""
    delete = partial(_delete, ops, table)
    made = in_waves(ops, delete, keys, _A_CALL, _A_WAVE, "items deleted")
    return len(ended("deleted", f"items of {table}", made)["Deleted"])


def _delete(ops: Connection, table: str, batch: Sequence[Json]) -> list[Any]:
    """Each of them, or why it is left. What is given back is asked for again, ever later."""
    left = [{"DeleteRequest": {"Key": key}} for key in batch]
    why: OpsError = Unfinished(f"{table} kept giving items back: it is throttled.")
    for pause in _PAUSES:
        time.sleep(pause * random.uniform(0.5, 1))
        try:
            answer = ops.call_again("dynamodb", "batch_write_item", RequestItems={table: left})
            left = answer.get("UnprocessedItems", {}).get(table, [])
        except OpsError as exc:  # of one that may be done, whatever is said of it later
            why = why if isinstance(why, Lost) else exc
            if not isinstance(exc, Unfinished):
                break
        if not left:
            break
    return [*batch[len(left) :], *[why] * len(left)]
