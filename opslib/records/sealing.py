"""The end of a run: its file whole, its row sealed, its page made."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib.core.errors import OpsError
from opslib.pages.pages import render
from opslib.records import copies, drafts, files, records
from opslib.records.drafts import Draft
from opslib.records.records import Record


def keep(draft: Draft) -> str:
    """Write, seal, make the page; what went wrong with what was kept.

    Its notebook is now masked.
    """
    if _sealed_by_another(draft):
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


def _sealed_by_another(draft: Draft) -> bool:
    """Was this run taken for dead? Its sealed file is then left as it is."""
    from opslib.records import index

    with contextlib.suppress(OpsError):
        return index.is_sealed(draft.facts["id"])
    return False


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
    files.write_atomically(path, render(notebook).encode(errors="replace"))


def make(record: Record) -> Path:
    """Make the page of a record again. Raises OpsError, OSError."""
    copies.fetch_missing(record.path)
    write(drafts.read(record.path), record.page)
    copies.push(record.path)
    return record.page
