"""What a plan of Terraform's would do, as findings: what is lost is said first, and loudest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from opslib.core import Finding, Findings, Question, count, frame
from opslib.deployments.holdings import HOLDING
from opslib.deployments.plans import Change, TerraformPlan
from opslib.deployments.values import LATER, Difference

CHANGES = dict.fromkeys(("action", "address", "attribute", "before", "after", "why"), "str")
SHOWN = 10  # resources that get a finding of their own
# What is told, the worst first, and how the summary calls it.
_KINDS = {
    "destroy": "to destroy",
    "replace": "to replace",
    "forget": "to forget",
    "update": "to change in place",
    "create": "to create",
    "import": "to import",
    "move": "moved",
}
DRIFT = "infrastructure-drift"
# What services change by themselves: no hand was at work.
_BY_THEMSELVES = {
    "latest_restorable_time",
    "last_modified",
    "last_updated_date",
    "last_accessed_date",
    "status",
    "updated_at",
    "modified_date",
    "approximate_number_of_messages",
    "estimated_number_of_users",
}
_NAMES = ("identifier", "cluster_identifier", "bucket", "function_name", "name", "id")
_SAID = {
    "skip_final_snapshot": "skip_final_snapshot is set: no snapshot is left",
    "force_destroy": "force_destroy is set: what is in it goes too",
    "deletion_protection": "deletion protection is on: AWS refuses, and the apply stops half-way",
}


def judged(plan: TerraformPlan) -> Findings:
    """What an apply would do; drift is named by what is destroyed.

    Evidence: CHANGES, the worst first.
    """
    cause = DRIFT if any(map(by_hand, plan.drift)) else ""
    told = [change for change in plan.changes if change.kind in _KINDS]
    told.sort(key=lambda c: (list(_KINDS).index(c.kind), c.address))
    lost = sorted((c for c in told if c.destroys), key=lambda c: (not stateful(c), c.address))
    found = [_destroyed(c, cause, plan.where) for c in lost if stateful(c)][:SHOWN]
    gone = Question("Destroyed or replaced", "nothing", plan.where)
    if rest := lost[len(found) :]:
        found.append(gone.answer("critical", _named(rest), cause=cause))
    if not lost:
        found.append(gone.answer("ok", "nothing"))
    if forgotten := [change for change in told if change.kind == "forget"]:
        words = "Forgotten: it goes on, and Terraform no longer knows of it"
        found.append(Question(words, "nothing", plan.where).answer("warn", _named(forgotten)))
    found.append(Question("To do", source=plan.where).answer("ok", _summary(plan)))
    rows = [row for change in told for row in change_rows(change)]
    outputs = ", ".join(f"{name} ({kind})" for name, kind in sorted(plan.outputs.items()))
    note = f"Outputs that change, values not shown: {outputs}." if outputs else ""
    return Findings(found, frame(rows, CHANGES), note)


def by_hand(change: Change) -> bool:
    """Was it changed by somebody, and not by the service itself?"""
    return change.kind != "update" or any(d.top not in _BY_THEMSELVES for d in change.differences)


def stateful(change: Change) -> bool:
    """Does it hold something that does not come back when the resource is made anew?"""
    return change.type in HOLDING


def lets_all_in(change: Change) -> bool:
    """Does it let every address in, which it did not before? A way out is no way in."""
    if "route" in change.type or change.type.endswith("_egress_rule"):
        return False
    said = change.after
    direction = str(said.get("direction") or said.get("type") or "").lower()
    if direction in ("egress", "outbound") or said.get("egress") is True:
        return False
    return any(d.opens and not d.top.startswith("destination") for d in change.differences)


def _destroyed(change: Change, cause: str, where: str) -> Finding:
    anew = ", and made anew EMPTY" if change.kind == "replace" else ""
    why = [change.reason, f"because of {', '.join(change.forces)}" if change.forces else ""]
    reasons = ", ".join(filter(None, why))
    said = [f"DESTROYED with all that it holds{anew}" + (f" ({reasons})" if reasons else "")]
    said += [words for key, words in _SAID.items() if change.before.get(key)]
    names = (change.before.get(key) for key in _NAMES)
    name = next((name for name in names if isinstance(name, str)), "")
    asked = Question(f"{change.address} {name}".rstrip(), "it stays", where)
    return asked.answer("critical", "; ".join(said), cause=cause, next="databases/snapshot")


def _named(changes: Sequence[Change]) -> str:
    said = [f"{c.address} ({c.kind}{': ' + c.reason if c.reason else ''})" for c in changes[:SHOWN]]
    more = ", …" if len(changes) > SHOWN else ""
    return f"{count(len(changes), 'resource')}: {', '.join(said)}{more}"


def _summary(plan: TerraformPlan) -> str:
    counts = Counter(change.kind for change in plan.changes)
    said = [f"{counts[kind]} {words}" for kind, words in _KINDS.items() if counts[kind]]
    nothing = "nothing: the infrastructure is as configured"
    return ", ".join(said) or ("outputs only" if plan.outputs else nothing)


def change_rows(change: Change, why: str = "") -> Iterator[dict[str, str]]:
    """Rows of CHANGES: one an attribute that differs, one for what comes or goes as a whole."""
    told = change.differences if change.kind in ("update", "replace") else [Difference()]
    for d in told:
        forced = d.top in change.forces
        if change.kind == "replace" and d.after == LATER and not forced:
            continue  # a new one has everything anew
        said = why or ("forces the replacement" if forced else change.reason)
        row = (change.kind, change.address, d.attribute, d.before, d.after, said)
        yield dict(zip(CHANGES, row, strict=True))
