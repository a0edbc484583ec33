"""A second person's approval of a plan: his own act, on record, under an identity of his own."""

from opslib.core import Connection, Findings, Plan, Question
from opslib.core.checks.checks import keep
from opslib.records import read_preview, require_another


def show_plan(ops: Connection, plan: str) -> Plan:
    """The plan as its preview's record has it, by the plan's name or the record's id.

    Raises UsageError (no preview on record), Refused (it was altered).
    """
    if not plan:
        note = ("No plan is named: give its name or the record that previewed it, plan = '…'.",)
        where = ops.target.name, ops.identity.account, ops.target.region
        return Plan("approve nothing", *where, ops.identity.user, ops.now(), (), note)
    return Plan.of(read_preview(ops, plan)[1])


def approve(ops: Connection, plan: Plan, agree: bool = False) -> Findings:
    """Leave on record that whoever AWS says we are approves this plan; only told without `agree`.

    Raises Refused: we planned it, or cannot be told apart from who did.
    """
    if not plan.steps:
        return Findings(note="There is nothing to approve.")
    made, _ = read_preview(ops, plan.id)
    who = ops.identity.arn
    require_another(who, str(made.arn), ops.identity.account, "planned it and would approve it")
    minutes = ops.target.policy.plan_minutes
    asked = Question(f"approval of plan {plan.id}", source=f"record {made.id}")
    if not agree:
        seen = f"not given: planned by {made.arn}. To approve it as {who}: agree = True"
        return keep(ops, Findings(asked.ok(seen)))
    with ops.recording(plan):
        ops.journal.write("approved", plan=plan.id, arn=who, of={"id": plan.id})
    seen = f"given by {who}; planned by {made.arn}. It holds for {minutes} minutes, for one use"
    return keep(ops, Findings(asked.ok(seen)))
