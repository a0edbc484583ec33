"""The true outcome of a run: how it ended, and what its journal says that it found and did."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from opslib.core import UNSURE, Findings, Json, decoded, redaction
from opslib.core.checks.evidence import Line, evidence
from opslib.core.findings import known
from opslib.records import records

Event = Json
DONE = "done"
_OF_A_CHANGE = ("plan", "applying", "step", "applied")
_NOT_BEGUN, _BEGUN = "not begun", "started"


def add_up(told: Sequence[Event]) -> Json:
    """What the events of a run come to, for its file. A kind that is not known is left out."""
    connected, approval = _last(told, "connected"), _last(told, "applying")
    plans = [event.get("plan") or {} for event in told if event.get("event") == "plan"]
    applied = [plan for plan in plans if approval and plan.get("id") == approval.get("plan")]
    return {
        **{name: connected.get(name) for name in ("account", "region", "arn")},
        "production": bool(connected.get("production")),
        "calls": [_said(event) for event in told if event.get("event") == "call"],
        "findings": [
            f for e in told if e.get("event") == "findings" for f in e.get("findings") or ()
        ],
        # what was applied, else what was previewed, or approved
        "plan": next(reversed(applied or plans), None) or _last(told, "approved").get("of"),
        "confirm": _last(told, "plan").get("confirm") or "",  # what is typed to apply it
        "approval": approval or None,
        "approved": _last(told, "approved") or None,
        "steps": _steps(told),
        "configuration": _last(told, "configuration") or None,
        "notes": [_said(event) for event in told if event.get("event") == "note"],
    }


def _steps(told: Sequence[Event]) -> list[Event]:
    """Each step that was begun, by what was said last of it; twice told, its end counts."""
    steps: dict[Any, Event] = {}
    plan = None
    for event in told:
        if event.get("event") == "applying":
            plan = event.get("plan")
        elif event.get("event") == "step":
            key, state = (plan, event.get("number")), event.get("state")
            before = steps.get(key, {})
            if state != _BEGUN or not before:
                steps[key] = before | _said(event) | {"plan": plan}
    return [step for step in steps.values() if step.get("state") != _NOT_BEGUN]


def with_ledger(told: Sequence[Event], ledger: Path) -> list[Event]:
    """The events of a run, and those that its process wrote down where it applied a change.

    One that was killed told the one, the other, or both.
    """
    written = [event for event in journal(ledger) if event.get("event") in _OF_A_CHANGE]
    return [*written, *told]


def _said(event: Event) -> Event:
    return {name: value for name, value in event.items() if name != "event"}


def _last(told: Sequence[Event], kind: str) -> Event:
    return next((_said(event) for event in reversed(told) if event.get("event") == kind), {})


def parsed(lines: Iterable[bytes]) -> list[Event]:
    """The events in lines of JSON; one that is torn is left out."""
    found = (decoded(line.decode(errors="replace")) for line in lines)
    return [event for event in found if isinstance(event, dict)]


def journal(file: Path) -> list[Event]:
    """The events kept in a file by a run that was killed."""
    try:
        return parsed(file.read_bytes().split(b"\n"))
    except OSError:
        return []


def write_down(file: Path, *events: Event) -> None:
    """Add events, masked, to a file that `journal` reads.

    A full disk shows when the record itself is saved.
    """
    lines = (f"\n{json.dumps(redaction.mask_tree(event))}\n" for event in events)
    with contextlib.suppress(OSError), file.open("a", encoding="utf-8") as journal:
        journal.writelines(lines)


class Ending(NamedTuple):
    """How the notebook ended: done, failed, refused, timed out, kernel died or interrupted; and
    why.
    """

    how: str
    why: str = ""


def conclude(ending: Ending, told: Sequence[Event]) -> Json:
    """What a run came to, for its file: its events, and

    `outcome`, `status` (the worst finding that counts), `exit_status`, `verdict` (a sentence), its
    `evidence` (label and text of each line), what was `changed` and is `next`, and its `lines`.
    """
    said = add_up(told)
    steps: list[Event] = said["steps"]  # once one is begun things may have changed, whatever came
    counted = Findings(known(f) for f in said["findings"] if f.get("verifies") or not steps)
    status, bad = counted.worst, [f for f in counted if f.status != "ok"]
    changed = [step.get("title") for step in steps if step.get("state") == "applied"]
    planned = (said["plan"] or {}).get("steps")
    if ending.how == DONE and (refused := _last(told, "refused")):
        ending = Ending("refused", str(refused.get("message", "")))
    if ending.how != DONE:
        outcome, verdict = ending.how, " ".join([ending.why, *_how_far(steps, planned or steps)])
    else:
        outcome = "changed" if changed else "previewed" if planned else ""
        outcome = outcome or ("ok" if status == "ok" else "attention")
        verdict = _last(told, "verdict").get("sentence") or _counted(len(counted), len(bad))
    return said | {
        "outcome": outcome,
        "status": status,
        "exit_status": exit_status(outcome, status),
        "verdict": str(verdict),
        "evidence": [*_severity(told), *evidence(counted)],
        "changed": changed,
        "lines": _lines(told),
        "next": list(dict.fromkeys(f.next for f in bad if f.next)),
    }


def _lines(told: Sequence[Event]) -> Json:
    """By what is next the line that runs it, as the verdict said it."""
    said = _last(told, "verdict")
    known = zip(said.get("next") or (), said.get("lines") or (), strict=False)
    return {name: line.replace(" open ", " run ", 1) for name, line in known if line}


def _severity(told: Sequence[Event]) -> list[Line]:
    """What the verdict said of it, by the times of then."""
    said = _last(told, "verdict").get("evidence") or ()
    return [(str(label), str(text)) for label, text in said if label == "severity"]


def _counted(checks: int, bad: int) -> str:
    if not checks:
        return "No check was made."
    return f"{bad} of {checks} checks did not pass." if bad else f"All {checks} checks passed."


def _how_far(steps: Sequence[Event], planned: Sequence[Event]) -> list[str]:
    """Of a change that was begun: what was done, and what perhaps was."""
    states = [step.get("state") for step in steps]
    done = f"{states.count('applied')} of {len(planned)} steps were applied."
    return [done] * bool(steps) + [
        f"Whether step {s.get('number')} ({s.get('title')}) was applied is not known."
        for s in steps
        if s.get("state") in UNSURE
    ]


def exit_status(outcome: str, status: str | None) -> int:
    """0 done; 1 failed; 3 refused by a guard; 130 interrupted; of what is done, 4 when a finding is
    critical, 5 when none is and one is unknown.
    """
    if outcome in records.DONE:
        return {"critical": 4, "unknown": 5}.get(status or "", 0)
    return {"refused": 3, "interrupted": 130}.get(outcome, 1)
