"""Triage: which procedures for a symptom, in their order; and a first look, when none is known."""

from itertools import chain

from opslib.catalogue import symptoms
from opslib.core import Connection, Finding, Findings, Question, beside, check, dtypes, frame
from opslib.reports import sections
from opslib.reports.reports import at_once
from opslib.runs import choices

STARTS = dtypes("""
    order   int64
    run     str
    title   str
    effect  str
    it_says str
""")
_MOST = 3
_ORDER = ("first", "second", "third")


@check("Where does one start?")
def check_symptom(ops: Connection, symptom: str = "") -> Findings:
    """The three procedures that fit what was said best, in their order, each as a finding.

    A symptom that is not understood is *unknown*, and the first look says more; without one there
    is no finding. Evidence: STARTS.
    """
    if not symptom.strip():
        return Findings(note="No symptom is given: see below what the system itself says.")
    found = symptoms.Guide(ops.target, choices.is_described).find(symptom)
    read = " ".join(found.told)
    asked = Question(f"symptom: {symptom}", "none", "what procedures and the runbook say")
    if not found.hits:
        seen = "nothing is known yet" if found.unsure else "not understood"
        said = f"{seen}: the first look below says where it points"
        return Findings(asked.unknown(said), note=read)
    hits = found.hits[:_MOST]
    told = [
        asked.warn(f"{order}: {hit.title}. It says: {hit.why}", next=hit.name)
        for order, hit in zip(_ORDER, hits, strict=False)
    ]
    rows = [(order, hit.name, hit.title, hit.effect, hit.why) for order, hit in enumerate(hits, 1)]
    return Findings(told, frame(rows, STARTS), read)


def first_look(ops: Connection) -> Findings:
    """Quick health, services, functions, alarms, key metrics: what the target describes, at once.

    The note says where it points, the verdict what was not looked at. A part that is denied or does
    not answer is one unknown finding.
    """
    facts = ops.target.facts.plain()
    looks = [
        (row["where"].split(".")[0], look)
        for row in beside(__file__, "triage")
        for look in sections.looks(row, facts)
    ]
    found = Findings(chain.from_iterable(at_once(ops, looks)))
    looked = ", ".join(dict(looks)) or "nothing, none is described"
    found.note = f"Looked at: {looked}. {_points_to(found.troubles)}"
    parts = {place.split()[0] for name, place in choices.needs().items() if "/" not in name}
    rest = ", ".join(sorted(parts & facts.keys() - dict(looks).keys()))
    ops.scope = f"Looked at: {looked}; not at: {rest} (opslib report daily -t {ops.target.name})."
    return found


def _points_to(troubles: list[Finding]) -> str:
    named = list(dict.fromkeys(f.next for f in troubles if f.next))[:_MOST]
    if named:
        return f"It points to {', then '.join(named)}."
    return "Something is not well, and nothing points further." if troubles else "Nothing is wrong."
