"""What a run did, as events: kept in memory, and sent to the engine when one is listening."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from datetime import datetime
from typing import Any

from opslib.core.tables import Json

FD = "OPSLIB_JOURNAL_FD"  # the engine's pipe, inherited by the kernel


class Journal:
    """Events of one notebook in order. Secrets go through the pipe only and are never kept."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self._lock = threading.Lock()
        self._fd = _inherited_pipe()

    def write(self, event: str, **details: Any) -> None:
        entry = {"event": event, **details}
        with self._lock:
            if event != "secret":
                self.events.append(entry)
            if self._fd is not None:
                self._send((json.dumps(entry, default=str) + "\n").encode())

    def call(
        self, service: str, operation: str, started: datetime, ticks: float, **more: Any
    ) -> None:
        """A call that ended now. `started` and `ticks` (time.monotonic) are of its beginning."""
        said: Json = {"service": service, "operation": operation, "started": started.isoformat()}
        said["seconds"] = round(time.monotonic() - ticks, 4)
        self.write("call", **said, **{"request_id": None, "retries": 0, "error": None, **more})

    def _send(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._fd, line) :]  # type: ignore[arg-type]
        except OSError:  # the engine is gone; the notebook goes on
            self._fd = None

    @property
    def kept(self) -> bool:
        """Is an engine keeping this run as a record?"""
        return self._fd is not None


def _inherited_pipe() -> int | None:
    """The engine's end of the journal.

    None without an engine, or in a child that inherited only the variable.
    """
    number = os.environ.get(FD, "")
    try:
        return (
            int(number)
            if number.isdigit() and stat.S_ISFIFO(os.fstat(int(number)).st_mode)
            else None
        )
    except OSError:
        return None
