"""Planned maintenance, led: what is looked at before it, during and after, against before."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

from opslib import changes, databases, edge, records
from opslib.core import (
    SEVERITY,
    Connection,
    Finding,
    Findings,
    Json,
    OpsError,
    Question,
    Unasked,
    UsageError,
    check,
    count,
    dtypes,
    frame,
    functions,
    services,
)
from opslib.records import Record
from opslib.reports.reports import at_once
from opslib.reports.sections import checks

PROCEDURE, BEFORE, DURING, AFTER = "changes/maintenance", "before", "during", "after"
VERSIONS = {"what": "str", "was": "str", "now": "str"}
TROUBLES = dtypes("""
    area  str
    was   str
    now   str
    check str
    seen  str
    next  str
""")
_AREAS = ("health", "functions", "database", "alarms", "metrics", "errors", "queues", "jobs")
_LONG_AGO = timedelta(days=7)  # so long before it somebody may have prepared it
_FRESH_HOURS = 2.0
_ENGINES = (
    ("cluster", "describe_db_clusters", "DBCluster"),
    ("instance", "describe_db_instances", "DBInstance"),
)
_NOTICE, _BACK, _CLEAR = (
    "Users were told 48 hours before",
    "There is a way back for each change, and who decides on it",
    "Users were told that it is over",
)


def words(phase: str, notice: str, rollback: str, all_clear: str) -> dict[str, str]:
    """What no check sees in that phase, by question: for `told`."""
    asked = {BEFORE: {_NOTICE: notice, _BACK: rollback}, AFTER: {_CLEAR: all_clear}}
    return asked.get(_phase(phase), {})


def _phase(phase: str) -> str:
    if phase not in ("", BEFORE, DURING, AFTER):
        raise UsageError(f"phase={phase!r} is none of {BEFORE!r}, {DURING!r}, {AFTER!r}.")
    return phase


def _asked_in(phase: str, *phases: str) -> None:
    """Raises Unasked in another phase."""
    if _phase(phase) not in phases:
        raise Unasked(f"Looked at with phase={' or '.join(map(repr, phases))}.")


def prepared(ops: Connection) -> tuple[Record, list[Json]] | None:
    """The newest whole run of phase before, with what it found; None: none in a week."""
    last = records.last_report(ops.target.name, ops.now(), PROCEDURE, phase=BEFORE)
    return last if last and last[0].started > ops.now() - _LONG_AGO else None


@check("Which versions run?")
def check_versions(ops: Connection, phase: str) -> Findings:
    """Of each service, function and the database: documented before, compared afterwards.

    What is another one although no run of ours changed anything is a warning. Evidence: VERSIONS.
    """
    _asked_in(phase, BEFORE, DURING, AFTER)
    reads = _versions(ops)
    now = ops.each(lambda what: str(reads[what]()), reads, "version of {}")
    last = None if phase == BEFORE else prepared(ops)
    was = {f["check"]: f["seen"].partition("; was ")[0] for f in last[1]} if last else {}
    since = records.list_records(target=ops.target.name, since=last[0].started) if last else ()
    ours = any(each.outcome == "changed" for each in since)
    rows = [(what, was.get(f"version of {what}", ""), version) for what, version in now.items()]
    found = [_compared(phase, *row, ours) for row in rows]
    return Findings(found, frame(rows, VERSIONS))


def _versions(ops: Connection) -> dict[str, Any]:
    """What reads the version of each thing that the target's file names."""
    at = ops.target.at
    found: dict[str, Any] = {
        f"service {key}": partial(_revision, ops, key) for key in at("services")
    }
    for key in at("functions"):
        found[f"function {key}"] = partial(_function, ops, key)
    for kind, operation, key in _ENGINES:
        if name := at("database", kind):
            found["database"] = partial(_engine, ops, operation, key, name)
    if at("database", "migrations"):
        found["schema"] = lambda: databases.judge_schema(ops).seen
    return found


def _revision(ops: Connection, key: str) -> str:
    service = services.Service(ops, key)
    of = service.definition()
    image = service.container(of)["image"]
    return f"{of['family']}:{of['revision']}, {image.rpartition('/')[2]}"


def _engine(ops: Connection, operation: str, key: str, name: str) -> str:
    told = ops.call("rds", operation, **{f"{key}Identifier": name})
    return str(told[f"{key}s"][0]["EngineVersion"])


def _function(ops: Connection, key: str) -> str:
    of = functions.live(ops, key)
    return f"version {of['Version']}, code {of['CodeSha256'][:12]}"


def _compared(phase: str, what: str, was: str, now: str, ours: bool) -> Finding:
    rule = "documented" if phase == BEFORE else "as before, or changed by a run of ours"
    asked = Question(f"version of {what}", rule, "its describe call, record of phase before")
    if phase == BEFORE or was == now:
        return asked.ok(now)
    if not was:
        seen = f"{now}; no run of phase before tells what it was"
        return asked.unknown(seen, next=PROCEDURE)
    return asked.judged(ours, f"{now}; was {was}", otherwise="warn", next="changes/who")


