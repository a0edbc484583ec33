"""A single file, as somebody attached it to a post-mortem: is it what was sealed?"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from opslib.core import UsageError
from opslib.records import files, index, sealing, verification
from opslib.records.records import ID, Row


@dataclass(frozen=True)
class Attached:
    """`problem` is empty when the file is what was sealed as that `number` of the chain."""

    file: str
    id: str
    number: int | None
    what: str
    problem: str


def check(file: Path) -> Attached:
    """The record of a page, notebook or spilled file, wherever it lies now. Raises UsageError."""
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise UsageError(f"{file} cannot be read: {files.reason(exc)}.") from exc
    digest = hashlib.sha256(content).hexdigest()
    rows, entries, end = index.snapshot()
    rows = [row for row in rows if row["seq"] is not None]
    again = {"page": "page, made again"}
    covered = {each["sha256"]: (each, again.get(each["kind"], "summary")) for each in entries}
    for name, what in (("page", "page"), ("sha256", "notebook")):
        covered |= {row[name]: (row, what) for row in rows}
    if digest in covered:
        of, what = covered[digest]
        return Attached(str(file), of["id"], of["seq"], what, _unproved(rows + entries, end))
    id = _said_id(file, content)
    of_it = [row for row in rows if row["id"] == id]
    if not of_it:
        known = f"it says it is of record {id}, which" if id else "its record"
        return Attached(str(file), id, None, "", f"{known} is not in the chain of this index")
    [row] = of_it
    why = f"it is not what was sealed as number {row['seq']}: it was altered"
    if row["page"] is None and file.suffix == ".html" and id not in {e["id"] for e in entries}:
        why = "its record was kept before pages were sealed, so nothing proves the page"
    return Attached(str(file), id, row["seq"], "", why)


def _unproved(chained: list[Row], end: tuple[int, str]) -> str:
    """Why a hash that is in the index proves nothing."""
    broken = list(verification.chain(sorted(chained, key=lambda each: each["seq"]), end))
    return "the chain itself is broken: opslib records verify" if broken else ""


def _said_id(file: Path, content: bytes) -> str:
    """The record that a file says it is of."""
    claimed = sealing.claim(content)
    if claimed:
        return claimed[0]
    try:
        return str(json.loads(content)["metadata"]["opslib"]["id"])
    except (ValueError, KeyError, TypeError):
        found = ID.search(file.name)
        return found[0] if found else ""
