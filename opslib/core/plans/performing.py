"""The steps of a plan, done one by one: each is written down before it is begun and when it ended.

started ─┬─ applied      also when its answer was lost, and it was seen to be done
         ├─ failed       not done, as far as we can know
         ├─ unknown      its answer was lost, and nothing shows whether it was done
         └─ not begun    it could not be written down
A step that stays `started` was being done when its process ended.
"""

import functools
from contextlib import suppress
from copy import copy
from dataclasses import replace
from typing import Any, NoReturn
from uuid import NAMESPACE_OID, uuid5

from opslib.core import waiting
from opslib.core.actions.actions import Action
from opslib.core.actions.results import awaited, resolved, result
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, NotFound, OpsError, Refused
from opslib.core.plans import narrowing
from opslib.core.plans.plans import Plan, Step
from opslib.core.tables import Json
from opslib.core.waiting import poll

ABSENT = "absent"  # what a read is told to be whose thing is not there
UNSURE = ("started", "unknown")  # states of a step that may be done
_SEEN_SECONDS = 8.0  # so long a change may take to show, when its answer was lost
Undo = list[Action] | None
_KEPT = "The record keeps how to undo them: procedure changes/undo. To go on: changes/resume."


def perform(ops: Connection, plan: Plan, undo: list[Undo]) -> Json:
    """Do them all; what they answered, by their names. `undo` takes what undoes each that was done.

    Raises Lost (a step may be done), or OpsError; both say what was done and what was not.
    """
    results: Json = {}
    with waiting.under_way() as tell:
        for number, step in enumerate(plan.steps, 1):
            waiting.stays(f"{number}/{len(plan.steps)} {step.title}")
            tell(f"step {number} of {len(plan.steps)}")
            undo.append(_perform(ops, plan, number, results))
        tell(f"{len(plan.steps)} of {len(plan.steps)} done")
    return results


def _perform(ops: Connection, plan: Plan, number: int, results: Json) -> Undo:
    step = expected(plan.steps[number - 1], results)
    name = step.name or str(number)
    tell = functools.partial(ops.journal.write_down, "step", number=number, title=step.title)
    do = step.do.resolved(results)

    def stop(failure: OpsError, why: str) -> NoReturn:
        """Raise the error that ends the change."""
        # Refused says that nothing changed.
        kind = OpsError if isinstance(failure, Refused) and number > 1 else type(failure)
        raise kind(
            f"Step {number} of {len(plan.steps)} ({step.title}) {why} Applied before it: "
            f"{number - 1}. Not begun after it: {len(plan.steps) - number}. {_KEPT}"
        ) from failure

    def ended(state: str, **said: Any) -> None:
        try:
            tell(state=state, **said)
        except OpsError as exc:
            stop(exc, f"is {state}, and nothing records what follows: {exc}")

    try:
        ops.require_hold()
        if missing := [*awaited(do)]:
            raise OpsError(f"it needs {missing[0]}, and that answer was lost.")
    except OpsError as exc:
        stop(exc, f"was not begun: {exc}")
    # written down with what is needed to look at it and undo it
    known = {"before": step.before, "after": step.after, "observe": step.observe}
    try:
        tell(state="started", room=True, undo=_undo(step, results), **known)
    except OpsError as exc:
        with suppress(OpsError):
            tell(state="not begun")
        stop(exc, f"was not begun, for nothing would record it: {exc}")
    said: Json = {}
    try:
        there = copy(narrowing.narrowed(ops, do))
        there.token = str(uuid5(NAMESPACE_OID, f"{plan.id}/{number}"))
        results[name] = do.perform(there)
    except Lost as exc:
        if not _seen(ops, step):
            ended("unknown", error=str(exc))
            stop(exc, f"may be done: {exc} Look before anything else.")
        waiting.stays(f"{exc} It was seen to be done.")
        said = {"seen": True, "error": str(exc)}
    except OpsError as exc:
        if exc.done is None:
            ended("failed", error=str(exc))
            stop(exc, f"failed: {exc}")
        results[name] = exc.done  # a part, which can be undone
        ended("applied", part=True, undo=_undo(step, results), observe=None)
        stop(exc, f"failed in part: {exc}")
    undo = _undo(step, results)
    later = {
        path: resolved(result(path), results) for path in _asked(plan, number) if name in results
    }
    ended("applied", undo=undo, results=later, **said)
    return undo


def _undo(step: Step, results: Json) -> Undo:
    return None if step.undo is None else [each.resolved(results) for each in step.undo]


def _asked(plan: Plan, number: int) -> set[str]:
    """Of this step's result, what later steps need."""
    name = plan.steps[number - 1].name or str(number)
    later = (path for step in plan.steps[number:] for path in awaited(vars(step)))
    return {path for path in later if path.partition(".")[0] == name}


def expected(step: Step, results: Json) -> Step:
    """With the state after it as it is by what the steps before it answered."""
    return replace(step, after=resolved(step.after, results))


def look(ops: Connection, observe: Action, absent: Any = ABSENT) -> Any:
    """What the read answers now; "absent", or as said, when what it reads is not there."""
    try:
        return observe.perform(ops)
    except NotFound:
        return absent


def _seen(ops: Connection, step: Step) -> bool:
    """Is a step done whose answer was lost? Its state must tell, and not have been so before."""
    observe = step.observe
    if observe is None or step.after == step.before:
        return False

    def now() -> tuple[bool, Any]:
        with suppress(OpsError):
            return True, look(ops, observe)
        return False, None

    done = (True, step.after)
    found, _ = poll(now, lambda seen: seen == done, _SEEN_SECONDS)
    return found == done
