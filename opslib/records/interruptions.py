"""Runs whose process is gone: closed as interrupted, with all that they had."""

import contextlib
import hashlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opslib.core import OpsError, paths, removal
from opslib.records import copies, index, records, sealing
from opslib.records.facts import host, is_gone, lease, moment
from opslib.records.outcomes import Ending, journal
from opslib.records.records import Row
from opslib.records.sittings import cells

BEAT_SECONDS = 30.0
_LEASE_SECONDS = 4 * BEAT_SECONDS  # without a sign of life, on a machine that we cannot look at


def close_abandoned() -> None:
    """Seal each run that is still marked as running and whose process is not there any more."""
    for row in index.rows(outcome=records.RUNNING):
        seen = {"heartbeat": row["heartbeat"]}  # another process may be faster
        if not _alive(row) and index.update(row["id"], only_if=seen, **lease()):
            if row["host"] == host():
                remove_left(row["pid"], row["pid_started"])
            _close(row)


def _alive(row: Row) -> bool:
    if row["host"] == host():
        return row["pid_started"] is not None and not is_gone(row)
    silent = datetime.now(UTC) - datetime.fromisoformat(row["heartbeat"])
    return silent.total_seconds() < _LEASE_SECONDS


def _close(row: Row) -> None:
    path = paths.records() / row["path"]
    try:
        copies.fetch_missing(path)  # another machine's; what its run told since is not here
        notebook = sealing.read(path)
    except (
        OpsError,
        OSError,
        ValueError,
    ):  # its file is gone or was made unreadable: `verify` will say so
        if index.withdraw(row["id"]):
            return
        verdict = {"outcome": "interrupted", "verdict": "Its file is missing."}
        index.seal(row | verdict | {"ended": moment(), "page": ""})
        return
    draft = sealing.Draft(notebook, dict(notebook["metadata"]["opslib"]) | {"id": row["id"]})
    open_still = draft.journal.exists() or draft.ledger.exists()  # gone when its run is sealed
    before = row["hash"] or (_page_is_sealed(draft.path) and not open_still)
    if draft.facts.get("ended"):  # it was killed between the last save and the seal
        # told first: whoever is killed here leaves it to be told once more
        index.enter("again" if before else "late", row["id"], said=draft.facts["ended"])
        sealing.seal(draft, notebook)
        return
    told = cells.latest(journal(draft.journal))
    reached = f"in cell {_reached(notebook)}"
    if draft.facts.get("sitting"):
        cells.refreshed(notebook, draft.path, draft.facts["sitting"]["file"])
        reached = f"after {len(cells.runs_of(notebook))} cells were run"
    why = f"The process that ran it is gone: it was killed {reached}, or ended "
    ending = Ending("interrupted", why + "where nothing could be written.")
    draft.conclude(ending, told)
    draft.facts["ended"] = _last_sign(draft, row)
    for event in told:  # it ended by itself, and had no room to say so elsewhere
        if event.get("event") == "ended":
            draft.facts |= {name: event[name] for name in ("outcome", "verdict", "ended")}
            draft.facts["incomplete"] = "Its end could not be written: what it printed may lack."
    if before:
        index.enter("again", row["id"], said=draft.facts["ended"])
    sealing.keep(draft)


def _page_is_sealed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return sealing.claim(path.with_suffix(".html").read_bytes()) is not None
    return False


def _reached(notebook: Any) -> str:
    said = [cell["metadata"].get("papermill", {}) for cell in notebook["cells"]]
    running = [number for number, cell in enumerate(said, 1) if cell.get("start_time")]
    return f"{max(running, default=1)} of {len(said)}"


def _last_sign(draft: Any, row: Row) -> str:
    """When it was last seen at work."""
    times = [datetime.fromisoformat(row[name]).timestamp() for name in ("started", "heartbeat")]
    for file in (draft.path, draft.journal, draft.ledger):
        with contextlib.suppress(OSError):
            times.append(file.stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC).isoformat(timespec="milliseconds")


def kernel_folders() -> str:
    """Where kernels have their folders: a short path, as sockets want it."""
    return "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()


def mark_of(pid: int, started: str | None) -> str:
    """The token in the mark of a process's folders: pids are used again, this is not."""
    return hashlib.sha256(f"{host()} {int(pid)} {started}".encode()).hexdigest()[:32]


def remove_left(pid: int, started: str | None) -> None:
    """The folders of a process of ours that was killed; nothing else that goes by such a name."""
    for folder in Path(kernel_folders()).glob(f"opslib-{int(pid)}-*"):
        removal.remove(folder, mark_of(pid, started))
