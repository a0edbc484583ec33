"""The proof that records are what they were when they were sealed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opslib.core import paths
from opslib.core.errors import OpsError
from opslib.records import copies, files, records
from opslib.records.records import Row

_MOMENT_SECONDS = 30


def problems() -> Iterator[tuple[str, str]]:
    """(record id, what is wrong), over the index, its chain, the files, and files that no row knows."""
    from opslib.records import index

    rows = index.rows()
    sealed = sorted((row for row in rows if row["seq"] is not None), key=lambda row: row["seq"])
    yield from _chain(sealed)
    for row in sealed:
        yield from _file(row)
    yield from _strangers({row["id"] for row in rows})


def _chain(sealed: list[Row]) -> Iterator[tuple[str, str]]:
    from opslib.records import index

    number, previous = 0, ""
    for row in sealed:
        if row["seq"] != number + 1:
            yield (
                row["id"],
                f"the chain is broken before it: {_rows(row['seq'] - number - 1)} missing from the index",
            )
        elif row["previous"] != previous:
            yield (
                row["id"],
                "the chain is broken before it: it was sealed after a row that is not the one there now",
            )
        if index.row_hash(row) != row["hash"]:
            yield row["id"], "its row in the index was altered"
        number, previous = row["seq"], row["hash"]
    last, digest = index.last_seal()
    if last > number:
        yield (
            "(last)",
            f"the chain is cut off: {_rows(last - number)} missing at the end of the index",
        )
    elif digest != previous:
        yield "(last)", "the end of the chain is not the last row's hash"


def _rows(count: int) -> str:
    return "a row is" if count == 1 else f"{count} rows are"


def _file(row: Row) -> Iterator[tuple[str, str]]:
    path = paths.records() / row["path"]
    try:
        digest = copies.sha256(path)
    except (OSError, OpsError) as exc:
        why = files.reason(exc) if isinstance(exc, OSError) else str(exc)
        yield row["id"], f"its file {row['path']} is missing or cannot be read ({why})"
        return
    if digest != row["sha256"]:
        yield row["id"], f"its file {row['path']} was altered"
        return
    yield from _spilled(row["id"], path)


def _spilled(id: str, path: Path) -> Iterator[tuple[str, str]]:
    """The files beside a record are named with their hashes in it."""
    copies.fetch_missing(path)
    said = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("opslib", {})
    for beside in said.get("spilled", ()):
        try:
            digest = copies.sha256(path.parent / beside["file"])
        except (OSError, OpsError):
            yield id, f"{beside['file']} beside it is missing"
        else:
            if digest != beside["sha256"]:
                yield id, f"{beside['file']} beside it was altered"


def _strangers(known: set[str]) -> Iterator[tuple[str, str]]:
    for path in sorted(paths.records().glob("[0-9]*/[0-9]*/*.ipynb")):
        if path.stem not in known and not _just_begun(path):
            yield path.stem, f"{records.place(path.stem)} has no row in the index"


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


@dataclass(frozen=True)
class Problem:
    """Something that `verify` found wrong with a record."""

    id: str
    problem: str


def verify() -> list[Problem]:
    """What was altered, is missing, or breaks the chain of the index; empty when everything is as it was sealed."""
    from opslib.records import interruptions, verification

    interruptions.close_abandoned()
    return [Problem(id, text) for id, text in verification.problems()]
