"""What a plan of Terraform's would do, as findings: what is lost is said first, and loudest."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from opslib.core import Finding, Findings, Question, count, frame
from opslib.deployments import values
from opslib.deployments.plans import Change, TerraformPlan
from opslib.deployments.values import LATER, Difference, words

CHANGES = dict.fromkeys(("action", "address", "attribute", "before", "after", "why"), "str")
SHOWN = 10  # resources that get a finding of their own
DRIFT = "infrastructure-drift"


def judged(plan: TerraformPlan) -> Findings:
    """What an apply would do; drift is named by what is destroyed.

    Evidence: CHANGES, the worst first.
    """
    cause = DRIFT if any(map(by_hand, plan.drift)) else ""
    kinds = list(words("told"))
    told = [change for change in (*plan.changes, *plan.deferred) if change.kind in kinds]
    told.sort(key=lambda c: (kinds.index(c.kind), c.address))
    lost = sorted((c for c in told if c.destroys), key=lambda c: (not stateful(c), c.address))
    found = [_destroyed(c, cause, plan.where) for c in lost if stateful(c)][:SHOWN]
    gone = Question("Destroyed or replaced", "nothing", plan.where)
    if rest := lost[len(found) :]:
        found.append(gone.critical(_named(rest), cause=cause))
    if not lost:
        found.append(gone.answer("unknown" if plan.unseen else "ok", f"nothing{_but(plan)}"))
    alive = [change for change in told if change.after or change.kind == "forget"]
    for what, is_so in _wary().items():
        if those := [change for change in alive if is_so(change)]:
            asked, open = Question(what, "nothing", plan.where), is_so is lets_in_later
            found.append(asked.answer("unknown" if open else "warn", _named(those, what)))
    if plan.invoked:
        seen = f"{count(len(plan.invoked), 'action')}: {', '.join(plan.invoked[:SHOWN])}"
        asked = Question("Actions that it runs, whose effect no plan shows", "none", plan.where)
        found.append(asked.warn(seen))
    status = "unknown" if plan.unseen else "ok" if plan.complete else "warn"
    found.append(Question("To do", source=plan.where).answer(status, _summary(plan)))
    rows = [row for change in told for row in change_rows(change)]
    outputs = ", ".join(f"{name} ({kind})" for name, kind in sorted(plan.outputs.items()))
    note = f"Outputs that change, values not shown: {outputs}." if outputs else ""
    return Findings(found, frame(rows, CHANGES), note)


def by_hand(change: Change) -> bool:
    """Was it changed by somebody, and not by the service itself?"""
    return change.kind != "update" or any(d.top not in words("alone") for d in change.differences)


def stateful(change: Change) -> bool:
    """Does it hold something that does not come back when the resource is made anew?"""
    provider, _, name = change.type.partition("_")
    return name in words("holding").get(provider, "").split()


def leads_in(change: Change) -> bool:
    """Can it let anybody in? A way out, or what only narrows what others allow, cannot."""
    return not re.fullmatch(words("no_doors"), change.type)


def lets_all_in(change: Change) -> bool:
    """Does it let every address in, which it did not before?"""
    return leads_in(change) and values.opens(change.before, change.after)


def lets_in_later(change: Change) -> bool:
    """Is it known only after the apply which addresses it lets in?"""
    return leads_in(change) and values.later(change.after)


def allows_all(change: Change) -> bool:
    """Does a policy of it allow everything, which none did before?"""
    new = values.allows_all(change.after) and not values.allows_all(change.before)
    return new and leads_in(change)


def deletes_sooner(change: Change) -> bool:
    """Does it delete by age what it kept, or kept for longer?"""
    return values.deletes_after(change.after) < values.deletes_after(change.before)


def _wary() -> dict[str, Callable[[Change], object]]:
    """What is told of a change that destroys nothing, and of which it is."""
    return {
        "Forgotten: it goes on, and Terraform no longer knows of it": lambda c: c.kind == "forget",
        "Opened to everyone": lets_all_in,
        "Whom it lets in is known only after the apply": lets_in_later,
        "Allowed everything": allows_all,
        "It deletes by age, sooner than before": deletes_sooner,
        **{what: partial(Change.taken, what=what) for what in words("takes")},
    }


def _destroyed(change: Change, cause: str, where: str) -> Finding:
    anew = ", and made anew EMPTY" if change.kind == "replace" else ""
    why = [change.reason, f"because of {', '.join(change.forces)}" if change.forces else ""]
    reasons = ", ".join(filter(None, why))
    said = [f"DESTROYED with all that it holds{anew}" + (f" ({reasons})" if reasons else "")]
    said += [loss for key, loss in words("losses").items() if change.before.get(key)]
    kind = "_".join(change.type.split("_")[:2])
    names = (change.before.get(key) for key in words("names"))
    name = next((name for name in names if isinstance(name, str)), "")
    asked = Question(f"{change.address} {name}".rstrip(), "it stays", where)
    return asked.critical("; ".join(said), cause=cause, next=words("copied").get(kind, ""))


def _named(changes: Sequence[Change], what: str = "") -> str:
    """With why, and the attributes by which `what` is taken from each."""
    said = [
        f"{c.address} ({': '.join(filter(None, (c.kind, c.reason, *c.taken(what))))})"
        for c in changes[:SHOWN]
    ]
    more = ", …" if len(changes) > SHOWN else ""
    return f"{count(len(changes), 'resource')}: {', '.join(said)}{more}"


def _summary(plan: TerraformPlan) -> str:
    counts = Counter(change.kind for change in plan.changes)
    said = [f"{counts[kind]} {does}" for kind, does in words("told").items() if counts[kind]]
    joined = Counter(kind for change in plan.changes for kind in change.also)
    said += [f"{joined[k]} of them {does}" for k, does in words("joined").items() if joined[k]]
    said += [f"{count(len(plan.invoked), 'action')} to run"] if plan.invoked else []
    said += [f"{len(plan.deferred) or 'something'} put off: plan again after applying"] * (
        not plan.complete and not plan.errored
    )
    if plan.refresh_only:
        said.append(f"refresh only: {count(len(plan.drift), 'change')} taken over into the state")
    if not said:
        whole = "nothing: the infrastructure is as configured"
        said = ["outputs only" if plan.outputs else "nothing" if plan.unseen else whole]
    return ", ".join(said) + _but(plan)


def _but(plan: TerraformPlan) -> str:
    return f"; but {plan.unseen}" if plan.unseen else ""


def change_rows(change: Change, why: str = "") -> Iterator[Sequence[str]]:
    """Rows of CHANGES: one an attribute that differs, one for what comes or goes as a whole."""
    several = change.differences if change.kind in ("update", "replace") else ()
    told = several or [Difference()]
    for d in told:
        forced = d.top in change.forces
        if change.kind == "replace" and d.after == LATER and not forced:
            continue  # a new one has everything anew
        said = why or ("forces the replacement" if forced else change.reason)
        yield change.kind, change.address, d.attribute, d.before, d.after, said


def whole(plan: TerraformPlan) -> Finding:
    """Could Terraform plan everything, and is all of the plan understood?"""
    asked = Question("Terraform could plan everything", "no error, nothing put off", plan.where)
    if plan.unseen:
        return asked.answer("critical" if plan.errored else "unknown", plan.unseen)
    if plan.failed_checks:
        failed = ", ".join(map(str, plan.failed_checks[:5]))
        return asked.warn(f"checks that do not hold: {failed}")
    if not plan.complete:
        named = ", ".join(change.address for change in plan.deferred[:5]) or "something"
        seen = f"{named} put off to another round: plan again after applying"
        return asked.warn(seen)
    return asked.ok("the whole configuration")


_HELP = (
    "Who changed it, and why? CloudTrail knows. Was it meant: write it into the configuration. "
    "If not: the next apply puts back what the configuration sets. Applying without deciding "
    "undoes somebody's repair, or keeps a hole open."
)


def drifted(plan: TerraformPlan) -> Findings:
    """What was changed outside Terraform, and what an apply does to it. Evidence: CHANGES."""
    changed = [change for change in plan.drift if by_hand(change)]
    rows = [row for change in changed for row in change_rows(change, _then(plan, change))]
    found = [_drifted(plan, change) for change in changed[:SHOWN]]
    asked = Question("Changed outside Terraform", "nothing", plan.where)
    if more := len(changed[SHOWN:]):
        seen = f"{more} more resources; they are in the table"
        found.append(asked.warn(seen, cause=DRIFT))
    if not changed:
        those = f"{count(len(plan.drift), 'resource')} with values that change by themselves"
        seen = f"nothing ({those})" if plan.drift else "nothing"
        seen += f"; but {plan.unseen}" if plan.unseen else ""
        status, cause = ("unknown", "") if plan.unseen else ("ok", DRIFT)
        found.append(asked.answer(status, seen, cause=cause))
    return Findings(found, frame(rows, CHANGES), _HELP if changed else "")


def _drifted(plan: TerraformPlan, change: Change) -> Finding:
    told = [str(d) for d in change.differences[:3]]
    if more := len(change.differences[3:]):
        told.append(f"and {more} more")
    if change.kind == "destroy":
        told = ["it is gone"]
    elif not told:
        told = [f"{change.kind}: {change.reason or 'no attribute is told'}"]
    opened = lets_all_in(change)
    if opened:
        told.append("IT LETS EVERY ADDRESS IN")
    seen = "; ".join((*told, _then(plan, change)))
    asked = Question(f"{change.address} changed outside Terraform", "as recorded", plan.where)
    return asked.answer("critical" if opened else "warn", seen, cause=DRIFT)


def _then(plan: TerraformPlan, change: Change) -> str:
    if plan.refresh_only:
        return "a refresh-only plan takes it over into the state"
    if change.address in plan.touched:
        return "an apply puts it right"
    return "an apply leaves it so: the configuration does not set it"
