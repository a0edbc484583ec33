"""The file of a record while its run is under way: saved now and then, masked and whole each time."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from opslib.core import paths, redaction
from opslib.records import copies, files, records
from opslib.records.outputs import Outputs

_EVERY_SECONDS = 1.0
_SHARE = 0.1  # of the time may go into saving


class Draft:
    """A record's file, what is spilled beside it, and its journal, which goes when the record is whole."""

    def __init__(self, id: str) -> None:
        self.path = paths.records() / records.place(id)
        self.journal = self.path.with_suffix(".journal.jsonl")
        self.outputs = Outputs(self.path.with_suffix(".spill"))
        self.saved_at = 0.0
        self._next = 0.0
        self._changed = False

    def begin(self, notebook: Any, facts: dict[str, Any]) -> Any:
        """Make the file; the masked notebook. Raises OpsError when records cannot be kept, before anything happens."""
        files.require_writable(self.path.parent)
        masked, content = serialised(notebook, facts)
        try:
            self._put(content)
            copies.push(self.path)
        except OSError as exc:
            raise files.unwritable(self.path.parent, exc) from exc
        return masked

    def save_soon(self, notebook: Any, facts: dict[str, Any], *, changed: bool) -> None:
        """Save what has changed, when the last save is long enough ago. When it cannot be, the run goes on."""
        self._changed |= changed
        if not self._changed or time.monotonic() < self._next:
            return
        started = time.monotonic()
        try:
            self.outputs.save()
            self._put(serialised(notebook, facts)[1])
            self._changed = False
        except OSError:  # perhaps there is room again at the end; if not, the end says so
            pass
        took = time.monotonic() - started
        self._next = time.monotonic() + max(_EVERY_SECONDS, took / _SHARE)

    def finish(self, notebook: Any, facts: dict[str, Any]) -> tuple[Any, OSError | None]:
        """The last save, on the disk when this returns: the masked notebook, and what went wrong.

        When there is no room for outputs, what was found and done is kept without them, and the file says so;
        when there is no room for that either, the file stays as it was last saved.
        """
        trouble = None
        try:
            self.outputs.save(everything=True)
            facts["spilled"] = self.outputs.listed()
        except OSError as exc:
            trouble = exc
        masked, content = serialised(notebook, facts)
        try:
            self._put(content, durable=True)
        except OSError as exc:
            trouble = exc
            facts["incomplete"] = f"Outputs were not kept: {files.reason(exc)}."
            with contextlib.suppress(OSError):
                self._put(serialised(_without_outputs(notebook), facts)[1], durable=True)
        return masked, trouble

    def read(self) -> Any:
        """The notebook as it was last saved. Raises OSError, ValueError."""
        import nbformat

        return nbformat.v4.reads(self.path.read_text(encoding="utf-8"))

    def discard(self) -> None:
        """Nothing was run: leave no file."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.journal.unlink(missing_ok=True)

    def _put(self, content: bytes, *, durable: bool = False) -> None:
        files.write_atomically(self.path, content, durable=durable)
        self.saved_at = time.time()


def serialised(notebook: Any, facts: dict[str, Any]) -> tuple[Any, bytes]:
    """The masked notebook with the facts in its metadata, and its JSON."""
    import nbformat

    metadata = {**notebook["metadata"], "opslib": facts}
    masked = nbformat.from_dict(redaction.mask_tree({**notebook, "metadata": metadata}))
    text = nbformat.v4.nbjson.writes(masked, ensure_ascii=False)
    return masked, f"{text}\n".encode(errors="replace")


def _without_outputs(notebook: Any) -> Any:
    bare = [cell | {"outputs": []} if "outputs" in cell else cell for cell in notebook["cells"]]
    return {**notebook, "cells": bare}
