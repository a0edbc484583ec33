"""What a run did, as events: kept in memory, and sent to the engine when one is listening.

What a change does is also written down where it is done, before and after each step.
"""

import errno
import json
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opslib.core import redaction
from opslib.core.errors import OpsError
from opslib.core.tables import Json

FD = "OPSLIB_JOURNAL_FD"  # the engine's pipe, inherited by the kernel
HERE = "OPSLIB_HERE"  # what runs in this kernel: the entry, and its procedure
STEPS = "OPSLIB_STEPS"  # the file beside the record that says what a change did
_ROOM = 16_384  # bytes; held for the end of a step before it is begun


class Ledger:
    """A file of events, masked, each on the disk when `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path, self._end = path, -1

    def append(self, entry: Json, room: int = 0) -> None:
        """Raises OSError, also when the file was taken away. `room`: bytes to hold for the next."""
        plain = json.loads(json.dumps(entry, default=str))
        line = (json.dumps(redaction.mask_tree(plain)) + "\n").encode()
        new = self._end < 0
        file = os.open(self.path, os.O_RDWR | (os.O_CREAT if new else 0), 0o644)
        try:
            if new:
                with self.path.open("rb") as before:
                    self._end = len(before.read().rstrip(b"\0"))
            _hold(file, self._end, len(line) + room)
            done = 0
            while done < len(line):
                done += os.pwrite(file, line[done:], self._end + done)
            self._end += done
            if not room:
                os.ftruncate(file, self._end)
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            _sync_folder(self.path.parent)


def _hold(file: int, at: int, size: int) -> None:
    """Take that much of the disk now. Raises OSError when there is no room."""
    try:
        os.posix_fallocate(file, at, size)
    except AttributeError:  # not on this system
        return
    except OSError as exc:
        if exc.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system can
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class Journal:
    """Events of one notebook in order. Secrets go through the pipe only and are never kept."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self._lock = threading.Lock()
        self._fd = _inherited_pipe()
        self.kept = self._fd is not None  # does an engine keep this run as a record?
        place = os.environ.get(STEPS) if self.kept else None
        self.ledger = Ledger(Path(place)) if place else None
        # Told each event: a sitting keeps itself, where no engine does.
        self.hears: Callable[[Json], None] | None = None

    def write(self, event: str, **details: Any) -> None:
        entry = {"event": event, **details}
        with self._lock:
            if event != "secret":
                self.events.append(entry)
            if self._fd is not None:
                self._send((json.dumps(entry, default=str) + "\n").encode())
        if self.hears is not None and event != "secret":
            self.hears(entry)

    def write_down(self, event: str, *, room: bool = False, **details: Any) -> None:
        """`write` what a change does, on the disk when this returns.

        `room`: hold some for the next, which says how this ended.
        Raises OpsError when nobody keeps it: then no more may be done.
        """
        trouble = ""
        if self.ledger is not None:
            try:
                with self._lock:
                    self.ledger.append({"event": event, **details}, _ROOM if room else 0)
            except OSError as exc:
                trouble = f"{self.ledger.path} cannot be written ({exc.strerror or exc})."
        self.write(event, **details)
        if self.kept and self._fd is None:
            trouble = "The process that keeps this run as a record is gone."
        if trouble:
            raise OpsError(trouble)

    def call(self, service: str, operation: str, ticks: float, **more: Any) -> None:
        """A call that ended now. `ticks`: time.monotonic() at its beginning."""
        seconds = time.monotonic() - ticks
        started = datetime.now(UTC) - timedelta(seconds=seconds)
        said: Json = {"service": service, "operation": operation, "started": started.isoformat()}
        said |= {"seconds": round(seconds, 4), "request_id": None, "retries": 0, "error": None}
        self.write("call", **said | more)

    def _send(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._fd, line) :]  # type: ignore[arg-type]
        except OSError:  # the engine is gone; the notebook goes on
            self._fd = None


current: Journal | None = None  # of the newest connection: what a note goes into


def _inherited_pipe() -> int | None:
    """The engine's end of the journal.

    None without an engine, or in a child that inherited only the variable.
    """
    try:
        number = int(os.environ[FD])
        return number if stat.S_ISFIFO(os.fstat(number).st_mode) else None
    except (KeyError, ValueError, OverflowError, OSError):
        return None
