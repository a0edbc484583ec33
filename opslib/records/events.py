"""TODO."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
        kept = [
            s
            for s in self.steps
            if (s["plan"], s.get("number")) != (said["plan"], said.get("number"))
        ]
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
