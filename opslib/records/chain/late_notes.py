"""Notes that are added to a record from outside: entries of the chain, since a record is sealed."""

from contextlib import suppress

from opslib.core import Json, OpsError, redaction
from opslib.core.checks.notes import Note
from opslib.records import index
from opslib.records.texts import words

KIND = "note"


def add(id: str, note: Note) -> str:
    """Chain a note to a record; what was done. Raises OpsError."""
    said = redaction.mask(f"{note.kind}: {note.text}")
    index.enter(KIND, id, said=said)
    with suppress(OpsError):  # it is kept, and only not searchable
        words.add(id, said)
    return f"Kept with record {id}: {note}"


def of(id: str) -> list[Json]:
    """Of a record, as the notes that it holds itself, with who wrote them. Raises OpsError."""
    return [
        {"at": each["at"], "kind": kind, "text": text, "who": each["who"]}
        for each in index.entries(kind=KIND, id=id)
        for kind, _, text in [each["said"].partition(": ")]
    ]
