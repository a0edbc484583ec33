"""The verdict of a run: the worst finding, what changed, what to do next."""

import textwrap
from dataclasses import asdict, dataclass, replace
from typing import Any

from opslib.core import redaction
from opslib.core.checks import severities
from opslib.core.checks.evidence import Line, evidence
from opslib.core.connections.connection import Connection
from opslib.core.findings import MIME, Findings
from opslib.core.plans.plans import Plan
from opslib.core.tables import Json, escaped

_HEADLINE = 200  # characters of a finding in the sentence; the table of findings holds all of them


@dataclass(frozen=True)
class Verdict:
    """`outcome`: ok, attention, changed or previewed.

    `status`: the worst finding that still counts.
    """

    outcome: str
    status: str
    sentence: str
    changed: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    plan: str = ""
    evidence: tuple[Line, ...] = ()
    lines: tuple[str, ...] = ()  # to type, of each that is next; empty where it is no procedure

    def __repr__(self) -> str:
        lines = [f"{self.outcome.upper()}: {self.sentence}"]
        lines += [f"{label}: {said}" for label, said in self.evidence]
        lines += [f"changed: {change}" for change in self.changed]
        known = dict(zip(self.next, self.lines, strict=False))
        lines += [f"next: {known.get(step) or step}" for step in self.next]
        return "\n".join(lines)

    def _repr_mimebundle_(self, **_: Any) -> Json:
        items = "".join(f"<li>{escaped(line)}</li>" for line in repr(self).splitlines()[1:])
        head = f"<p><strong>{self.outcome.upper()}</strong>: {escaped(self.sentence)}</p>"
        return {
            "text/plain": repr(self),
            "text/html": head + (f"<ul>{items}</ul>" if items else ""),
            MIME: {"verdict": asdict(self)},
        }


def conclude(ops: Connection) -> Verdict:
    """The verdict over all findings of this run; after a change, over those that verify it."""
    changed, plan = ops.changed, ops.kept(Plan)
    counted = Findings(f for f in ops.findings if f.verifies or not changed)
    bad = counted.troubles
    steps = plan.steps if plan else ()
    outcome = "changed" if changed else "previewed" if steps else "attention" if bad else "ok"
    said = _sentence(counted, bad, changed, nothing=plan is not None and not steps)
    if more := [*(plan.notes if plan and not steps else ()), *filter(None, [ops.scope])]:
        said = " ".join([f"{said.removesuffix('.')}.", *more])
    verdict = Verdict(
        outcome,
        counted.worst,
        said,
        tuple(step.title for step in steps) if changed else (),
        tuple(dict.fromkeys(f.next for f in bad if f.next)),
        plan.id if plan and steps else "",
        (*severities.told(ops, bad), *evidence(counted)),
    )
    about = {name: " ".join(f.check for f in bad if f.next == name) for name in verdict.next}
    verdict = replace(verdict, lines=tuple(ops.follow(*each) for each in about.items()))
    ops.journal.write("verdict", **asdict(verdict))
    return verdict


def _sentence(counted: Findings, bad: Findings, changed: bool, nothing: bool) -> str:
    after = " after the change" if changed else ""
    if nothing and not bad:
        checked = f" {_sentence(counted, bad, changed, nothing=False)}" if counted else ""
        return f"Nothing is to be changed.{checked}"
    if not counted:
        return f"No check was made{after}."
    if bad:
        first = f"{bad[0].status}: {bad[0].check}: {_brief(bad[0].seen)}"
        return f"{len(bad)} of {len(counted)} checks{after} did not pass. {first}"
    if len(counted) == 1:
        return f"The check{after} passed: {counted[0].check}."
    return f"All {len(counted)} checks{after} passed."


def _brief(seen: str) -> str:
    """What a finding says, as far as a headline holds it: whole sentences if they fit, else cut
    between words.
    """
    seen = redaction.mask(seen)
    head, end, _ = seen[: _HEADLINE + 1].rpartition(". ")
    if len(seen) > _HEADLINE and end:
        return head
    return textwrap.shorten(seen, _HEADLINE + 2, placeholder=" …")
