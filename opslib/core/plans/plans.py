"""Changes as data: planned, shown, approved by a hash, applied, verified, undone.

A planner returns the steps; the plan that is previewed is the object that is applied and kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from opslib.core.actions.actions import Action
from opslib.core.errors import Refused
from opslib.core.findings import MIME
from opslib.core.tables import Json, escaped, html_table, safe, text_table
from opslib.core.text import cut

TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Step:
    """One change: what is done, the state before and after, what undoes it (None: nothing can)."""

    title: str
    do: Action
    before: Any = None
    after: Any = None  # may be, or hold, a `result(…)` of a step before it
    undo: Sequence[Action] | None = None
    observe: Action | None = None  # a read whose value is `before` now and `after` when applied
    name: str = ""  # for `result("<name>.…")` in later steps


class Planned(NamedTuple):
    """What a planner returns: the change in a few words, its steps, what else there is to say."""

    summary: str
    steps: Iterable[Step] = ()
    notes: Iterable[str] = ()
    undoes: str = ""  # the record of the change that this takes back
    resumes: str = ""  # the record of the change that this goes on with


@dataclass
class Plan:
    """Steps for one target, made by one person at one time. Its id is a hash over all of that."""

    summary: str
    target: str
    account: str
    region: str
    planner: str
    made: datetime
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    undoes: str = ""  # the record of the change that this takes back
    resumes: str = ""  # the record of the change that this goes on with
    again: Callable[[], Plan] | None = field(default=None, repr=False, compare=False)

    def digest(self, planner: str, made: str) -> str:
        where = [self.target, self.account, self.region]
        facts = [*where, planner, made, [vars(step) for step in self.steps]]
        text = json.dumps(facts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def id(self) -> str:
        made = self.made.strftime(TIME)
        return f"{self.digest(self.planner, made)}.{self.planner}.{made}"

    @classmethod
    def of(cls, kept: Json) -> Plan:
        """The plan that a record keeps as JSON. Raises Refused: its name is not that of its steps.

        A secret that was masked in it has this effect, too.
        """
        facts = {key: value for key, value in kept.items() if key != "id"}
        steps = [
            step
            | {"do": Action(step["do"])}
            | {"undo": step["undo"] and [Action(each) for each in step["undo"]]}
            | {"observe": step["observe"] and Action(step["observe"])}
            for step in kept["steps"]
        ]
        facts["made"] = datetime.fromisoformat(kept["made"])
        facts["steps"] = tuple(Step(**step) for step in steps)
        plan = cls(**facts)
        if plan.id != kept["id"]:
            raise Refused(f"The record of plan {kept['id']} shows other steps than its name says.")
        return plan

    @property
    def reversible(self) -> bool:
        return all(step.undo is not None for step in self.steps)

    def rows(self) -> list[tuple[Any, ...]]:
        return [
            (
                number,
                step.title,
                str(step.do),
                short(step.before),
                short(step.after),
                "cannot be undone"
                if step.undo is None
                else "; ".join(map(str, step.undo)) or "nothing to undo",
            )
            for number, step in enumerate(self.steps, 1)
        ]

    def as_dict(self) -> Json:
        made = {k: v for k, v in vars(self).items() if k != "again"}
        return made | {
            "id": self.id,
            "made": self.made.isoformat(),
            "steps": [vars(s) for s in self.steps],
        }

    def __repr__(self) -> str:
        if not self.steps:
            return "\n".join(map(safe, (f"{self.summary}: nothing to do.", *self.notes)))
        table = text_table(_HEADER, self.rows())
        head = safe(f"Plan: {self.summary} ({self.target})")
        return "\n".join([head, table, *map(safe, self.notes)])

    def _repr_mimebundle_(self, **_: Any) -> Json:
        title = f"<p><strong>Plan:</strong> {escaped(self.summary)} ({escaped(self.target)})</p>"
        table = (
            html_table(_HEADER, self.rows(), "opslib-plan")
            if self.steps
            else "<p>Nothing to do.</p>"
        )
        notes = "".join(f"<p>{escaped(note)}</p>" for note in self.notes)
        return {
            "text/plain": repr(self),
            "text/html": title + table + notes,
            MIME: {"plan": json.loads(json.dumps(self.as_dict(), default=str))},
        }


_HEADER = ("#", "step", "call", "before", "after", "undo")


def short(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return cut(re.sub(r'\{"\$result": "(.*?)"\}', r"<\1>", text), 118)
