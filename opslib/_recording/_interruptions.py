"""Runs whose process is gone: closed as interrupted, with all that they had."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opslib import records
from opslib._recording import _facts, _kernels, _outcomes
from opslib._recording._journals import read as read_journal
from opslib._recording._outcomes import Ending

if TYPE_CHECKING:
    from opslib._recording._index import Row

BEAT_SECONDS = 30.0
_LEASE_SECONDS = 4 * BEAT_SECONDS  # without a sign of life, on a machine that we cannot look at


def close_abandoned() -> None:
    """Seal each run that is still marked as running and whose process is not there any more."""
    from opslib._recording import _index

    for row in _index.rows(outcome=records.RUNNING):
        if not _alive(row) and _claim(row):
            if row["host"] == _facts.host():
                _kernels.remove_left(row["pid"])
            _close(row)


def _alive(row: Row) -> bool:
    if row["host"] == _facts.host():
        return row["pid_started"] is not None and _facts.process_started(row["pid"]) == row["pid_started"]
    silent = datetime.now(UTC) - datetime.fromisoformat(row["heartbeat"])
    return silent.total_seconds() < _LEASE_SECONDS


def _claim(row: Row) -> bool:
    """Take the row over; False when another process was faster."""
    from opslib._recording import _index

    return _index.update(row["id"], only_if={"heartbeat": row["heartbeat"]}, **_facts.lease())


def _close(row: Row) -> None:
    from opslib._recording import _index, _sealing
    from opslib._recording._drafts import Draft, read

    draft = Draft(row["id"])
    try:
        notebook = read(draft.path)
    except (OSError, ValueError):  # its file is gone or was made unreadable: `verify` will say so
        _index.seal(row | {"outcome": "interrupted", "ended": _facts.moment(), "verdict": "Its file is missing."})
        return
    facts = dict(notebook["metadata"]["opslib"])
    if facts.get("ended"):  # it was killed between the last save and the seal
        _sealing.seal(draft, facts)
        return
    events = read_journal(draft.journal)
    ending = Ending("interrupted", f"The process that ran it was killed in cell {_reached(notebook)}.")
    facts |= events.as_metadata() | _outcomes.conclude(ending, events)
    facts["ended"] = _last_sign(draft, row)
    _sealing.keep(draft, notebook, facts)


def _reached(notebook: Any) -> str:
    running = [i for i, c in enumerate(notebook["cells"], 1) if c["metadata"].get("papermill", {}).get("start_time")]
    return f"{running[-1] if running else 1} of {len(notebook['cells'])}"


def _last_sign(draft: Any, row: Row) -> str:
    """When it was last seen at work."""
    times = [datetime.fromisoformat(row["heartbeat"]).timestamp()]
    for file in (draft.path, draft.journal):
        with contextlib.suppress(OSError):
            times.append(file.stat().st_mtime)
    return datetime.fromtimestamp(max(times), UTC).isoformat(timespec="milliseconds")
