"""The true outcome of a run: how it ended, and what its journal says that it found and did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opslib.core.findings import SEVERITY
from opslib.records.events import Events

DONE = "done"


@dataclass(frozen=True)
class Ending:
    """How the notebook ended: done, failed, refused, timed out, kernel died or interrupted; and
    why.
    """

    how: str
    why: str = ""


def conclude(ending: Ending, events: Events) -> dict[str, Any]:
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
