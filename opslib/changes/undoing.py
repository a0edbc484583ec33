"""Changes that were made: taken back by what each step kept, or gone on with when one broke off.

The world is looked at wherever a step can be observed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from opslib import records
from opslib.changes import histories
from opslib.changes.histories import Change, details, key_of, name_of
from opslib.core import (
    Action,
    Connection,
    Frame,
    Json,
    Planned,
    Refused,
    Step,
    UsageError,
    dtypes,
    frame,
    planner,
    redaction,
)
from opslib.core.actions.results import awaited, resolved
from opslib.core.plans.performing import UNSURE, look
from opslib.core.plans.plans import short
from opslib.records import Record

CHANGES = dtypes("""
    record  str
    name    str
    started utc
    who     str
    outcome str
    verdict str
""")
_WATCHES = ("appears", "rollout", "search serves", "wait", "watch")  # ends at once where it is over
_UNSEEN = {"": None, "done": True, "not done": False}
_NOTHING = "No record is named: choose one of the changes above, record = '…'."
_ONCE = (
    "What undoes a change cannot itself be undone from a record; run the procedure again instead."
)


def list_changes(ops: Connection, days: float = 14) -> Frame:
    """The runs that applied steps to this target, newest first; also those that failed half-way,
    and those of which it is not known.

    Columns: CHANGES.
    """
    found = records.list_records(target=ops.target.name, since=ops.now() - timedelta(days=days))
    return frame((vars(each) | {"record": each.id} for each in found if _applied(each)), CHANGES)


def _applied(record: Record) -> bool:
    if record.outcome == "changed":
        return True
    steps = details(record).get("steps", ())
    return any(step.get("state") in ("applied", *UNSURE) for step in steps)


@planner
def plan_undo(ops: Connection, record: str, unseen: str = "") -> Planned:
    """Undo what a record's run applied, and what went on with it, last step first.

    What is as before is left out, so an undo that broke off is gone on with in the same way.
    Refuses when the state is neither what that run left nor what it found. `unseen`: "done" or
    "not done", of steps whose end is unknown and that nothing shows. Raises UsageError (no such
    record, another target's, nothing applied).
    """
    if not record:
        return Planned("undo nothing", notes=[_NOTHING])
    change, world = histories.read(ops, record), _World(ops, unseen)
    if not change.steps:
        raise UsageError(f"Record {change.id} ({change.outcome}) applied no step.")
    steps: list[Step] = []
    notes = [_ONCE, *change.notes]
    for at in range(len(change.steps) - 1, -1, -1):
        was = change.steps[at]
        left = _left_to_undo(change, world, at)
        if left == [] and was["undo"] != []:
            notes.append(f"{was['named']} is as before: nothing is left to undo.")
            continue
        _require_undo(was, left)
        title = f"Undo: {was['title']}"
        made = [Step(title, Action(each), was["after"], was["before"]) for each in left or ()]
        if made and was["observe"]:
            made[-1] = replace(made[-1], observe=Action(was["observe"]))
            world.put(was["observe"], was["before"])
        steps += made
    return Planned(f"undo {change.id}", steps, notes, undoes=change.id)


def _left_to_undo(change: Change, world: _World, at: int) -> list[Json] | None:
    """What undoes a step, without what was taken back already; None when nothing can undo it."""
    was = change.steps[at]
    if was["undo"] == []:  # it only waits or looks
        return []
    undo = was["undo"] or []
    left = [each for each in undo if not _taken_back(change, world, was, each)]
    if len(left) < len(undo):
        return left
    befores = [s["before"] for s in change.steps[: at + 1] if s["observe"] == was["observe"]]
    if not world.is_done(was, befores, sure=was["state"] not in UNSURE):
        return []
    return None if was["undo"] is None else left


def _taken_back(change: Change, world: _World, was: Json, action: Json) -> bool:
    """Did a run that undid this change do this action of a step's undo?"""
    key = key_of([f"Undo: {was['title']}", action])
    if change.undone[key]:
        change.undone[key] -= 1
        return True
    return bool(change.perhaps_undone[key] and not was["observe"]) and world.told(was, "taken back")


def _require_undo(was: Json, left: list[Json] | None) -> None:
    """Raises Refused when a step has no undo, or one that cannot be done."""
    if left is None:
        raise Refused(f"{was['named']} cannot be undone. Nothing was changed.")
    if redaction.is_masked(json.dumps(left)):
        raise Refused(
            f"{was['named']} needs a value that was secret and is not kept. Nothing was changed."
        )
    if missing := [*awaited(left)]:
        raise Refused(
            f"To undo {was['named']}, its answer is needed ({missing[0]}), and that was lost. Undo "
            f"it by hand: {'; '.join(str(Action(each)) for each in left)}. Then say so: "
            "unseen = 'not done'. Nothing was changed."
        )


@planner
def plan_resume(ops: Connection, record: str, unseen: str = "") -> Planned:
    """Go on with a change that broke off: the steps of its plan that are not done, in order.

    A step that can be observed must be as before; what is done already is left out. `unseen` as
    in `plan_undo`. Raises Refused, UsageError (no such record, another target's).
    """
    if not record:
        return Planned("go on with nothing", notes=[_NOTHING])
    change, world = histories.read(ops, record), _World(ops, unseen)
    if change.undone or change.perhaps_undone:
        raise Refused(
            f"{change.id} was taken back, at least in part. Finish that (changes/undo), or run its "
            "procedure again. Nothing was changed."
        )
    if change.steps and not change.known:
        raise Refused(
            f"{change.id} does not keep the plan of its steps. Run its procedure again instead. "
            "Nothing was changed."
        )
    made: list[Step] = []
    for number, kept in enumerate(change.planned, 1):
        was = change.known.get(name_of(kept, number), {"state": "not begun"})
        kept = {**kept, "after": resolved(kept["after"], change.results)}
        was = {**kept, **was, "named": f"Step {number} of {change.id} ({kept['title']})"}
        if was.get("part"):
            raise Refused(
                f"{was['named']} was done in part. Undo it, or run its procedure again. Nothing "
                "was changed."
            )
        if was["state"] == "applied":
            continue
        looked = kept["do"]["kind"] not in _WATCHES and (was["state"] in UNSURE or was["observe"])
        if looked and world.is_done(was, [was["before"]], sure=False):
            change.notes.append(f"{was['named']} is done already.")
            continue
        made.append(_again(kept, name_of(kept, number), change.results, made, was["named"]))
        if was["observe"]:
            world.put(was["observe"], was["after"])
    return Planned(f"go on with {change.id}", made, change.notes, resumes=change.id)


def _again(kept: Json, name: str, results: Json, before: list[Step], named: str) -> Step:
    """A step of a kept plan, with what earlier ones answered. Raises Refused: that is not kept."""
    do = Action(kept["do"]).resolved(results)
    missing = {path.partition(".")[0] for path in awaited(do)} - {step.name for step in before}
    if missing or redaction.is_masked(json.dumps(do)):
        what = f"the answer of {missing.pop()}" if missing else "a value that was secret"
        raise Refused(
            f"{named} needs {what}, which is not kept. Run its procedure again instead. Nothing "
            "was changed."
        )
    undo, observe = kept["undo"], kept["observe"]
    return Step(
        kept["title"],
        do,
        kept["before"],
        kept["after"],
        None if undo is None else [Action(each).resolved(results) for each in undo],
        Action(observe) if observe else None,
        name,
    )


class _World:
    """What observations show now, and would show after the steps that are planned."""

    def __init__(self, ops: Connection, unseen: str) -> None:
        if unseen not in _UNSEEN:
            raise UsageError(f"unseen = {unseen!r}: it is 'done' or 'not done', or left empty.")
        self._ops, self._unseen = ops, _UNSEEN[unseen]
        self._seen: dict[str, Any] = {}

    def put(self, observe: Json, value: Any) -> None:
        self._seen[key_of(observe)] = value

    def is_done(self, was: Json, befores: list[Any], *, sure: bool) -> bool:
        """Is a step done, by what can be seen of it?

        `befores`: the states that it and those before it found. Raises Refused when neither shows.
        """
        if not was["observe"]:
            return sure or self.told(was, "done")
        key = key_of(was["observe"])
        if key not in self._seen:
            self._seen[key] = look(self._ops, Action(was["observe"]))
        now = self._seen[key]
        tells = sure or was["after"] != was["before"]
        if tells and now in (was["after"], *befores):
            return bool(now == was["after"])
        if not sure and self._unseen is not None:
            return self._unseen
        expected = short(was["after"])
        raise Refused(
            f"{was['named']}: now {short(now)}, no longer {expected} as it left it. "
            f"{'' if sure else _ask(was, 'done')}Nothing was changed."
        )

    def told(self, was: Json, what: str) -> bool:
        """What the operator saw. Raises Refused when he did not say."""
        if self._unseen is None:
            raise Refused(f"{was['named']}: {_ask(was, what)}Nothing was changed.")
        return self._unseen


def _ask(was: Json, what: str) -> str:
    return (
        f"Whether it was {what} is not known ({was.get('error') or was['state']}). "
        "Look, then say what you saw: unseen = 'done' or 'not done'. "
    )
