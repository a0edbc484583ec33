"""What the records say of a change: of its run, of what went on with it, of what took it back."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from opslib import records
from opslib.core import UNSURE, Connection, Json, OpsError, Refused, UsageError
from opslib.records import Record


def details(record: Record) -> Json:
    """Nothing of one that changed nothing, and of one whose file is gone: no help to undo."""
    if record.plan is None or record.outcome in ("previewed", "refused", records.RUNNING):
        return {}
    try:
        return records.details(record)
    except OpsError:
        return {}


@dataclass
class Change:
    """What the records say of a change: of its run, of what went on with it and what undid it."""

    id: str
    outcome: str
    planned: list[Json]
    notes: list[str] = field(default_factory=list)
    steps: list[Json] = field(default_factory=list)  # that are done, or may be, in their order
    known: dict[str, Json] = field(default_factory=dict)  # the last of each step, by its name
    results: Json = field(default_factory=dict)
    undone: Counter[str] = field(default_factory=Counter)
    perhaps_undone: Counter[str] = field(default_factory=Counter)

    def take(self, record: Record, said: Json) -> None:
        """Steps of its run, or of one that went on with it."""
        plan = said.get("plan") or {}
        for step in said.get("steps", ()):
            of_it = step.get("plan") in (None, plan.get("id"))  # a run may apply several
            kept = plan["steps"][step["number"] - 1] if of_it else step
            named = f"Step {step['number']} of {record.id} ({step['title']})"
            known = {name: kept.get(name) for name in ("undo", "before", "after", "observe")}
            step = known | step | {"named": named}
            if of_it:
                self.known[name_of(kept, step["number"])] = step
                self.results |= step.get("results") or {}
            if step["state"] in ("applied", *UNSURE):
                self.steps.append(step)
            else:
                self.notes.append(
                    f"Step {step['number']} ({step['title']}) was {step['state']}, not applied: "
                    "look whether it was done all the same."
                )

    def take_undo(self, said: Json) -> None:
        for step in said.get("steps", ()):
            if step.get("plan") not in (None, said["plan"]["id"]):  # a run may apply several
                continue
            key = key_of([step["title"], said["plan"]["steps"][step["number"] - 1]["do"]])
            self.undone[key] += step["state"] == "applied"
            self.perhaps_undone[key] += step["state"] in UNSURE
        self.undone, self.perhaps_undone = +self.undone, +self.perhaps_undone


def read(ops: Connection, record: str) -> Change:
    """By any of its records. Raises UsageError (no such record, another target's), Refused."""
    asked = records.find(record)
    if asked.target != ops.target.name:
        raise UsageError(f"Record {asked.id} is of {asked.target}, not of {ops.target.name}.")
    plan = records.details(asked).get("plan") or {}
    of = plan.get("undoes") or plan.get("resumes")
    first = records.find(of) if of else asked
    if records.RUNNING in (first.outcome, asked.outcome):
        raise Refused(f"{first.id} is still running. Nothing was changed.")
    said = records.sealed(first)
    change = Change(first.id, first.outcome, (said.get("plan") or {}).get("steps", []))
    if of:
        change.notes.append(f"{asked.id} is a part of the change {first.id}.")
    change.take(first, said)
    every = records.list_records(target=ops.target.name)  # a clock may have been set back since
    for other, more in ((each, details(each)) for each in reversed(every)):
        of_it = more.get("plan") or {}
        if of_it.get("resumes") == first.id:
            change.take(other, records.sealed(other))
        elif of_it.get("undoes") == first.id:
            change.take_undo(records.sealed(other))
    return change


def key_of(said: Any) -> str:
    return json.dumps(said, sort_keys=True, default=str)


def name_of(kept: Json, number: int) -> str:
    return str(kept.get("name") or number)
