"""A record: what a run left behind, a file and a row of the index, from the facts of the run."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from opslib.core import Json, OpsError, paths, redaction
from opslib.core.times import as_iso

Row = Json  # of the index
ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
RUNNING = "running"
LOOKED = ("ok", "attention")  # to its end
DONE = (*LOOKED, "changed", "previewed")
BROKEN = ("failed", "timed out", "kernel died", "interrupted")
OUTCOMES = (*DONE, "refused", *BROKEN)


@dataclass(frozen=True)
class Record:
    """A run as the index knows it, its columns in their order. Times are UTC.

    `status` is the worst finding that counts; `plan` a plan's id.
    """

    id: str
    name: str
    procedure: str
    target: str
    system: str
    lab: bool
    who: str
    arn: str | None
    account: str | None
    region: str | None
    started: datetime
    ended: datetime | None
    outcome: str
    status: str | None
    verdict: str | None
    parameters: Json
    plan: str | None
    path: Path

    @classmethod
    def of(cls, row: Row) -> Self:
        """From its row."""
        return cls(
            **{name: row[name] for name in COLUMNS}
            | {
                "started": datetime.fromisoformat(row["started"]),
                "ended": datetime.fromisoformat(row["ended"]) if row["ended"] else None,
                "parameters": json.loads(row["parameters"] or "{}"),
                "path": paths.records() / row["path"],
            }
        )

    @property
    def page(self) -> Path:
        """The record as one HTML file."""
        return self.path.with_suffix(".html")

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return max(0.0, ((self.ended or datetime.now(UTC)) - self.started).total_seconds())

    def as_dict(self) -> Json:
        """For JSON."""
        return as_iso(asdict(self)) | {"path": str(self.path), "page": str(self.page)}


COLUMNS = tuple(field.name for field in fields(Record))


def row(facts: Mapping[str, Any]) -> Row:
    """The row for the facts of a run, masked."""
    said = redaction.mask_tree({name: facts.get(name) for name in COLUMNS})
    return {
        **said,
        "lab": bool(said["lab"]),
        "parameters": json.dumps(said["parameters"] or {}, sort_keys=True, default=str),
        "plan": (said["plan"] or {}).get("id"),
        "path": place(facts["id"]).as_posix(),
    }


def new_id(now: datetime | None = None) -> str:
    """An id that sorts by time: `20261122T160102Z-<6 hex>`."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def new_ids(number: int) -> list[str]:
    """So many at once: in one second two of a thousand would be the same, now and then."""
    found: dict[str, None] = {}
    while len(found) < number:
        found[new_id()] = None
    return [*found]


def place(id: str) -> Path:
    """Where a record's file is, relative to the records folder: `<year>/<month>/<id>.ipynb`.

    Raises OpsError for what is a path: no file says where we write or remove.
    """
    if Path(id).name != id:
        raise OpsError(f"{id!r} is no id of a record, so no file of it is read or written.")
    return Path(id[:4], id[4:6], f"{id}.ipynb")
