"""Notes that are added to a record from outside: entries of the chain, since a record is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from opslib.core import Json, OpsError, redaction
from opslib.core.checks.notes import Note

KIND = "note"


def add(id: str, note: Note) -> str:
    """Chain a note to a record; what was done. Raises OpsError."""
    from opslib.records import index
    from opslib.records.texts import words

    said = redaction.mask(f"{note.kind}: {note.text}")
    index.enter(KIND, id, said=said)
    with suppress(OpsError):  # it is kept, and only not searchable
        words.add(id, said)
    return f"Kept with record {id}: {note}"


def of(id: str, entries: Sequence[Any]) -> list[Json]:
    """Of a record, as the notes that it holds itself, with who wrote them."""
    found = [each for each in entries if each["kind"] == KIND and each["id"] == id]
    return [
        {"at": each["at"], "kind": kind, "text": text, "who": each["who"]}
        for each in found
        for kind, _, text in [each["said"].partition(": ")]
    ]
