"""Notes: what somebody thought at the time, kept though it turns out to be wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime

from opslib.core import journal
from opslib.core.errors import UsageError, require_known
from opslib.core.tables import escaped, safe

KINDS = ("saw", "think", "ruled out", "decided", "told")


@dataclass(frozen=True)
class Note:
    """`at`: UTC, ISO."""

    text: str
    kind: str
    at: str

    def __str__(self) -> str:
        return f"{self.at[11:16]} UTC, {self.kind}: {self.text}"

    def __repr__(self) -> str:
        return safe(self)

    def _repr_html_(self) -> str:
        return f"<p>{escaped(self)}</p>"


def noted(text: str, kind: str = "saw") -> Note:
    """A note of now. Raises UsageError: it is empty, or of no kind that is known."""
    require_known("kind of note", kind, KINDS)
    if not text.strip():
        raise UsageError("The note is empty, so nothing was kept.")
    return Note(text.strip(), kind, datetime.now(UTC).isoformat(timespec="seconds"))


def note(text: str, kind: str = "saw") -> Note:
    """Keep what you saw, think, ruled out, decided or told, with its time, in this run's record.

    Raises UsageError, also before `connect`: then nothing keeps it.
    """
    if journal.current is None:
        raise UsageError("Nothing is connected yet, so nothing keeps a note. Connect first.")
    said = noted(text, kind)
    journal.current.write("note", **vars(said))
    return said
