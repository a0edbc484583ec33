"""Approval of a plan by typing: what `decide` asks where somebody is there."""

from datetime import timedelta

from opslib.core import Connection, Plan, Refused
from opslib.core.plans import maintenance
from opslib.desk.commands import command
from opslib.desk.panels import Answer, Panel, Typed, button, column, row, said, say

_LOOK = 15.0  # seconds after which the minutes left are told again
_APPLY, _LEAVE = "apply", "not now"
_OTHER = (
    "A parameter was changed since this plan was shown, so it is not applied. Take that back, or "
    "press Not now and run the cells from the plan's on again."
)


async def ask(ops: Connection, plan: Plan) -> tuple[str, str]:
    """What to approve, and what was typed; both empty when it stays a preview.

    Waits for as long as the plan may be applied. Stopping the cell decides nothing.
    """
    if missing := _second_person(ops, plan):
        print(missing)
        return "", ""
    ends = plan.made + timedelta(minutes=ops.target.policy.plan_minutes)
    if ends <= ops.now():
        print(f"This plan of {plan.made:%H:%M} UTC is too old to be applied: run its cell again.")
        return "", ""
    wanted = maintenance.wanted(ops) or _APPLY
    given, answer = Typed(placeholder=wanted, layout={"width": "22em"}), Answer()
    minutes, why = said(), maintenance.outside(ops) if ops.target.production else ""

    def press() -> None:
        if by_hand != _by_hand(ops, plan, wanted):
            say(head, _OTHER)
        elif given.value.strip() == wanted:  # whatever the button says
            answer.give(_APPLY)

    def typed(_: object) -> None:
        apply.disabled = given.value.strip() != wanted

    apply = button("Apply this plan", press, style="danger")
    apply.disabled = True
    given.observe(typed, "value")
    head = said(f"{why} To apply this plan to {ops.target.name}, type: {wanted}".strip())
    choice = row(given, apply, button("Not now", lambda: answer.give(_LEAVE)), minutes)
    by_hand = _by_hand(ops, plan, wanted)
    waits = (
        f"This waits until somebody types {wanted!r}. Where there is no field (the page was opened "
        "again, or by somebody else): stop this cell (■), then run it and those below. The same "
        f"by command: {by_hand}"
    )
    panel = Panel(column([head, choice, said(f"The same by command: {by_hand}")]), waits)
    decision: str | None = "stopped"
    try:
        while (left := (ends - ops.now()).total_seconds()) > 0:
            say(minutes, f"{maintenance.long(ends - ops.now())} left. The cells below wait.")
            if decision := await answer.within(min(_LOOK, left)):
                break
    finally:
        panel.settle(_came_to(ops, plan, decision or "nobody answered", wanted, by_hand))
    return (plan.id, wanted if ops.target.production else "") if decision == _APPLY else ("", "")


def _came_to(ops: Connection, plan: Plan, decision: str, wanted: str, by_hand: str) -> str:
    """Kept as an event, and as a line."""
    who, at = ops.identity.user, f"{ops.now():%H:%M} UTC"
    ops.journal.write("decided", plan=plan.id, decision=decision, by=who)
    if decision == _APPLY:
        return f"{at}: {who} typed {wanted!r} and approved this plan. The same: {by_hand}"
    return f"{at}: {decision}, so nothing is applied. To apply it later: {by_hand}"


def _by_hand(ops: Connection, plan: Plan, wanted: str) -> str:
    given = {"approved": plan.id} | ({"confirm": wanted} if ops.target.production else {})
    words = ", ".join(f"{name} = {value!r}" for name, value in given.items())
    return command("run", ops.target.name, **given) or f"{words} in the parameters cell"


def _second_person(ops: Connection, plan: Plan) -> str:
    """What is waited for; empty when nobody else is wanted, or his approval is there."""
    if not ops.target.policy.second_person:
        return ""
    try:
        if ops.gate and ops.gate.approver(ops, plan.id):
            return ""
    except Refused as exc:
        why = str(exc)
    else:
        why = "No records are kept here, so nobody's approval can be."
    return (
        f"{ops.target.name} wants a second person. Run the cells below: the last keeps this "
        f"preview. Then send them this line:\n"
        f"opslib run changes/approve -t {ops.target.name} -p plan={plan.id} -p agree=true\n"
        f"When they have, run this cell again and the one below, not the plan's. {why}"
    )
