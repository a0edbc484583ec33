"""Records: what every run left behind, a file and a row, and the proof that both are still what they were."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # of the index
RUNNING = "running"
OUTCOMES = (
    "ok",
    "attention",
    "changed",
    "previewed",
    "refused",
    "failed",
    "timed out",
    "kernel died",
    "interrupted",
)


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
