"""RDS instances: how one is sized and loaded, and another class for it, now or in its window."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from opslib.core import (
    Aws,
    Connection,
    Findings,
    Frame,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    UsageError,
    check,
    frame,
    planner,
    window,
)
from opslib.core.reads import metrics
from opslib.databases.instances import rds, states

LOAD = {
    "metric": "str",
    "unit": "str",
    "average": "float64",
    "lowest": "float64",
    "highest": "float64",
    "says": "str",
}
NOW, WINDOW = "now", "window"
_CLASS = "DBInstanceClass"
_NOTHING = "nothing waits"
_WAIT_SECONDS = 5400  # a class with other storage may take an hour
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SOURCE = "rds describe_db_instances"
_NONE_WAITS = Question("Nothing waits to be applied", "nothing", "rds PendingModifiedValues")
# CloudWatch metric: (divisor, unit, what it says about the class)
_LOAD = {
    "CPUUtilization": (1, "%", "high for hours: more vCPU"),
    "FreeableMemory": (2**30, "GiB", "low while reads are slow: more memory"),
    "DatabaseConnections": (1, "count", "the limit is max_connections, not the class"),
    "ReadLatency": (0.001, "ms", "up while CPU is low: storage, or memory"),
}
# Column: CloudWatch's statistic of five minutes, and what is made of them
_STATISTICS = {
    "average": ("Average", "mean"),
    "lowest": ("Minimum", "min"),
    "highest": ("Maximum", "max"),
}


@check("How is the instance sized?")
def check_size(ops: Connection) -> Findings:
    """Class, zones, the next maintenance window, and what waits for it already.

    Evidence: states.WAITING.
    """
    database = rds.instance_of(ops)
    described = database.describe(ops)
    rows = frame(states.waiting(ops, database, [described]), states.WAITING)
    zones = "Multi-AZ" if described.get("MultiAZ") else "one zone"
    status, then = described["DBInstanceStatus"], _next_window(described, ops.now())
    sized = Question(f"{database} is available, with its class", "available", _SOURCE).judged(
        status == "available",
        f"{described[_CLASS]}, {zones}, {status}; {then}",
        otherwise="warn",
    )
    changes = ", ".join(rows["change"])
    seen = f"{changes}: what is applied at once applies it, too" if changes else "nothing"
    waits = _NONE_WAITS.judged(not changes, seen, otherwise="warn")
    return Findings([sized, waits], rows if changes else None)


def list_load(ops: Connection, hours: float = 24) -> Frame:
    """What CloudWatch says of the load over the last hours, to decide by. Columns: LOAD."""
    instance = rds.instance_of(ops).key
    queries = [
        metrics.asked(f"{column}{at}", "AWS/RDS", name, instance, statistic)
        for at, name in enumerate(_LOAD)
        for column, (statistic, _) in _STATISTICS.items()
    ]
    points = metrics.query(ops, queries, window(ops, hours * 60)).groupby("id")["value"]
    found = points.agg(["mean", "min", "max"])
    rows = []
    for at, (name, (divisor, unit, says)) in enumerate(_LOAD.items()):
        row = {"metric": name, "unit": unit, "says": says}
        for column, (_, over) in _STATISTICS.items():
            row[column] = round(found[over].get(f"{column}{at}", math.nan) / divisor, 2)
        rows.append(row)
    return frame(rows, LOAD)


@planner
def plan_class(ops: Connection, instance_class: str, when: str = WINDOW) -> Planned:
    """Another class, `now` (ApplyImmediately, an interruption) or in the maintenance `window`.

    The present class as the wanted one takes back a class that waits. Raises UsageError (no such
    class, `when` unknown), Refused (not available; a way back that would apply something else).
    """
    if not instance_class:
        raise UsageError("No class is given. Give instance_class, as db.r6g.2xlarge.")
    if when not in (NOW, WINDOW):
        raise UsageError(f"when = {when!r} is neither {NOW!r} nor {WINDOW!r}.")
    database = rds.instance_of(ops)
    described = database.describe(ops)
    present, others = described[_CLASS], rds.waiting_values(described)
    waits = others.pop(_CLASS, None)
    then = _next_window(described, ops.now())
    if instance_class == present and waits is None:
        note = f"It is {present} already, and no other class waits."
        return Planned(f"{database} stays {present}", notes=[note])
    if instance_class == waits and when == WINDOW:
        return Planned(
            f"{database} becomes {waits} as it is", notes=[f"{waits} waits already; {then}."]
        )
    if described["DBInstanceStatus"] != "available":
        raise Refused(_not_now(database, described["DBInstanceStatus"]))
    if instance_class == present:
        return Planned(
            f"take back {waits} of {database}", [_back(database, present, waits, others)]
        )
    _require_orderable(ops, described, instance_class)
    if when == NOW:
        steps = _now(database, present, instance_class, others)
    else:
        steps = [_later(database, present, instance_class, waits, others)]
    soon = "at once" if when == NOW else "in the maintenance window"
    summary = f"{database} from {present} to {instance_class}, {soon}"
    return Planned(summary, steps, _notes(described, when == NOW, then, rds.in_words(others)))


def _not_now(database: rds.Database, status: str) -> str:
    asks = "Wait." if status in rds.PENDING else "What its state asks for: databases/health."
    asks = "Give it storage first: databases/storage." if status == "storage-full" else asks
    return f"{database} is {status}: RDS changes only one that is available. {asks}"


def _now(
    database: rds.Database, present: str, wanted: str, others: Mapping[str, Any]
) -> list[Step]:
    also = f", AND APPLY WHAT WAITS: {rds.in_words(others)}" if others else ""
    titles = (
        f"Change {database} to {wanted} at once{also}",
        f"Wait until it is {wanted} and available",
    )
    return database.changed(_CLASS, present, wanted, titles, seconds=_WAIT_SECONDS)


def _later(
    database: rds.Database, present: str, wanted: str, waits: str | None, others: Mapping[str, Any]
) -> Step:
    """No way back where others wait: RDS forgets a value only with what applies those."""
    forget = None if others else [database.put(_CLASS, present)]
    return Step(
        f"Let {database} become {wanted} in the maintenance window",
        do=_in_window(database, wanted),
        before=waits or _NOTHING,
        after=wanted,
        undo=[_in_window(database, waits)] if waits else forget,
        observe=_waiting_class(database),
    )


def _back(database: rds.Database, present: str, waits: str, others: Mapping[str, Any]) -> Step:
    if others:
        raise Refused(
            "RDS takes a waiting class back only with ApplyImmediately, which would also apply "
            f"{rds.in_words(others)}. Nothing was changed. Decide about that first, or choose a "
            "class for the window."
        )
    return Step(
        f"Keep {present}: {waits} no longer waits",
        do=database.put(_CLASS, present),
        before=waits,
        after=_NOTHING,
        undo=[_in_window(database, waits)],
        observe=_waiting_class(database),
    )


def _in_window(database: rds.Database, wanted: str) -> Aws:
    return database.put(_CLASS, wanted, ApplyImmediately=False)


def _waiting_class(database: rds.Database) -> Read:
    return database.read(f"PendingModifiedValues.{_CLASS} || '{_NOTHING}'")


def _require_orderable(ops: Connection, described: Mapping[str, Any], wanted: str) -> None:
    """Raises UsageError when the instance cannot have it (DescribeOrderableDBInstanceOptions)."""
    options = rds.orderable(ops, described, wanted)
    zone, offered = described.get("AvailabilityZone"), rds.zones(options)
    several = described.get("MultiAZ")
    capable = any(option.get("MultiAZCapable") for option in options)
    if not (capable if several else not offered or zone in offered):
        raise UsageError(
            f"{wanted} cannot be had for {described['DBInstanceIdentifier']}: it is offered in "
            f"{', '.join(sorted(offered))}, the instance is "
            f"{'Multi-AZ' if several else f'in {zone}'}. Choose another class."
        )


def _notes(described: Mapping[str, Any], now: bool, then: str, others: str) -> list[str]:
    away = (
        "Multi-AZ: it fails over, and every connection ends; about a minute without a database."
        if described.get("MultiAZ")
        else "One zone: the database is AWAY for several minutes."
    )
    replicas = ", ".join(described.get("ReadReplicaDBInstanceIdentifiers") or ())
    said = {
        f"LOOK: ApplyImmediately also applies {others}, which waits for the window. "
        "Undo brings back the class only, not that.": now and others,
        f"{'Now' if now else 'Then'}: {away}": True,
        f"It waits: {then}.": not now,
        f"In the same window: {others}. It cannot be undone here: RDS takes a waiting value back "
        "only with ApplyImmediately, which would apply that at once.": not now and others,
        f"The read replicas keep their class: {replicas}.": replicas,
        "Undo is applied at once, too, with all that waits by then: look again before it.": now,
        "Terraform will take it back unless its code says the same.": True,
    }
    return [note for note, holds in said.items() if holds]


def _next_window(described: Mapping[str, Any], now: datetime) -> str:
    """`the next maintenance window is Sun 2026-11-29 06:00 to 06:30 UTC`, as RDS tells it."""
    said = str(described.get("PreferredMaintenanceWindow", ""))
    times = re.findall(r"(\w{3}):(\d\d):(\d\d)", said)
    if len(times) != 2:
        return f"its maintenance window is {said or 'unknown'}"
    begins, ends = (_weekly(now, *each) for each in times)
    if ends < begins:
        return f"the maintenance window is open until {ends:%a %H:%M} UTC"
    return f"the next maintenance window is {begins:%a %Y-%m-%d %H:%M} to {ends:%H:%M} UTC"


def _weekly(now: datetime, day: str, hour: str, minute: str) -> datetime:
    """The next time that it is this weekday and time."""
    at = now.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    at += timedelta(days=(_DAYS.index(day) - now.weekday()) % 7)
    return at if at > now else at + timedelta(days=7)


@check("Has the instance the class, or does it wait?")
def check_class(ops: Connection, instance_class: str, when: str = WINDOW) -> Findings:
    """After a change. `now`: the class is there, nothing waits, a login works.

    `window`: it waits, and it serves.
    """
    database = rds.instance_of(ops)
    described = database.describe(ops)
    present, status = described[_CLASS], described["DBInstanceStatus"]
    waits = rds.waiting_values(described).get(_CLASS)
    if when == NOW or present == instance_class:  # in the window: a waiting class was taken back
        held, rule = (
            present == instance_class and not waits,
            f"{instance_class}, and no class waits",
        )
    else:
        held, rule = waits == instance_class, f"{instance_class} waits for the window"
    seen = f"{present}, {status}; {f'{waits} waits' if waits else 'no class waits'}"
    asked = Question(f"class of {database}", rule, _SOURCE)
    serves = status in database.kind.serving
    found = asked.judged(held and serves, f"{seen}; {_next_window(described, ops.now())}")
    return Findings([found, states.login(ops)])
