"""Records: what every run left behind, a file and a row, and the proof that both are still what they were."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import _paths
from opslib.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from opslib._recording._index import Row

RUNNING = "running"
OUTCOMES = (
    "ok", "attention", "changed", "previewed", "refused", "failed", "timed out", "kernel died", "interrupted",
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """A run as the index knows it. Times are UTC; `status` is the worst finding that counts; `plan` a plan's id."""

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
    parameters: dict[str, Any]
    plan: str | None
    path: Path

    @property
    def page(self) -> Path:
        """The record as one HTML file."""
        return self.path.with_suffix(".html")

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "path": str(self.path),
            "page": str(self.page),
        }


def new_id(now: datetime) -> str:
    """An id that sorts by time: `20261122T160102Z-<6 hex>`."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def place(id: str) -> Path:
    """Where a record's file is, relative to the records folder: `<year>/<month>/<id>.ipynb`."""
    return Path(id[:4], id[4:6], f"{id}.ipynb")


def list_records(target: str | None = None, since: datetime | None = None, outcome: str | None = None) -> list[Record]:
    """The records, newest first. A run whose process is gone is closed as interrupted first."""
    from opslib._recording import _index, _interruptions

    if outcome is not None and outcome not in (*OUTCOMES, RUNNING):
        raise unknown_name("outcome", outcome, (*OUTCOMES, RUNNING))
    _interruptions.close_abandoned()
    narrowed = {k: v for k, v in {"target": target, "outcome": outcome}.items() if v is not None}
    found = [_record(row) for row in _index.rows(**narrowed)]
    return [record for record in reversed(found) if since is None or record.started >= since]


def find(id: str) -> Record:
    """The record of that id, or of its only continuation. Raises UsageError that offers the nearest."""
    from opslib._recording import _index, _interruptions

    _interruptions.close_abandoned()
    rows = _index.rows()
    hits = [row for row in rows if row["id"] == id] or [row for row in rows if id and row["id"].startswith(id)]
    if len(hits) > 1:
        raise UsageError(f"Record {id!r} is one of {len(hits)}: {', '.join(row['id'] for row in hits[:5])} …")
    if not hits:
        recent = [row["id"] for row in rows[-5:]]
        raise unknown_name("record", id, recent, " (list them: opslib records)")
    return _record(hits[0])


def _record(row: Row) -> Record:
    said = {name: row[name] for name in Record.__dataclass_fields__}
    said["started"] = datetime.fromisoformat(row["started"])
    said["ended"] = datetime.fromisoformat(row["ended"]) if row["ended"] else None
    said["parameters"] = json.loads(row["parameters"] or "{}")
    said["path"] = _paths.records() / row["path"]
    return Record(**said)


def details(record: Record) -> dict[str, Any]:
    """What the record's file says of its run: calls, findings, plan, steps, versions. Raises OpsError."""
    from opslib import _copies

    _copies.fetch_missing(record.path)
    try:
        notebook = json.loads(record.path.read_text(encoding="utf-8"))
        return dict(notebook["metadata"]["opslib"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise UsageError(f"The file of record {record.id} cannot be read: {exc}. Look: opslib records verify") from exc


def applied_steps(id: str, target: str | None = None) -> list[dict[str, Any]]:
    """The steps that a run applied, in order, each with `number`, `title`, `undo`, `before`, `after`, `observe`.

    Raises UsageError: no such record, another target's, or it applied nothing.
    """
    record = find(id)
    if target is not None and record.target != target:
        raise UsageError(f"Record {record.id} is of {record.target}, not of {target}.")
    applied = [step for step in details(record).get("steps", ()) if step.get("state") == "applied"]
    if not applied:
        raise UsageError(f"Record {record.id} ({record.name}, {record.outcome}) applied no step.")
    return applied


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def since(text: str, now: datetime | None = None) -> datetime:
    """`30m`, `12h`, `1d`, `2w` ago, or an ISO date or time (UTC unless it says). Raises UsageError."""
    ago = re.fullmatch(r"(\d+)\s*([smhdw])", text.strip())
    if ago:
        return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise UsageError(f"{text!r} is no time. Write 30m, 12h, 1d or 2w (ago), or a date like 2026-11-22.") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Problem:
    """Something that `verify` found wrong with a record."""

    id: str
    problem: str


def verify() -> list[Problem]:
    """What was altered, is missing, or breaks the chain of the index; empty when everything is as it was sealed."""
    from opslib._recording import _interruptions, _verification

    _interruptions.close_abandoned()
    return [Problem(id, text) for id, text in _verification.problems()]
