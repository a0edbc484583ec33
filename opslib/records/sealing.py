"""The file of a record: saved now and then while its run is under way, sealed at its end, its page.

It is masked and whole each time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib.core import Json, OpsError, paths, redaction
from opslib.pages.pages import render
from opslib.records import copies, files, outcomes, records
from opslib.records.outcomes import Event
from opslib.records.outputs import Outputs
from opslib.records.records import Record

_EVERY_SECONDS = 1.0
_SHARE = 0.03  # of the time may go into saving


class Draft:
    """A notebook and its facts in a file, what is spilled beside it, and its journal.

    The journal goes when the record is whole.
    """

    def __init__(self, notebook: Any, facts: Json) -> None:
        self.notebook, self.facts = notebook, facts
        redaction.register_typed(facts.get("parameters") or {})
        self.path = paths.records() / records.place(facts["id"])
        self.journal = self.path.with_suffix(".journal.jsonl")
        self.outputs = Outputs(self.path.with_suffix(".spill"))
        self.saved_at = self._next = 0.0
        self._changed = False

    def masked(self, **more: Any) -> Any:
        """The notebook as it may be kept, with the facts in its metadata."""
        import nbformat

        metadata = {**self.notebook["metadata"], "opslib": self.facts | more}
        return nbformat.from_dict(redaction.mask_tree({**self.notebook, "metadata": metadata}))

    def begin(self) -> Any:
        """Make the file; the masked notebook. Raises OpsError when records cannot be kept."""
        files.require_writable(self.path.parent)
        masked = self.masked()
        try:
            self._put(masked)
            copies.push(self.path)
        except OSError as exc:
            raise files.unwritable(self.path.parent, exc) from exc
        return masked

    def save_soon(self, told: Sequence[Event], *, changed: bool) -> None:
        """Save what has changed, when the last save is long enough ago.

        When it cannot be, the run goes on.
        """
        self._changed |= changed
        started = time.monotonic()
        if not self._changed or started < self._next:
            return
        with contextlib.suppress(OSError):  # perhaps there is room again at the end
            self.outputs.save()
            self._put(self.masked(**outcomes.add_up(told)))
            self._changed = False
        ended = time.monotonic()
        self._next = ended + max(_EVERY_SECONDS, (ended - started) / _SHARE)

    def finish(self) -> OSError | None:
        """The last save, on the disk when this returns; what went wrong.

        The notebook is now masked.

        When there is no room for outputs, what was found and done is kept without them, and the
        file says so; when there is no room for that either, the file stays as it was last saved.
        """
        trouble = None
        try:
            self.outputs.save(everything=True)
        except OSError as exc:
            trouble = exc
            self.outputs.name_lost(self.notebook["cells"], files.reason(exc))
        with contextlib.suppress(OSError):
            self.facts["spilled"] = self.outputs.listed()
        self.notebook = self.masked()
        try:
            self._put(self.notebook, durable=True)
        except OSError as exc:
            trouble = exc
            self.facts["incomplete"] = f"Outputs were not kept: {files.reason(exc)}."
            bare = self.masked()
            for cell in bare["cells"]:
                if "outputs" in cell:
                    cell["outputs"] = []
            with contextlib.suppress(OSError):
                self._put(bare, durable=True)
        return trouble

    def discard(self) -> None:
        """Nothing was run: leave no file."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.journal.unlink(missing_ok=True)

    def _put(self, masked: Any, *, durable: bool = False) -> None:
        import nbformat

        text = nbformat.v4.nbjson.writes(masked, ensure_ascii=False)
        content = f"{text}\n".encode(errors="backslashreplace")
        files.write_atomically(self.path, content, durable=durable)
        self.saved_at = time.time()


def read(path: Path) -> Any:
    """The notebook in a record's file. Raises OSError, ValueError."""
    import nbformat

    return nbformat.v4.reads(path.read_text(encoding="utf-8"))


def keep(draft: Draft) -> str:
    """Write, seal, make the page; what went wrong with what was kept.

    Its notebook is now masked.
    """
    from opslib.records import index

    taken_for_dead = False
    with contextlib.suppress(OpsError):
        taken_for_dead = index.is_sealed(draft.facts["id"])
    if taken_for_dead:  # its sealed file is left as it is
        draft.notebook = draft.masked()
        return (
            f"Record {draft.facts['id']} was closed as interrupted while this run went on, "
            "so its end is not in it."
        )
    failure = draft.finish()
    trouble = f"its record could not be kept whole: {files.reason(failure)}." if failure else ""
    try:
        seal(draft)
    except (OpsError, OSError) as exc:
        trouble = f"its record could not be sealed: {exc}"
    with contextlib.suppress(OSError):  # a page can be made again: opslib records page
        write(draft.notebook, draft.path.with_suffix(".html"))
    try:
        copies.push(draft.path)
    except OpsError as exc:
        trouble = f"its record is on this disk only: {exc}"
    return trouble and _told(draft, trouble)


def seal(draft: Draft) -> None:
    """Chain the row of a finished file to those before. Raises OpsError, OSError."""
    from opslib.records import index

    index.seal(records.row(draft.facts) | {"sha256": files.sha256(draft.path)})
    draft.journal.unlink(missing_ok=True)


def _told(draft: Draft, trouble: str) -> str:
    facts = draft.facts
    without = ", without outputs" if facts.get("incomplete") else ""
    saved = datetime.fromtimestamp(draft.saved_at, UTC)
    return (
        f"The run ended ({facts['outcome']}: {facts['verdict']}), but {trouble} "
        f"Kept: {draft.path}, as of {saved:%H:%M:%S} UTC{without}. "
        "Free some space before the next run."
    )


def write(notebook: Any, path: Path) -> None:
    """Make the page of a record's notebook. Raises OSError."""
    files.write_atomically(path, render(notebook).encode(errors="backslashreplace"))


def make(record: Record) -> Path:
    """Make the page of a record again. Raises OpsError, OSError."""
    copies.fetch_missing(record.path)
    write(read(record.path), record.page)
    copies.push(record.path)
    return record.page
