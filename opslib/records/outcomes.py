"""The true outcome of a run: how it ended, and what its journal says that it found and did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opslib.core.findings import SEVERITY
from opslib.records.events import Events

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_REFUSED, EXIT_CRITICAL, EXIT_INTERRUPTED = (
    0,
    1,
    2,
    3,
    4,
    130,
)
DONE = "done"


@dataclass(frozen=True)
class Ending:
    """How the notebook ended: done, failed, refused, timed out, kernel died or interrupted; and why."""

    how: str
    why: str = ""


def conclude(ending: Ending, events: Events) -> dict[str, Any]:
    """`outcome`, `status` (the worst finding that counts), `verdict` (a sentence), and what was `changed` and is `next`."""
    counted = [f for f in events.findings if f.get("verifies") or not events.begun]
    status = max((f.get("status", "unknown") for f in counted), key=_rank, default="ok")
    return {
        "outcome": _outcome(ending, events, status),
        "status": status,
        "verdict": _sentence(ending, events, counted),
        "changed": [step.get("title") for step in events.applied],
        "next": list(
            dict.fromkeys(f["next"] for f in counted if f.get("next") and f.get("status") != "ok")
        ),
    }


def _rank(status: str) -> int:
    return SEVERITY.get(status, SEVERITY["unknown"])


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


def _sentence(ending: Ending, events: Events, counted: list[dict[str, Any]]) -> str:
    if ending.how == DONE and not events.refused:
        return str((events.verdict or {}).get("sentence") or _count(counted))
    told = [ending.why or events.refused]
    if events.begun:
        number = len((events.plan or {}).get("steps") or events.steps)
        unsure = [s for s in events.steps if s.get("state") == "started"]
        told.append(f"{len(events.applied)} of {number} steps were applied.")
        told += [
            f"Whether step {s.get('number')} ({s.get('title')}) was applied is not known."
            for s in unsure
        ]
    return " ".join(told)


def _count(counted: list[dict[str, Any]]) -> str:
    bad = [f for f in counted if f.get("status") != "ok"]
    if not counted:
        return "Ran to its end; no check was made."
    return (
        f"{len(bad)} of {len(counted)} checks did not pass."
        if bad
        else f"All {len(counted)} checks passed."
    )


def exit_status(outcome: str, status: str | None) -> int:
    """0 done; 1 failed; 3 refused by a guard; 4 done, and a finding is critical; 130 interrupted."""
    if outcome in ("ok", "attention", "changed", "previewed"):
        return EXIT_CRITICAL if status == "critical" else EXIT_DONE
    return {"refused": EXIT_REFUSED, "interrupted": EXIT_INTERRUPTED}.get(outcome, EXIT_FAILED)
