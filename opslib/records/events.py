"""The events of a run's journal, and what they add up to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]
_KEPT = ("calls", "findings", "plan", "approval", "steps")


@dataclass
class Events:
    """What the events of a run add up to."""

    connected: Event = field(default_factory=dict)
    calls: list[Event] = field(default_factory=list)
    findings: list[Event] = field(default_factory=list)
    plan: Event | None = None
    approval: Event | None = None
    steps: list[Event] = field(default_factory=list)  # the last state of each: started, applied …
    refused: str = ""
    sentence: str = ""  # the verdict's

    @classmethod
    def of(cls, told: Iterable[Event]) -> Events:
        events = cls()
        for event in told:
            events.add(event)
        return events

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
                said["plan"] = (self.approval or {}).get("plan")
                step = (said["plan"], said.get("number"))
                others = [s for s in self.steps if (s["plan"], s.get("number")) != step]
                self.steps = [*others, said]
            case "refused":
                self.refused = str(said.get("message", ""))
            case "verdict":
                self.sentence = str(said.get("sentence") or "")

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
            **{name: self.connected.get(name) for name in ("account", "region", "arn")},
            "production": bool(self.connected.get("production")),
            **{name: getattr(self, name) for name in _KEPT},
        }


def parsed(lines: Iterable[bytes]) -> list[Event]:
    """The events in lines of JSON; one that is torn is left out."""
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [event for event in found if isinstance(event, dict)]


def read(file: Path) -> Events:
    """The events kept in a file by a run that was killed."""
    try:
        return Events.of(parsed(file.read_bytes().split(b"\n")))
    except OSError:
        return Events()
