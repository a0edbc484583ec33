"""A database whose rows are wrong, recovered in four phases: each a plan, seen before the next.

Stop who writes; restore beside; point the secret at the restored one; let them write again.
"""

from collections.abc import Iterator
from functools import partial
from inspect import unwrap
from typing import Any

from opslib import changes, databases, functions, records, secrets, services
from opslib.core import (
    UTC_TIME,
    Applied,
    Connection,
    Facts,
    Finding,
    Findings,
    Frame,
    Json,
    OpsError,
    Plan,
    Planned,
    Question,
    Refused,
    ask,
    check,
    dtypes,
    frame,
    planner,
    quoted,
    stages,
)
from opslib.core.actions.logins import Pointed
from opslib.core.connections import addresses
from opslib.recovery import clock

CORRUPTED = "database-corrupted"  # the cause that findings name
NEWEST = dtypes("""
    table        str
    newest_there utc
    newest_now   utc
""")


@planner
def plan_recovery(
    ops: Connection, phase: str, to: str = "latest", snapshot: str = "", name: str = ""
) -> Planned:
    """One phase: stop, restore, switch or resume.

    `to`, `snapshot`, `name`: as databases.plan_restore takes them. Raises UsageError (no such
    phase), Refused (the phase before is not on record, the restored one takes no login, the
    secret says no host).
    """
    clock.require_phase("database", phase)
    plans = {
        "stop": partial(_stop, ops),
        "restore": partial(unwrap(databases.plan_restore), ops, snapshot, to, name),
        "switch": partial(_switch, ops, name),
        "resume": partial(_resume, ops),
    }
    return clock.said("database", phase, plans[phase]())


def _stop(ops: Connection) -> Planned:
    """Whoever takes the database's secret writes: no task of it, no invocation."""
    name, arn = _secret(ops)
    writing = [str(each.service) for each in _consumers(ops)]
    reading = secrets.list_functions(ops, name, arn)
    steps = [step for key in writing for step in services.steps_stopped(ops, key)]
    steps += [step for key in reading for step in functions.steps_stopped(ops, key)]
    who = ", ".join([*writing, *reading])
    if not who:
        raise Refused(
            f"Nothing of the target's file takes secret {name}: who writes is not known here. Stop "
            "it where it runs, and describe it as a service or function. Nothing was changed."
        )
    notes = [
        f"Who takes secret {name} stops: {who}. From here on nothing of it answers.",
        "Others that hold the login (a person, a job elsewhere) are not known here: see "
        "databases/sessions.",
        "Undo, and the last phase, bring back what ran before.",
    ]
    return Planned(f"stop {who}", steps, notes)


def _secret(ops: Connection) -> tuple[str, str]:
    """The database's secret: name and ARN."""
    name = addresses.secret_of(ops)
    described = secrets.read_age(ops, name)[1]
    if not described:
        raise Refused(f"Secret {name} is not there. Nothing was changed.")
    return name, str(described["ARN"])


def _switch(ops: Connection, name: str) -> Planned:
    """The secret says another host; whoever takes it is started anew."""
    new, secret = name or restored(ops), addresses.secret_of(ops)
    at = databases.find_endpoint(ops, new)
    try:
        ask(ops, "SELECT 1", at=at)
    except OpsError as exc:
        raise Refused(f"{new} takes no login with the present secret: {exc}") from exc
    called = ops.target["database"].get("secret_keys")
    moved = addresses.moved(present := ops.secret(secret), at, called)
    if moved == present:
        note = f"It leads to {at['host']} already: was the restored one meant? Give its name."
        return Planned(f"point {secret} at {new}", notes=[note])
    if moved is None:
        raise Refused(
            f"Secret {secret} says no host, so the app has it elsewhere: give {new} the name of "
            "the present one (rename that first), then its address stays. Nothing was changed."
        )
    of = stages.versions(ops, secret)
    title = f"Keep the address of {new} beside the present one, as AWSPENDING of secret {secret}"
    steps, _ = secrets.steps_told(ops, of)
    notes = [
        f"STILL WRONG in {new}: {each.seen}" for each in _judged(ops, at) if each.status != "ok"
    ]
    notes += _missing(ops, "stop", "who writes goes on, and what is written meanwhile is lost.")
    notes += [
        f"From {at['host']}:{at['port']} on the app reads and writes {new}. What was "
        "written to the present one after the restored moment is not there: keep the present one.",
        "Undo points the secret back, and starts the same services anew.",
        *(
            f"Function {key} reads it by itself, and its environments may keep the old address: "
            "functions/environment gives it new ones, before it runs again."
            for key in secrets.list_functions(ops, secret, of.arn)
        ),
    ]
    pending = of.pending(title, Pointed(secret, at, dict(called or {})))
    return Planned(f"point {secret} at {new}", [pending, *steps], notes)


def restored(ops: Connection) -> str:
    """The database that this recovery's restore made, by its record. Raises Refused."""
    kept = records.sealed(records.find(_phase(ops, "restore").record))["plan"]
    return databases.name_of_restored(Plan.of(kept))


