"""The engine's end of a run's journal: events read from the kernel's pipe, kept on disk as they
come.
"""

import json
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from opslib.core import redaction
from opslib.records.outcomes import Event, parsed, write_down


class Pipe:
    """A pipe of which a process inherits an end, and a thread of ours reads the other."""

    def __init__(self, name: str) -> None:
        self._read, self.write_end = os.pipe()
        self._thread = threading.Thread(target=self._follow, name=name, daemon=True)

    def start(self) -> None:
        """Call when the process has its end: ours of it is closed."""
        self.close()
        self._thread.start()

    def close(self) -> None:
        """Close our end to write on."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def _follow(self) -> None:
        raise NotImplementedError


class JournalPipe(Pipe):
    """A pipe that the kernel inherits.

    Secrets in it are registered for masking and go no further.
    """

    def __init__(self, file: Path, tell: Callable[[str], None]) -> None:
        super().__init__("opslib-journal")
        self.told: list[Event] = []
        self._file, self._tell = file, tell
        self._rest = b""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ended = False
        os.set_blocking(self._read, False)

    def _follow(self) -> None:
        while not (self._stop.is_set() or self._ended):
            if select.select([self._read], [], [], 0.2)[0]:
                self.pump()

    def pump(self) -> None:
        """Take in everything that is in the pipe now.

        What was written before this call is in when it returns.
        """
        with self._lock:
            while not self._ended:
                try:
                    part = os.read(self._read, 1 << 20)
                except BlockingIOError:
                    return
                self._ended = not part
                *lines, self._rest = (self._rest + part).split(b"\n")
                self._take(lines)

    def _take(self, lines: list[bytes]) -> None:
        events = parsed(lines)
        secrets = [event for event in events if event.get("event") == "secret"]
        for event in secrets:
            redaction.register(event.get("value"), str(event.get("label", "")))
        kept = [event for event in events if event not in secrets]
        self.told += kept
        for event in kept:
            if event.get("event") == "progress":
                self._tell(redaction.mask(str(event.get("message", ""))))
        write_down(self._file, *kept)

    def put(self, event: Event) -> None:
        """What the engine itself has to tell, before the kernel does."""
        with self._lock:
            self._take([json.dumps(event).encode()])

    def finish(self) -> None:
        """Take in what is left and close.

        The kernel has ended; a child of it may still hold its end open.
        """
        self.close()
        self.pump()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._read)
