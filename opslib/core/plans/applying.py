"""Plans made, approved by name, applied step by step; what each step did, and what undoes it."""

import functools
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, NamedTuple, TypeAlias, TypeVar

from opslib.core.actions.actions import Action
from opslib.core.checks.checks import keep, unread
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused
from opslib.core.findings import Finding, Findings, P, Question
from opslib.core.plans import limits, maintenance, narrowing
from opslib.core.plans.performing import expected, look, perform
from opslib.core.plans.plans import TIME, Plan, Planned, Step, short
from opslib.core.text import count

T = TypeVar("T")
Made: TypeAlias = Callable[Concatenate[Connection, P], T]
_NAME = re.compile(r"^([0-9a-f]{12})\.([\w@+=-]+)\.(\d{8}T\d{6}Z)\Z")
AT_ONCE = "now"  # approved="now": preview and apply in one run, where the target's policy allows it


def planner(function: Made[P, Planned]) -> Made[P, Plan]:
    """Make a function that says what is planned a planner: it reads, and changes nothing."""

    @functools.wraps(function)
    def make(ops: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Plan:
        def again() -> Plan:
            planned = function(ops, *args, **kwargs)
            steps = tuple(planned.steps)
            limits.require(ops, steps)
            return Plan(
                planned.summary,
                ops.target.name,
                ops.identity.account,
                ops.target.region,
                re.sub(r"[^\w@+=-]", "-", ops.identity.user),
                ops.now().replace(microsecond=0),
                steps,
                (*planned.notes, *maintenance.notes(ops, steps), *narrowing.notes(ops, steps)),
                planned.undoes,
                planned.resumes,
                again,
            )

        plan = ops.keep(again())
        ops.journal.write("plan", plan=plan.as_dict(), confirm=maintenance.wanted(ops))
        return plan

    return make


class Decided(NamedTuple):
    """What `apply` is given: the name of an approved plan, empty for a preview; what was typed."""

    approved: str = ""
    confirm: str = ""


async def decide(ops: Connection, plan: Plan, approved: str = "", confirm: str = "") -> Decided:
    """What the parameters say; where they approve nothing and somebody is there, what he types.

    A plan waits for a person in an `await` cell, and only where one can be asked. Returns at once
    where nobody can be: with papermill, `opslib run`, under pytest.
    """
    if approved or not plan.steps or ops.asks is None:
        return Decided(approved, confirm)
    return Decided(*await ops.asks(ops, plan))


@dataclass
class Applied:
    """What became of a plan: `changed`, or only previewed."""

    plan: Plan
    ops: Connection = field(repr=False)
    changed: bool = False
    undo: list[list[Action] | None] = field(default_factory=list)  # per applied step

    def verify(self, check: Callable[..., Findings], *args: Any, **kwargs: Any) -> Findings:
        """Run a check when the change was made; say so when there is nothing to verify."""
        if not self.changed:
            return Findings(note="Nothing was changed, so there is nothing to verify.")
        return check(self.ops, *args, **kwargs)

    def __repr__(self) -> str:
        if self.changed:
            undone = "" if self.plan.reversible else " It cannot be undone (or only in part)."
            return (
                f"Applied: {self.plan.summary} ({count(len(self.plan.steps), 'step')}) on "
                f"{self.plan.target}.{undone}"
            )
        if not self.plan.steps:
            return "Nothing to do, so nothing was changed."
        return (
            "Previewed: nothing was changed. "
            f"To apply this plan, run again with approved = {self.plan.id!r}"
        )


def apply(ops: Connection, plan: Plan, approved: str = "", confirm: str = "") -> Applied:
    """Apply a plan that was approved; without approval, say how.

    `approved` is the plan's id as previewed, or "now" where the target's policy allows it.
    Plans again first: a plan whose hash is no longer the same is refused, and so is an expired one.
    Raises Refused (nothing changed), or OpsError that says which steps were applied.
    """
    applied, ops.changed = ops.keep(Applied(plan, ops)), False
    if not approved or not plan.steps:
        return applied
    with ExitStack() as held:
        try:
            plan, second = _admitted(ops, plan, approved.strip(), confirm.strip(), held)
        except Refused as exc:
            ops.journal.write("refused", message=str(exc))
            raise
        held.enter_context(ops.recording(plan))
        applied.plan, applied.changed, ops.changed = plan, True, True
        _write_down(ops, plan, approved, second)
        results = perform(ops, plan, applied.undo)
        ops.journal.write_down("applied", plan=plan.id, steps=len(plan.steps))
        steps = (expected(step, results) for step in plan.steps)
        keep(ops, Findings(_observed(ops, step, step.observe) for step in steps if step.observe))
    return applied


def _write_down(ops: Connection, plan: Plan, approved: str, second: str) -> None:
    """What is about to be done, and by whose leave. Raises OpsError: nothing was changed."""
    try:
        ops.journal.write_down("plan", plan=plan.as_dict())
        told = {"approved": approved, "by": ops.identity.user, "second": second}
        if role := ops.target.policy.apply_role:
            told["role"] = role
        if why := maintenance.outside(ops):
            told["outside"] = why
            print(why, flush=True)
        ops.journal.write_down("applying", plan=plan.id, **told, room=True)
    except OpsError as exc:
        raise OpsError(f"{exc} Nothing was changed, for nothing would record it.") from exc


def _observed(ops: Connection, step: Step, observe: Action) -> Finding:
    try:
        seen = look(ops, observe)
    except OpsError as exc:
        return unread(step.title, exc)
    was = f", was {short(step.before)}" if short(step.before) else ""
    asked = Question(step.title, short(step.after) + was, str(observe))
    return asked.judged(seen == step.after, f"now {short(seen)}")


def _admitted(
    ops: Connection, plan: Plan, approved: str, confirm: str, held: ExitStack
) -> tuple[Plan, str]:
    """The plan made again, if this approval allows it to be applied now; and a second approver.

    From here on the target is held, and the name is spent. Raises Refused.
    """
    target = ops.target
    _require_confirmed(ops, confirm)
    if ops.gate:  # before it is planned again: who changed the target until now has ended
        held.enter_context(ops.gate.holding(ops))
    fresh, second = plan.again() if plan.again else plan, ""
    if approved != AT_ONCE:
        second = _admit_by_name(ops, fresh, approved)
    elif not target.may_apply_at_once:
        raise Refused(
            f"{target.name} does not allow a plan to be applied unseen: "
            "preview it, then approve it by its name."
        )
    elif fresh.digest("", "") != plan.digest("", ""):
        raise Refused(
            "What this plan would change has changed since it was made. "
            "Nothing was changed; preview again."
        )
    narrowing.require(ops, [step.do for step in fresh.steps])
    if ops.gate:
        ops.gate.spend(ops, approved if approved != AT_ONCE else "", [plan.id, fresh.id])
    return fresh, second


def _require_confirmed(ops: Connection, confirm: str) -> None:
    """Production's name is typed; outside of its maintenance window, that this is meant, too."""
    meant = maintenance.wanted(ops)
    if not meant or confirm in (meant, maintenance.phrase(ops)):
        return
    how, given = "To go on, type its name", f" {confirm!r} was typed." * bool(confirm)
    if outside := maintenance.outside(ops):
        how = (
            f"{outside} Wait for it; what cannot wait wants more than the name, and the record "
            "keeps it"
        )
    raise Refused(
        f"{ops.target.name} is production: nothing was changed. {how}: confirm = {meant!r}.{given}"
    )


def _admit_by_name(ops: Connection, fresh: Plan, approved: str) -> str:
    """Maker and time are in the name, and under its hash; the second approver, where one is wanted.

    A name proves no person: everybody can compute it.
    """
    try:
        [(digest, by, made)] = _NAME.findall(approved)
        age = ops.now() - datetime.strptime(made, TIME).replace(tzinfo=UTC)
    except ValueError:
        raise Refused(
            f"approved = {approved!r} is not the name of a plan. "
            "Preview, and copy the name it gives; nothing was changed."
        ) from None
    policy = ops.target.policy
    if age > timedelta(minutes=policy.plan_minutes) or age < timedelta(minutes=-1):
        raise Refused(
            f"Plan {digest} was made at {made}; "
            f"plans here hold for {policy.plan_minutes} minutes. Preview again; nothing was "
            "changed."
        )
    if fresh.digest(by, made) != digest:
        raise Refused(
            f"Plan {digest} is not what would be done now: the parameters or the world have "
            "changed. "
            "Preview again; nothing was changed."
        )
    if not policy.second_person:
        return ""
    if ops.gate is None:
        raise Refused(f"{ops.target.name} wants a second person, and no records are kept here.")
    return str(ops.gate.approver(ops, approved))
