"""The configuration that the last report kept in its record, and what this one will keep."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from opslib import records
from opslib.changes.forms import Forms, Same, own_key
from opslib.changes.resources import Key
from opslib.core import Connection, Json, OpsError
from opslib.records import LOOKED, Record

KEEPING = ("reports/daily", "changes/configuration")
_PARTS = {"world", "key", "table", "now", "base", "since", "blind"}
_LOOKED_INTO = 10  # reports; those of before keep none
_LARGEST = 1_500_000  # characters in one record
NOTHING = "null"  # the form of what is not there
Place: TypeAlias = tuple[str, str, str]  # kind, name, path


@cache
def read_by() -> str:
    """Which table and which SDK read it: others may see what these do not, without a change."""
    import botocore

    table = Path(__file__).with_name("resources.yaml").read_bytes()
    return f"{hashlib.sha256(table).hexdigest()[:12]} botocore {botocore.__version__}"


def world(ops: Connection) -> str:
    """Which lab this is: one that was made anew is another. AWS is one, and says nothing."""
    if not ops.target.lab:
        return ""
    said = ops.client("sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
    return str(said.get("x-opslib-lab", ""))


@dataclass
class Memory:
    """Each resource's form as a record keeps it. `base`: as it was before what nobody accepted yet.

    `since`: of such a difference, from when to when it came, and by whom. `blind`: some could not
    be read, so what it leads to was not seen either.
    """

    record: str = ""
    at: datetime | None = None
    same: Same = field(default_factory=Same)
    now: dict[Key, str] = field(default_factory=dict)
    base: dict[Key, str] = field(default_factory=dict)
    since: dict[Place, list[str]] = field(default_factory=dict)
    blind: bool = False

    def write(self, ops: Connection, forms: Forms) -> None:
        """Keep it with the run."""
        ops.journal.write(
            "configuration",
            world=world(ops),
            key=forms.known_as,
            table=read_by(),
            # No keys of a mapping: what is called `…/password` would be masked as one.
            now=[[*key, text] for key, text in _bounded(self.now, forms)],
            base=[[*key, text] for key, text in _bounded(self.base, forms)],
            since=[[*place, *said] for place, said in self.since.items()],
            blind=self.blind,
        )


def _bounded(of: dict[Key, str], forms: Forms) -> Iterator[tuple[Key, str]]:
    room = _LARGEST
    for key, text in of.items():
        room -= len(text)
        yield key, text if room > 0 else forms.shortened(text)


def last(
    ops: Connection, forms: Forms | None = None, before: datetime | None = None
) -> Memory | None:
    """What the last whole report kept (that was begun before a moment); None: none did."""
    whole = (
        record
        for record in records.list_records(target=ops.target.name)
        if record.procedure in KEEPING and record.outcome in LOOKED
        if before is None or record.started < before
    )
    here = world(ops)
    for record in islice(whole, _LOOKED_INTO):
        if (said := _kept(record)) and said["world"] == here:
            return read(said, forms or Forms(own_key()), record.id, record.started)
    return None


def read(said: Json, forms: Forms, record: str, at: datetime) -> Memory:
    """What a record keeps."""
    return Memory(
        record,
        at,
        Same(said["key"] == forms.known_as, said["table"] == read_by()),
        {(kind, name): text for kind, name, text in said["now"]},
        {(kind, name): text for kind, name, text in said["base"]},
        {(kind, name, path): rest for kind, name, path, *rest in said["since"]},
        said["blind"],
    )


def _kept(record: Record) -> Json:
    """Empty where it keeps none, and where it was altered: `opslib records verify` says so."""
    try:
        said: Any = records.sealed(record).get("configuration")
    except OpsError:
        return {}
    return said if isinstance(said, dict) and said.keys() >= _PARTS else {}
