"""A recovery's clock: which phases were applied, when, and how long all of it took.

Each phase is a plan of its own, whose summary says which. So the records of the runs are the clock,
however they were run.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from opslib import records
from opslib.core import (
    LAB,
    Applied,
    Connection,
    Finding,
    Findings,
    Json,
    OpsError,
    Plan,
    Planned,
    Question,
    check,
    dtypes,
    frame,
    require_known,
)

PHASES = {"database": ("stop", "restore", "switch", "resume"), "bucket": ("create", "fill")}
CLOCK = dtypes("""
    phase   str
    began   utc
    ended   utc
    minutes float64
    who     str
    record  str
""")
_SUMMARY = re.compile(r"recovery/(\w+), (\w+): ")
_NAMELESS = "notebook"  # the procedure of a record whose notebook nobody told
_LOOKED_BACK, _PAUSE = timedelta(days=400), timedelta(days=1)
_REHEARSED_DAYS = 180
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


class Phase(NamedTuple):
    """One that was applied, by its plan. `record`: empty while it runs."""

    phase: str
    began: datetime
    ended: datetime
    who: str
    record: str
    plan: str

    @property
    def minutes(self) -> float:
        return (self.ended - self.began) / _MINUTE


class Recovery(NamedTuple):
    """Phases of one recovery, in the order in which they were applied."""

    of: str
    phases: Sequence[Phase]

    @property
    def left(self) -> list[str]:
        done = {each.phase for each in self.phases}
        return [phase for phase in PHASES[self.of] if phase not in done]

    @property
    def took(self) -> timedelta:
        return self.phases[-1].ended - self.phases[0].began

    def find(self, phase: str) -> Phase | None:
        return next((each for each in reversed(self.phases) if each.phase == phase), None)

    def __str__(self) -> str:
        parts = ", ".join(f"{each.phase} {each.minutes:.1f}" for each in self.phases)
        first = self.phases[0]
        said = f"{self.took / _MINUTE:.1f} min since {first.began:%Y-%m-%d %H:%M} UTC"
        return f"{said}, by {first.who} (minutes: {parts})"


def said(of: str, phase: str, planned: Planned) -> Planned:
    """A plan that is a phase. Its summary is what the clock is read from."""
    return planned._replace(summary=f"recovery/{of}, {phase}: {planned.summary}")


def require_phase(of: str, phase: str) -> None:
    """Raises UsageError for what is no phase of it."""
    require_known("phase", phase, PHASES[of], f" of recovery/{of}")


def phase_of(plan: Plan) -> str:
    """Which phase a plan is; empty: none."""
    told = _SUMMARY.match(plan.summary)
    return told[2] if told else ""


def find_recoveries(ops: Connection, of: str, target: str = "") -> list[Recovery]:
    """Those whose phases are on record, the newest first.

    One ends with its last phase, or with a day's pause: a phase that is repeated begins none.
    """
    found: list[list[Phase]] = []
    for each in _phases(ops, of, target or ops.target.name):
        paused = not found or each.began - found[-1][-1].ended > _PAUSE
        if paused or not Recovery(of, found[-1]).left:
            found.append([])
        found[-1].append(each)
    return [Recovery(of, phases) for phases in reversed(found)]


def under_way(ops: Connection, of: str) -> Recovery:
    """The newest, when some of its phases are left and it was not left alone; else one of none."""
    for newest in find_recoveries(ops, of)[:1]:
        if newest.left and ops.now() - newest.phases[-1].ended <= _PAUSE:
            return newest
    return Recovery(of, ())


def _phases(ops: Connection, of: str, target: str) -> Iterator[Phase]:
    since = ops.now() - _LOOKED_BACK
    listed = records.list_records(target=target, since=since, outcome="changed")
    for record in reversed(listed):
        if record.procedure in (f"recovery/{of}", _NAMELESS) and record.ended:
            plan: Json = {}
            with suppress(OpsError):  # its file is not kept any longer
                plan = records.details(record).get("plan") or {}
            told = _SUMMARY.match(plan.get("summary", ""))
            if told and told[1] == of:
                by = record.who, record.id, record.plan or ""
                yield Phase(told[2], record.started, record.ended, *by)


@check("How long does the recovery take?")
def check_clock(ops: Connection, of: str, applied: Applied | None = None) -> Findings:
    """The phases so far against the time that the target allows, and which is next.

    `applied`: what this run did, which is on record only when it ended. Evidence: CLOCK.
    """
    every = find_recoveries(ops, of)
    phases = under_way(ops, of).phases
    if applied and applied.changed:
        phases = _with(ops, of, every, applied.plan)
    if not phases:
        note = f"No recovery is under way. It begins with phase {PHASES[of][0]!r}."
        return Findings(note=note + (f" The last one: {every[0]}." if every else ""))
    recovery, most = Recovery(of, phases), _objective(ops)
    if recovery.left:
        recovery = recovery._replace(phases=[*phases, phases[-1]._replace(ended=ops.now())])
    asked = Question(f"recovery of the {of}", _rule(most), "records")
    said = (
        f"next: phase {recovery.left[0]!r}" if recovery.left else "complete: this RTO was reached"
    )
    seen = f"{Recovery(of, phases)}; {said}"
    rows = [each._asdict() | {"minutes": round(each.minutes, 1)} for each in phases]
    if most is None:
        return Findings(asked.unknown(seen), frame(rows, CLOCK))
    well = recovery.took <= most
    return Findings(asked.judged(well, seen, otherwise="warn"), frame(rows, CLOCK))


def _with(ops: Connection, of: str, every: Sequence[Recovery], plan: Plan) -> list[Phase]:
    """The phases up to this run's."""
    if every and every[0].phases[-1].plan == plan.id:  # on record already
        return [*every[0].phases]
    now = Phase(phase_of(plan), plan.made, ops.now(), plan.planner, "", plan.id)
    return [*under_way(ops, of).phases, now]


