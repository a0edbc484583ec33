"""Notes that are added to a record from outside: entries of the chain, since a record is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opslib.core import Json, redaction
from opslib.core.notes import Note

KIND = "note"


def add(id: str, note: Note) -> str:
    """Chain a note to the record of that id; what was done. Raises UsageError, OpsError."""
    from opslib.records import index, reading

    record = reading.find(id)
    index.enter(KIND, record.id, said=redaction.mask(f"{note.kind}: {note.text}"))
    return f"Kept with record {record.id}: {note}"


def of(id: str, entries: Sequence[Any]) -> list[Json]:
    """Of a record, as the notes that it holds itself, with who wrote them."""
    found = [each for each in entries if each["kind"] == KIND and each["id"] == id]
    return [
        {"at": each["at"], "kind": kind, "text": text, "who": each["who"]}
        for each in found
        for kind, _, text in [each["said"].partition(": ")]
    ]