def _phase(ops: Connection, phase: str) -> clock.Phase:
    if found := clock.under_way(ops, "database").find(phase):
        return found
    raise Refused(
        f"Phase {phase!r} of a recovery that is under way is not on record here, so what it did is "
        "not known. Nothing was changed. A restored database is named by name='…'; what a run "
        "stopped is brought back by changes/undo."
    )


def _missing(ops: Connection, phase: str, so: str) -> list[str]:
    """A note, where a phase that comes before was left out."""
    known = clock.under_way(ops, "database").find(phase)
    return [] if known else [f"Phase {phase!r} is not on record: {so}"]


def _resume(ops: Connection) -> Planned:
    """What the stop took away comes back, and is waited for; of several stops the last first."""
    last, every = _phase(ops, "stop"), clock.under_way(ops, "database").phases
    stops = [each.record for each in reversed(every) if each.phase == last.phase]
    plans: list[Planned] = [unwrap(changes.plan_undo)(ops, each) for each in stops]
    waits = [step for of in _consumers(ops) for step in services.steps_running(ops, of.service)]
    notes = _missing(ops, "switch", "they write to the database of before again.")
    notes += [
        "Left over, and paid for: the database of before. Keep it until nobody misses a row; then "
        "delete it with a final snapshot.",
        "The target's file, Terraform and the alarms name the database of before: write the "
        "restored one there, and switch its deletion protection on.",
        *(note for planned in plans for note in planned.notes),
    ]
    steps = [step for planned in plans for step in planned.steps]
    return Planned("let them write again", [*steps, *waits], notes, undoes=last.record)


@check("Did the phase do what it should?")
def check_phase(ops: Connection, applied: Applied) -> Findings:
    """After stop: no task is left. After restore: login and rows of the new one.

    Then: the rows that the secret leads to; after resume also what serves.
    """
    phase = clock.phase_of(applied.plan)
    if phase == "stop":
        return Findings(
            Question(f"tasks of {each.service}", "none: they write", "ecs ListTasks").judged(
                not each.tasks, f"{each.tasks}"
            )
            for each in _consumers(ops)
        )
    if phase == "restore":
        new = databases.name_of_restored(applied.plan)
        compared = unwrap(databases.check_restored)(ops, new)
        rows: Findings = unwrap(check_integrity)(ops, new)
        return Findings([*compared, *rows], rows.evidence, rows.note)
    rows = unwrap(check_integrity)(ops)
    if phase == "resume" and "services" in ops.target.facts:
        rows += unwrap(services.check_services)(ops)
        rows += unwrap(services.check_targets)(ops)
    return rows


def _consumers(ops: Connection) -> list[Any]:
    """Services that take the database's secret: service, tasks."""
    return [*services.list_consumers(ops, _secret(ops)[1], ops.now()).itertuples()]


@check("Are the rows what they have to be?")
def check_integrity(ops: Connection, name: str = "") -> Findings:
    """Rules of the target's file that no row may break; of a restored database also what it lacks.

    Of the one that the secret names, or of a restored one by its name. Evidence of that: NEWEST.
    """
    at = databases.find_endpoint(ops, name) if name else None
    found, evidence = [*_judged(ops, at)], None
    note = "" if found else "The target's file names no rule: recovery.invariants. Look yourself."
    columns = clock.aims(ops).get("newest", {})
    if name and columns:
        read = partial(_newest, ops, columns, at)
        evidence = frame(ops.each(read, columns, "newest row of {}").values(), NEWEST)
        found.append(_lost(ops, name, evidence))
    return Findings(found, evidence, note)


def _judged(ops: Connection, at: Json | None) -> Iterator[Finding]:
    wrong = {"otherwise": "critical", "cause": CORRUPTED, "next": "recovery/database"}
    for query in clock.aims(ops).get("invariants", ()):
        yield databases.judge_query(ops, databases.find_query(ops, query), at, **wrong)


def _newest(ops: Connection, columns: Facts, at: Json | None, table: str) -> Json:
    text = f"SELECT max({quoted(columns[table])}) AS at FROM {quoted(table)}"
    there, now = (ask(ops, text, columns={"at": UTC_TIME}, at=one)["at"][0] for one in (at, None))
    return {"table": table, "newest_there": there, "newest_now": now}


def _lost(ops: Connection, new: str, newest: Frame) -> Finding:
    """From when to when what was written is not in it."""
    hours = clock.aims(ops).get("rpo_hours")
    rule = "all" if hours is None else f"what is lacking is of {hours:g} h at most"
    asked = Question(f"newest rows of {new}", rule, "SELECT max(…)")
    gap = (newest["newest_now"] - newest["newest_there"]).dt.total_seconds() / 3600
    if not (gap > 0).any():
        return asked.ok("as new as those of the present database")
    worst = newest.loc[gap.idxmax()]
    seen = f"{worst['table']}: what was written from {worst['newest_there']:%Y-%m-%d %H:%M:%S} to "
    seen += f"{worst['newest_now']:%H:%M:%S} UTC, {gap.max():.1f} h, is in the present one only"
    return asked.judged(hours is not None and gap.max() <= hours, seen, otherwise="warn")
