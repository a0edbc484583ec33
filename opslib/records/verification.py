"""The proof that records are what they were when they were sealed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opslib.core import OpsError, paths
from opslib.records import copies, files, records
from opslib.records.records import Row

_MOMENT_SECONDS = 30


@dataclass(frozen=True)
class Problem:
    """Something that `verify` found wrong with a record."""

    id: str
    problem: str


def verify() -> list[Problem]:
    """What was altered, is missing, or breaks the index's chain; empty when all is as it was
    sealed.
    """
    from opslib.records import index, interruptions

    interruptions.close_abandoned()
    rows = index.rows()
    sealed = sorted((row for row in rows if row["seq"] is not None), key=lambda row: row["seq"])
    files = [problem for row in sealed for problem in _file(row)]
    return [*_chain(sealed), *files, *_strangers({row["id"] for row in rows})]


def _chain(sealed: list[Row]) -> Iterator[Problem]:
    from opslib.records import index

    number, previous, broken = 0, "", "the chain is broken before it: "
    for row in sealed:
        if row["seq"] != number + 1:
            missing = _rows(row["seq"] - number - 1)
            yield Problem(row["id"], f"{broken}{missing} missing from the index")
        elif row["previous"] != previous:
            seen = "it was sealed after a row that is not the one there now"
            yield Problem(row["id"], broken + seen)
        if index.row_hash(row) != row["hash"]:
            yield Problem(row["id"], "its row in the index was altered")
        number, previous = row["seq"], row["hash"]
    last, digest = index.last_seal()
    if last > number:
        missing = _rows(last - number)
        yield Problem("(last)", f"the chain is cut off: {missing} missing at the end of the index")
    elif digest != previous:
        yield Problem("(last)", "the end of the chain is not the last row's hash")


def _rows(count: int) -> str:
    return "a row is" if count == 1 else f"{count} rows are"


def _file(row: Row) -> Iterator[Problem]:
    """The file, and those beside it, which are named with their hashes in it."""
    path = paths.records() / row["path"]
    try:
        digest = copies.sha256(path)
    except (OSError, OpsError) as exc:
        why = files.reason(exc) if isinstance(exc, OSError) else str(exc)
        yield Problem(row["id"], f"its file {row['path']} is missing or cannot be read ({why})")
        return
    if digest != row["sha256"]:
        yield Problem(row["id"], f"its file {row['path']} was altered")
        return
    copies.fetch_missing(path)
    said = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("opslib", {})
    for beside in said.get("spilled", ()):
        name = beside["file"]
        try:
            if copies.sha256(path.parent / name) != beside["sha256"]:
                yield Problem(row["id"], f"{name} beside it was altered")
        except (OSError, OpsError):
            yield Problem(row["id"], f"{name} beside it is missing")


def _strangers(known: set[str]) -> Iterator[Problem]:
    for path in sorted(paths.records().glob("[0-9]*/[0-9]*/*.ipynb")):
        if path.stem not in known and not _just_begun(path):
            yield Problem(path.stem, f"{records.place(path.stem)} has no row in the index")


def _just_begun(path: Path) -> bool:
    """A run makes its file a moment before its row."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))["metadata"]["opslib"]
        return (
            facts["outcome"] == records.RUNNING
            and time.time() - path.stat().st_mtime < _MOMENT_SECONDS
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
