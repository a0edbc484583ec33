"""The engine's end of a run's journal: events read from the kernel's pipe, kept on disk as they come."""

from __future__ import annotations

import json
import os
import select
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from opslib import redaction

Event = dict[str, Any]


class Events:
    """What the events of a run add up to."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.connected: Event = {}
        self.calls: list[Event] = []
        self.findings: list[Event] = []
        self.plan: Event | None = None
        self.approval: Event | None = None
        self.steps: list[Event] = []
        self.refused = ""
        self.verdict: Event | None = None
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take one event in. A kind that is not known is left out."""
        said = {k: v for k, v in event.items() if k != "event"}
        match event.get("event"):
            case "connected":
                self.connected = said
            case "call":
                self.calls.append(said)
            case "findings":
                self.findings.extend(said.get("findings") or ())
            case "plan":
                self.plan = said.get("plan")
            case "applying":
                self.approval = said
            case "step":
                self._step(said)
            case "refused":
                self.refused = str(said.get("message", ""))
            case "verdict":
                self.verdict = said

    def _step(self, said: Event) -> None:
        """The last state of each step of each plan: started, applied or failed."""
        said["plan"] = (self.approval or {}).get("plan")
        kept = [s for s in self.steps if (s["plan"], s.get("number")) != (said["plan"], said.get("number"))]
        self.steps = [*kept, said]

    @property
    def applied(self) -> list[Event]:
        return [step for step in self.steps if step.get("state") == "applied"]

    @property
    def begun(self) -> bool:
        """Was a change started? Then things may have changed, whatever came after."""
        return bool(self.steps)

    def as_metadata(self) -> dict[str, Any]:
        """For the record's file."""
        return {
            "account": self.connected.get("account"),
            "region": self.connected.get("region"),
            "arn": self.connected.get("arn"),
            "production": bool(self.connected.get("production")),
            "calls": self.calls,
            "findings": self.findings,
            "plan": self.plan,
            "approval": self.approval,
            "steps": self.steps,
        }


class JournalPipe:
    """A pipe that the kernel inherits. Secrets in it are registered for masking and go no further."""

    def __init__(self, file: Path, tell: Callable[[str], None] = lambda line: None) -> None:
        self.events = Events()
        self.secrets = 0  # how many values were registered; when it grows, mask again
        self._file, self._tell = file, tell
        self._rest = b""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._ended = False
        self._read, self.write_end = os.pipe()
        os.set_blocking(self._read, False)
        self._thread = threading.Thread(target=self._follow, name="opslib-journal", daemon=True)

    def start(self) -> None:
        """Call when the kernel has its end: ours of it is closed."""
        os.close(self.write_end)
        self.write_end = -1
        self._thread.start()

    def _follow(self) -> None:
        while not (self._stop.is_set() or self._ended):
            if select.select([self._read], [], [], 0.2)[0]:
                self.pump()

    def pump(self) -> None:
        """Take in everything that is in the pipe now. What was written before this call is in when it returns."""
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
        events = [event for event in map(_parsed, lines) if event is not None]
        for event in events:
            if event.get("event") == "secret":
                redaction.register(event.get("value"), str(event.get("label", "")))
                self.secrets += 1
        kept = [event for event in events if event.get("event") != "secret"]
        for event in kept:
            self.events.add(event)
            if event.get("event") == "progress":
                self._tell(redaction.mask(str(event.get("message", ""))))
        self._keep(kept)

    def _keep(self, events: list[Event]) -> None:
        """Append to the file; what is there when the machine goes down is what was done."""
        if not events:
            return
        lines = "".join(json.dumps(redaction.mask_tree(event)) + "\n" for event in events)
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(lines)
        except OSError:  # a full disk shows when the record itself is saved
            return

    def finish(self) -> None:
        """Take in what is left and close. The kernel has ended; a child of it may still hold its end open."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1
        self.pump()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._read)


def _parsed(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def read(file: Path) -> Events:
    """The events kept in a file by a run that was killed; a last, torn line is left out."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError:
        return Events()
    return Events(event for event in map(_parsed, lines) if event is not None)
