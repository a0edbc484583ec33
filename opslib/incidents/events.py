"""Events of incidents: entries of the chain of records, so what was said stays as it was said.

Each has two times. *Happened* is when it was so, *known* when somebody wrote it down: what people
did has to be understood by what they knew then.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import sqlalchemy as sa

from opslib.core import Json, UsageError, beside, paths, redaction
from opslib.core.times import as_iso
from opslib.records import files, index
from opslib.records.chain import database
from opslib.records.chain.beside import KIND, keep

MILESTONES: Json = beside(__file__, "milestones")


@dataclass(frozen=True)
class Event:
    """`what`: start, note, mark, tie, untie, looked, end, reopen. Both times are UTC."""

    incident: str
    number: int  # in the chain
    what: str
    happened: datetime
    known: datetime
    who: str
    said: Json

    @classmethod
    def of(cls, entry: Json) -> Self:
        said = json.loads(entry["said"])
        known = datetime.fromisoformat(entry["at"])
        happened = datetime.fromisoformat(said.pop("happened", entry["at"]))
        what = said.pop("event")
        return cls(entry["id"], entry["seq"], what, happened, known, entry["who"], said)

    def as_dict(self) -> Json:
        """For JSON."""
        return as_iso(vars(self))


def every() -> list[Event]:
    """Of all incidents, in the order in which they were written down. Raises OpsError."""
    return [Event.of(entry) for entry in index.entries(kind=KIND)]


def append(decide: Callable[[Sequence[Event]], tuple[str, Json]]) -> str:
    """Chain an event, and give its incident's id: `decide` sees those there are, and gives that id
    and what is said.

    Nobody else, on whichever machine, can write one in between. What `decide` raises is raised, and
    nothing was written. Raises OpsError.
    """
    if database.nothing_yet():
        decide([])  # what is refused leaves nothing behind
        files.require_writable(paths.records())
    with database.transaction() as connection:
        connection.execute(sa.select(database.head).with_for_update()).first()
        known = index.entries(kind=KIND)
        id, said = decide([Event.of(entry) for entry in known])
        text = json.dumps(redaction.mask_tree(said), ensure_ascii=False, default=str)
        index.enter(KIND, id, said=text)
        rows = index.entries(kind=KIND, id=id)
    keep(rows)  # what lies there is in the index, and nobody waits for a disk or a bucket
    return id


def require_order(marked: Mapping[str, Event], milestone: str, at: datetime) -> None:
    """Raises UsageError: a milestone would stand on the wrong side of another."""
    stage = MILESTONES[milestone].get("stage")
    for name, mark in marked.items():
        other = MILESTONES[name].get("stage")
        if stage and other and (stage - other) * (at - mark.happened) < timedelta(0):
            raise UsageError(
                f"{milestone} at {at:%Y-%m-%d %H:%M} would be "
                f"{'before' if stage > other else 'after'} {name} at "
                f"{mark.happened:%Y-%m-%d %H:%M} UTC. Nothing was written down. "
                "Give another --at; or correct that one first, in the same way."
            )
