"""Changes that were made: found in the records, and taken back by what each step kept for that."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from opslib import records
from opslib.core import (
    UTC_TIME,
    Action,
    Connection,
    Frame,
    Json,
    OpsError,
    Planned,
    Refused,
    Step,
    frame,
    planner,
    redaction,
)
from opslib.core.plans.applying import look
from opslib.core.plans.plans import short
from opslib.records import Record

CHANGES = {
    "record": "str",
    "name": "str",
    "started": UTC_TIME,
    "who": "str",
    "outcome": "str",
    "verdict": "str",
}


def list_changes(ops: Connection, days: float = 14) -> Frame:
    """The runs that applied steps to this target, newest first; also those that failed half-way.

    Columns: CHANGES.
    """
    found = records.list_records(target=ops.target.name, since=ops.now() - timedelta(days=days))
    return frame((vars(each) | {"record": each.id} for each in found if _applied(each)), CHANGES)


def _applied(record: Record) -> bool:
    if record.outcome == "changed":
        return True
    if record.plan is None or record.outcome in ("previewed", "refused", records.RUNNING):
        return False
    try:
        steps = records.details(record).get("steps", ())
    except OpsError:  # its file is gone: nothing can be undone from it
        return False
    return any(step.get("state") == "applied" for step in steps)


@planner
def plan_undo(ops: Connection, record: str) -> Planned:
    """Undo what a record's run applied, last step first.

    Refuses when its state is no longer what that run left. Raises UsageError (no such record,
    another target's, nothing applied).
    """
    if not record:
        note = "No record is named: choose one of the changes above, record = '…'."
        return Planned("undo nothing", notes=[note])
    steps: list[Step] = []
    for was in reversed(records.applied_steps(record, target=ops.target.name)):
        _guard(ops, record, was)
        title = f"Undo: {was['title']}"
        made = [Step(title, Action.of(each), was["after"], was["before"]) for each in was["undo"]]
        if made and was["observe"]:
            made[-1] = replace(made[-1], observe=Action.of(was["observe"]))
        steps += made
    return Planned(f"undo {record}", steps, [_ONCE, *_unfinished(record)])


_ONCE = (
    "What undoes a change cannot itself be undone from a record; run the procedure again instead."
)


def _guard(ops: Connection, record: str, was: Json) -> None:
    """Raises Refused when a step has no undo, or the world is no longer as the step left it."""
    step = f"Step {was['number']} of {record} ({was['title']})"
    if was["undo"] is None:
        raise Refused(f"{step} cannot be undone. Nothing was changed.")
    if redaction.is_masked(json.dumps(was["undo"])):
        raise Refused(f"{step} needs a value that was secret and is not kept. Nothing was changed.")
    if was["observe"] and (now := look(ops, Action.of(was["observe"]))) != was["after"]:
        raise Refused(
            f"{step}: now {short(now)}, no longer {short(was['after'])} as it left it. "
            "Nothing was changed."
        )


def _unfinished(record: str) -> list[str]:
    """What that run began and did not see the end of."""
    steps = records.details(records.find(record)).get("steps", ())
    return [
        f"Step {step['number']} ({step['title']}) was {step['state']}, not applied: "
        "look whether it was done all the same."
        for step in steps
        if step.get("state") != "applied"
    ]
