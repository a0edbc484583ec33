"""The sitting of this kernel, and what is kept in it from outside of its cells."""

from pathlib import Path
from typing import Any

from opslib.core import UsageError, journal
from opslib.core.checks.notes import Note
from opslib.records.sittings.sittings import Sitting

_of_this_kernel: list[Sitting] = []


def of(shell: Any, path: Path) -> Sitting:
    """The sitting of this kernel; made at its first `connect`."""
    if not _of_this_kernel:
        _of_this_kernel.append(Sitting(shell, path))
    return _of_this_kernel[0]


def keep_note(note: Note) -> str:
    """In this kernel's sitting, else in the journal; what was kept. Raises OpsError."""
    if _of_this_kernel:
        return _of_this_kernel[0].note(note)
    if journal.current is None:
        raise UsageError("Nothing is connected yet, so nothing keeps a note.")
    journal.current.write("note", **vars(note))
    return str(note)


def record_id() -> str:
    """Of the record that is open in it; empty where there is none."""
    return _of_this_kernel[0].id if _of_this_kernel else ""
