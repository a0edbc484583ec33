"""What still stands: changes of its records that nobody took back, and what is not as before."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opslib.core import UNSURE, Finding, Findings, Json
from opslib.core.findings import known
from opslib.records import reading
from opslib.records.records import Record

# By the procedure's name: what is done to get through, and meant to be taken back.
_TEMPORARY = re.compile(r"silence|disable|block|scale|size|throttl|stop|pause|suspend|maintenance")
_SYMPTOM = "symptom:"  # a word of somebody's, not what a check saw


class Change(NamedTuple):
    """What a run applied. `undone`: `no`, `partly`, `unknown`, or `by <record>`."""

    record: Record
    plan: Json
    steps: tuple[Json, ...]  # that are applied, or may be
    approval: Json
    undone: str

    @property
    def temporary(self) -> bool:
        return bool(_TEMPORARY.search(self.record.procedure))

    @property
    def stands(self) -> bool:
        return not self.undone.startswith("by ")

    @property
    def unsure(self) -> bool:
        """Whether all of it was applied is not known."""
        return any(step.get("state") in UNSURE for step in self.steps)

    @property
    def undo(self) -> str:
        return f"opslib run changes/undo -t {self.record.target} -p record={self.record.id}"

    def __str__(self) -> str:
        steps = "; ".join(str(step.get("title")) for step in self.steps)
        sure = " (whether all of it was applied is not known)" if self.unsure else ""
        return f"{self.record.name}: {steps}{sure}"


def findings(record: Record | None) -> Findings:
    """Those of its file; none of no record."""
    return Findings(map(known, reading.said(record).get("findings") or ()) if record else ())


def changes(found: Sequence[Record]) -> list[Change]:
    """What these records applied, in their order, without what undid one of them."""
    made = [(record, reading.said(record)) for record in found if _may_have_changed(record)]
    undos = _undos(made)
    return [
        Change(
            record, of.get("plan") or {}, steps, of.get("approval") or {}, _undone(undos, record)
        )
        for record, of in made
        if not (of.get("plan") or {}).get("undoes")
        if (steps := _applied(of))
    ]


def _may_have_changed(record: Record) -> bool:
    return record.plan is not None and record.outcome not in ("previewed", "refused")


def _applied(of: Json) -> tuple[Json, ...]:
    return tuple(s for s in of.get("steps") or () if s.get("state") in ("applied", *UNSURE))


def _undos(made: Sequence[tuple[Record, Json]]) -> dict[str, Record]:
    """The newest run that undid something, by what it undid: also one after the incident."""
    if not made:
        return {}
    later = [
        record
        for target in {record.target for record, _ in made}
        for record in reading.list_records(target, min(r.started for r, _ in made))
    ]
    found: dict[str, Record] = {}
    for record in sorted(filter(_may_have_changed, later), key=lambda r: r.started):
        of = reading.said(record)
        if (id := (of.get("plan") or {}).get("undoes")) and _applied(of):
            found[id] = record
    return found


def _undone(undos: dict[str, Record], record: Record) -> str:
    if record.id not in undos:
        return "no"
    undo = undos[record.id]
    return f"by {undo.id}" if undo.outcome == "changed" else "partly"


class Compared(NamedTuple):
    """Checks that were not ok at the first look, and how they are at the last one."""

    mended: list[str]
    still: list[Finding]  # of now
    new: list[Finding]
    unseen: list[str]  # not ok then, and not looked at now

    @property
    def well(self) -> bool:
        return not (self.still or self.new or self.unseen)


def compare(before: Iterable[Finding], after: Iterable[Finding]) -> Compared:
    """Findings of two looks, by what was asked; *unknown* is not ok."""
    then, now = _bad_or_ok(before), _bad_or_ok(after)
    bad = {check for check, f in then.items() if f.status != "ok"}
    worse = {check: f for check, f in now.items() if f.status != "ok"}
    return Compared(
        sorted(bad & now.keys() - worse.keys()),
        [f for check, f in worse.items() if check in bad],
        [f for check, f in worse.items() if check not in bad],
        sorted(bad - now.keys()),
    )


def _bad_or_ok(found: Iterable[Finding]) -> dict[str, Finding]:
    """By what was asked; of several answers one that is not ok, the first of these."""
    asked = [f for f in found if not f.check.startswith(_SYMPTOM)]
    return {f.check: f for f in asked} | {f.check: f for f in reversed(asked) if f.status != "ok"}
