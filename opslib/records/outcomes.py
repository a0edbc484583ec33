"""The true outcome of a run: how it ended, and what its journal says that it found and did."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from opslib.core import SEVERITY, Json

Event = Json
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

    def as_metadata(self) -> Json:
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


def journal(file: Path) -> Events:
    """The events kept in a file by a run that was killed."""
    try:
        return Events.of(parsed(file.read_bytes().split(b"\n")))
    except OSError:
        return Events()


DONE = "done"


@dataclass(frozen=True)
class Ending:
    """How the notebook ended: done, failed, refused, timed out, kernel died or interrupted; and
    why.
    """

    how: str
    why: str = ""


def conclude(ending: Ending, events: Events) -> Json:
    """What a run came to, for its file: its events, and

    `outcome`, `status` (the worst finding that counts), `verdict` (a sentence), and what was
    `changed` and is `next`.
    """
    counted = [f for f in events.findings if f.get("verifies") or not events.begun]
    statuses = [f.get("status", "unknown") for f in counted]
    status = max(statuses, key=lambda s: SEVERITY.get(s, SEVERITY["unknown"]), default="ok")
    bad = [f for f in counted if f.get("status") != "ok"]
    return events.as_metadata() | {
        "outcome": _outcome(ending, events, status),
        "status": status,
        "verdict": _sentence(ending, events, len(counted), len(bad)),
        "changed": [step.get("title") for step in events.applied],
        "next": list(dict.fromkeys(f["next"] for f in bad if f.get("next"))),
    }


def _outcome(ending: Ending, events: Events, status: str) -> str:
    if ending.how != DONE:
        return ending.how
    if events.refused:
        return "refused"
    if events.applied:
        return "changed"
    if events.plan and events.plan.get("steps"):
        return "previewed"
    return "ok" if status == "ok" else "attention"


def _sentence(ending: Ending, events: Events, checks: int, bad: int) -> str:
    if ending.how != DONE or events.refused:
        return " ".join([ending.why or events.refused, *_how_far(events)])
    if events.sentence:
        return events.sentence
    if not checks:
        return "Ran to its end; no check was made."
    return f"{bad} of {checks} checks did not pass." if bad else f"All {checks} checks passed."


def _how_far(events: Events) -> list[str]:
    """Of a change that was begun: what was done, and what perhaps was."""
    if not events.begun:
        return []
    number = len((events.plan or {}).get("steps") or events.steps)
    return [f"{len(events.applied)} of {number} steps were applied."] + [
        f"Whether step {s.get('number')} ({s.get('title')}) was applied is not known."
        for s in events.steps
        if s.get("state") == "started"
    ]


_EXIT_STATUS = {"refused": 3, "interrupted": 130}


def exit_status(outcome: str, status: str | None) -> int:
    """0 done; 1 failed; 3 refused by a guard; 4 done, a finding is critical; 130 interrupted."""
    if outcome in ("ok", "attention", "changed", "previewed"):
        return 4 if status == "critical" else 0
    return _EXIT_STATUS.get(outcome, 1)