def aims(ops: Connection) -> Any:
    """What the target's file wants of a recovery, as far as it says."""
    return ops.target.at("recovery")


def _objective(ops: Connection) -> timedelta | None:
    hours = aims(ops).get("rto_hours")
    return None if hours is None else hours * _HOUR


def _rule(most: timedelta | None) -> str:
    if most is None:
        return "nothing: recovery.rto_hours is not in the target's file"
    return f"at most {most / _HOUR:g} h"


@check("Was a recovery rehearsed, and how long did it take?")
def check_rehearsal(ops: Connection) -> Findings:
    """RTO: the last recovery or rehearsal of each part, by its record. None is unknown, never ok.

    In the practice copy it proves the way, not the time that AWS needs: it is told beside.
    """
    facts = ops.target.facts
    copied = any("copy_to" in each for each in facts.get("buckets", {}).values())
    parts = [*(["database"] if "database" in facts else ()), *(["bucket"] if copied else ())]
    return Findings(map(partial(_rehearsed, ops), parts))


def _rehearsed(ops: Connection, of: str) -> Finding:
    most = _objective(ops)
    days = aims(ops).get("rehearsed_days", _REHEARSED_DAYS)
    rule = f"{_rule(most)}, in the last {days} days"
    asked = Question(f"RTO of the {of}, as rehearsed", rule, f"records of recovery/{of}")
    every, next = find_recoveries(ops, of), f"recovery/{of}"
    practised = [] if ops.target.lab else find_recoveries(ops, of, LAB + ops.target.key)
    beside = "".join(f"; in the practice copy, quicker than AWS: {one}" for one in practised[:1])
    whole = [each for each in every if not each.left]
    if not whole:
        seen = f"only {every[0]}; not {', '.join(every[0].left)}" if every else "never"
        return asked.unknown(seen + beside, next=next)
    last = whole[0]
    seen = f"{last}{' in the practice copy' * ops.target.lab}{beside}"
    if most is None:
        return asked.unknown(seen)
    if last.took > most:
        return asked.critical(seen, next=next)
    fresh = ops.now() - last.phases[-1].ended <= timedelta(days=days)
    return asked.judged(fresh, seen, otherwise="warn", next=next)