@check("Is there a fresh snapshot?")
def check_fresh(ops: Connection, phase: str) -> Findings:
    """A snapshot of the database of the last two hours: of just before the first change."""
    _asked_in(phase, BEFORE, DURING)
    found = databases.list_snapshots(ops, days=1)
    usable = found[found["status"] == "available"]
    asked = Question("fresh snapshot", f"within {_FRESH_HOURS:g} hours", "rds snapshots")
    if usable.empty:
        return Findings(asked.warn("none in a day", next="databases/snapshot"))
    newest = usable.iloc[0]
    seen = f"{newest['snapshot']} ({newest['type']}), {newest['age_hours']:.1f} hours ago"
    well = bool(newest["age_hours"] <= _FRESH_HOURS)
    return Findings(asked.judged(well, seen, otherwise="warn", next="databases/snapshot"))


@check("Is all well?")
def check_well(ops: Connection, phase: str, minutes: float = 60) -> Findings:
    """The checks of the daily report by area, over the last minutes; afterwards against before.

    One finding an area, of its worst trouble; new and worse ones are told apart from those of
    before. Evidence: TROUBLES. The record has the findings of every check.
    """
    _asked_in(phase, BEFORE, DURING, AFTER)
    held, found, closed = len(ops.findings), list[Finding](), False
    with suppress(OpsError):  # which check_mode tells
        closed = phase == DURING and edge.is_on(ops)
    if closed:
        told = Question("requests through the load balancer", "answered by the system", "probes")
        seen = "maintenance mode is on: asked again when it is off"
        found.append(told.unknown(seen, next="edge/maintenance-mode"))
    wanted = [area for area in _AREAS if not closed or area != "health"]
    asked = [each for each in checks(ops, minutes / 60) if each[0] in wanted]
    with ops.reading_once():
        parts = at_once(ops, asked)
    del ops.findings[held:]
    last = None if phase == BEFORE else prepared(ops)
    was = {f["check"]: f["status"] for f in last[1]} if last else {}
    areas: dict[str, list[Finding]] = {}
    for (area, _), part in zip(asked, parts, strict=True):
        areas.setdefault(area, []).extend(part)
    rows = [
        {"area": area, "was": was.get(f.check, ""), "now": f.status, **vars(f)}
        for area, every in areas.items()
        for f in every
        if f.status != "ok"
    ]
    found += [_area(area, every, was) for area, every in areas.items()]
    return Findings(found, frame(rows, TROUBLES))


def _area(area: str, every: list[Finding], was: dict[str, str]) -> Finding:
    """Its worst trouble: of those that are new or worse, where it is known what was before."""
    asked = Question(f"{area} is well", "every check ok", f"{count(len(every), 'check')}")
    bad = Findings(f for f in every if f.status != "ok").worst_first()
    if not bad:
        return asked.ok("all ok")
    new = [f for f in bad if SEVERITY[f.status] > SEVERITY[was.get(f.check, "ok")]]
    worst = next(chain(new, bad))
    seen = f"{count(len(bad), 'trouble')}"
    if was:
        seen += f", {len(new)} new or worse than before"
    return asked.answer(bad[0].status, f"{seen}; {worst.check}: {worst.seen}", next=worst.next)


@check("What still stands?")
def check_standing(ops: Connection, phase: str, minutes: float = 60) -> Findings:
    """Runs since phase before: what they changed, what broke off, and whether it was watched for
    long enough since the last one. Evidence: changes.CHANGES.
    """
    _asked_in(phase, AFTER)
    last = prepared(ops)
    since = last[0].started if last else ops.now() - timedelta(days=1)
    every = records.list_records(target=ops.target.name, since=since)
    found = [*_standing(every), _watched(ops, every, minutes)]
    return Findings(found, changes.list_changes(ops, (ops.now() - since) / timedelta(days=1)))


def _standing(every: list[Record]) -> Iterator[Finding]:
    looked = [
        ("broke off", records.BROKEN, "changes/resume"),
        ("still run", (records.RUNNING,), ""),
    ]
    for words, outcomes, follows in looked:
        these = [each for each in every if each.plan and each.outcome in outcomes]
        asked = Question(f"changes that {words}", "none", "records")
        seen = "; ".join(f"{each.id} ({each.name}, {each.outcome})" for each in these) or "none"
        yield asked.judged(not these, seen, otherwise="warn", next=follows)


def _watched(ops: Connection, every: list[Record], minutes: float) -> Finding:
    ends = [each.ended for each in every if each.outcome == "changed" and each.ended]
    asked = Question("watched since the last change", f"{minutes:g} minutes", "records")
    if not ends:
        return asked.ok("no run of ours has changed anything since phase before")
    age = ops.now() - max(ends)
    due = max(ends) + timedelta(minutes=minutes)
    seen = f"{age.total_seconds() / 60:.0f} min since {max(ends):%H:%M} UTC"
    seen += f": run it again from {due:%H:%M} UTC on" * (ops.now() < due)
    return asked.judged(ops.now() >= due, seen, otherwise="warn")
