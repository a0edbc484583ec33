"""What a worker does with an item of a batch: it is run once, whoever is handed it how often.

The item brings the ids that its records may have. Who enters the row of an id in the index has it;
another waits until that run has ended, and takes the next id only when it was cut off.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace

from opslib.core import Json, OpsError
from opslib.records import index, interruptions, records
from opslib.records.index import Taken
from opslib.records.records import Row
from opslib.runs.batches import local
from opslib.runs.batches.items import Item, Tell

INTERRUPTED = "interrupted"
_LOOK_SECONDS = 0.5
_stopped: set[str] = set()  # ids that are not to be begun any more


def take(item: Item, ids: Sequence[str], batch: Json, tell: Tell) -> str:
    """Run the item, unless it was; the id of the record that says how it ended.

    `batch` goes into the record. Raises OpsError when it was not run.
    """
    cut_off: list[str] = []
    for id in ids:
        if id in _stopped:
            raise OpsError("The batch was stopped before it was begun.")
        one = replace(item, id=id)
        row = _ended(one)
        if row is None:
            _run(one, batch | {"instead_of": cut_off}, tell)
            return id
        if row["target"] == item.target and row["outcome"] != INTERRUPTED:
            return id
        cut_off.append(id)
        tell(0, 0, f"again, for its worker is gone: {id} says how far it came")
    return cut_off[-1]


def _ended(item: Item) -> Row | None:
    """The sealed row of that id, when whoever has it has ended; None: it is ours now."""
    while True:
        found = index.rows(id=item.id)
        if found and found[0]["seq"] is not None:
            return found[0]
        if not found:
            try:
                index.reserve(records.row(item.at_start()))
            except Taken:
                continue
            return None
        interruptions.close_abandoned()
        time.sleep(_LOOK_SECONDS)


def _run(item: Item, batch: Json, tell: Tell) -> None:
    try:
        item.run(tell=tell, forked=local.prepare(), entered=True, more={"batch": batch})
    except BaseException:
        with contextlib.suppress(OpsError):
            index.withdraw(item.id)
        raise


def stop(ids: Sequence[str]) -> None:
    """Stop those that run here, and begin none of the others."""
    from opslib.runs import executions

    _stopped.update(ids)
    executions.stop_all(ids)
