"""Events of incidents beside the records, a file each: an index that is lost is made again from
them.

`incidents/<id>/events/<when>-<digest>.json` holds the entry as it was chained, and the name of the
one before: what was altered is seen by its name and its hash, what is missing by the next one.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from opslib.core import Json, OpsError, paths
from opslib.records import copies, files, index
from opslib.records.records import Row

KIND = "incident"
_SAID = ("id", "at", "who", "said")  # whatever its number in a chain is


@dataclass
class Kept:
    """`left`: files that were altered, or cannot be read; `doubts`: by the name of an event."""

    entries: list[Row] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)


def digest(entry: Row) -> str:
    """Of what an event says."""
    said = json.dumps([entry[name] for name in _SAID], ensure_ascii=False)
    return hashlib.sha256(said.encode(errors="backslashreplace")).hexdigest()[:16]


def _file(entry: Row) -> Path:
    when = re.sub(r"\D", "", entry["at"])[:17]  # to the millisecond
    place = Path(copies.EVENTS, str(entry["id"]), "events", f"{when}-{digest(entry)}.json")
    return paths.records() / place


def keep(entries: Iterable[Row]) -> None:
    """Write what is not there yet of the events of one incident, in their order.

    It is in the index all the same: a disk that is full, or a bucket that does not answer, keeps
    nobody from writing something down. The next event writes what was left.
    """
    before = ""
    for entry in entries:
        path = _file(entry)
        if not path.exists():
            content = json.dumps({**entry, "before": before}, ensure_ascii=False, indent=1)
            with suppress(OSError, OpsError):
                path.parent.mkdir(parents=True, exist_ok=True)
                written = content.encode(errors="backslashreplace")
                files.write_atomically(path, written, durable=True)
                copies.push(path)
        before = path.name


def kept(known: set[str]) -> Kept:
    """Those whose digest is not known, in the order in which they were written down."""
    found, names = Kept(), copies.events()
    there = set(names)
    for name in names:
        path = Path(name)
        try:
            entry = json.loads(copies.content(paths.records() / path))
            before = entry.pop("before")
            if name != _file(entry).relative_to(paths.records()).as_posix():
                raise ValueError("it is not what was written under that name")
            if index.row_hash(entry) != entry["hash"] or entry["kind"] != KIND:
                raise ValueError("it is not what was chained")
        except (OSError, ValueError, KeyError, TypeError, OpsError) as exc:
            found.left[name] = f"it was altered or cannot be read: {exc}"
            continue
        if digest(entry) in known:
            continue
        found.entries.append(entry)
        if before and (path.parent / before).as_posix() not in there:
            found.doubts[f"{entry['id']} at {entry['at']}"] = (
                f"the event before it is lost: {before}"
            )
    found.entries.sort(key=lambda entry: (entry["at"], entry["seq"]))
    return found


def digests(entries: Sequence[Json]) -> set[str]:
    return {digest(entry) for entry in entries if entry["kind"] == KIND}
