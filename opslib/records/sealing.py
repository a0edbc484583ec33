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


def keep(draft: Draft, notebook: Any, facts: dict[str, Any]) -> tuple[Any, str]:
    """Write, seal, make the page: the masked notebook, and what went wrong with what was kept."""
    if _sealed_by_another(facts["id"]):
        return drafts.serialised(notebook, facts)[0], (
            f"Record {facts['id']} was closed as interrupted while this run went on, "
            "so its end is not in it."
        )
    masked, failure = draft.finish(notebook, facts)
    trouble = f"its record could not be kept whole: {files.reason(failure)}." if failure else ""
    try:
        seal(draft, facts)
    except (OpsError, OSError) as exc:
        trouble = f"its record could not be sealed: {exc}"
    with contextlib.suppress(OSError):  # a page can be made again: opslib records page
        write(masked, draft.path.with_suffix(".html"))
    try:
        copies.push(draft.path)
    except OpsError as exc:
        trouble = f"its record is on this disk only: {exc}"
    return masked, _told(draft, facts, trouble) if trouble else ""


def seal(draft: Draft, facts: dict[str, Any]) -> None:
    """Chain the row of a finished file to those before. Raises OpsError, OSError."""
    from opslib.records import index

    index.seal(records.row(facts) | {"sha256": files.sha256(draft.path)})
    draft.journal.unlink(missing_ok=True)


def _sealed_by_another(id: str) -> bool:
    """Was this run taken for dead? Its sealed file is then left as it is."""
    from opslib.records import index

    try:
        return any(row["seq"] is not None for row in index.rows(id=id))
    except OpsError:
        return False


def _told(draft: Draft, facts: dict[str, Any], trouble: str) -> str:
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
    write(Draft(record.id).read(), record.page)
    copies.push(record.path)
    return record.page
