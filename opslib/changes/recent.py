"""What was changed shortly before a trouble began: candidates for its cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from opslib import functions
from opslib.changes import memory, trails
from opslib.changes.differences import accepted
from opslib.changes.forms import Forms, own_key
from opslib.changes.resources import declared
from opslib.core import (
    UTC_TIME,
    Connection,
    Findings,
    Json,
    OpsError,
    Question,
    Window,
    check,
    clock,
    count,
    frame,
    window,
)

RECENT = {"time": UTC_TIME, "what": "str", "resource": "str", "by": "str", "source": "str"}
_BEFORE = timedelta(hours=3)
_SHOWN = 5


@check("What was changed shortly before?")
def check_recent(
    ops: Connection, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """What was changed in the window and in the three hours before it, newest first.

    From CloudTrail's writing events that name a resource of the target, versions that went live,
    differences that reports found, and runs of ours. A change is a candidate, not a cause: ok, or
    unknown where one of these could not be looked at. Evidence: RECENT. Raises UsageError.
    """
    asked = window(ops, minutes, since, until)
    within = Window(asked.start - _BEFORE, asked.end)
    known = memory.last(ops, Forms(own_key())) or memory.Memory()
    rows, unseen = [*_known(ops, within, known)], []
    acts, trouble = trails.events(ops, within.start, within.end)
    unseen += [f"CloudTrail: {trouble}"] if trouble else []
    names = sorted({name for _, name in (*declared(ops), *known.now)}, key=len, reverse=True)
    for act in acts:
        if named := next((name for name in names if act.names(name)), ""):
            rows.append(_row(act.time, act.what, named, act.by, "CloudTrail"))
    try:
        rows += _versions(ops, within)
    except OpsError as exc:
        unseen.append(f"versions: {exc}")
    rows.sort(key=lambda row: row["time"], reverse=True)
    told = [f"{clock(r['time'], within.end)} {r['what']} {r['resource']}" for r in rows[:_SHOWN]]
    seen = count(len(rows), "change") + (f": {'; '.join(told)}" if told else " known")
    seen += f". Not seen: {'; '.join(unseen)}" if unseen else ""
    question = Question(
        "changed shortly before",
        f"candidates since {clock(within.start, within.end)}",
        "CloudTrail",
    )
    taken = accepted(ops, ("read", "cloudtrail:LookupEvents", ""))
    dark = unseen and not (acts or taken)
    status = "unknown" if dark else "ok"
    found = question.answer(status, seen, next="changes/configuration" if rows else "")
    return Findings([found], frame(rows, RECENT) if rows else None)


def _row(time: datetime, what: str, resource: str, by: str, source: str) -> Json:
    return {"time": time, "what": what, "resource": resource, "by": by, "source": source}


def _known(ops: Connection, within: Window, known: memory.Memory) -> Iterator[Json]:
    """By our own records: what runs applied, and what reports found different."""
    for act in trails.own(ops.target.name, within.start):
        if act.time <= within.end:
            yield _row(act.time, act.what, "", act.by, "records")
    for (kind, name, path), (_, _, before, by, _) in known.since.items():
        found = datetime.fromisoformat(before)
        if within.start <= found <= within.end:
            yield _row(
                found, f"{path or 'all of it'} found different", f"{kind} {name}", by, "report"
            )


def _versions(ops: Connection, within: Window) -> Iterator[Json]:
    """Versions that are live and were published in the window."""
    facts = ops.target.facts.get("functions", {})
    named = [name for name, about in facts.items() if "alias" in about]
    for name, versions in ops.each(partial(functions.list_versions, ops), named).items():
        for row in versions[versions["live"]].itertuples():
            if within.start <= row.published <= within.end:
                what = f"version {row.version} ({row.description}) live"
                yield _row(row.published, what, facts[name]["name"], "", "versions")
