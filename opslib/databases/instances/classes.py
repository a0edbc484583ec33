"""RDS instances: how one is sized and loaded, and another class for it, at once or in its maintenance window."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Action, Aws, Read
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import metrics
from opslib.core.tables import frame
from opslib.core.times import window
from opslib.databases.instances import rds, states

if TYPE_CHECKING:
    import pandas as pd

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
_WAIT_SECONDS = 5400  # a class with other storage may take an hour
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_GIB = 2**30
# CloudWatch metric: (divisor, unit, what it says about the class)
_LOAD = {
    "CPUUtilization": (1, "%", "high for hours: more vCPU"),
    "FreeableMemory": (_GIB, "GiB", "low while reads are slow: more memory"),
    "DatabaseConnections": (1, "count", "the limit is max_connections, not the class"),
    "ReadLatency": (0.001, "ms", "up while CPU is low: storage, or memory"),
}


def of(ops: Connection) -> rds.Database:
    """The target's instance. Raises UsageError for an Aurora cluster, which is sized in another way."""
    database = rds.of(ops)
    if database.kind is rds.CLUSTER:
        raise UsageError(
            f"{ops.target.name} has an Aurora {database}, no instance of its own. Its members are sized in the cluster: "
            "for Serverless v2 raise the maximum of ServerlessV2ScalingConfiguration; for more readers add an instance "
            "to the cluster (create-db-instance with its DBClusterIdentifier)."
        )
    return database


@check("How is the instance sized?")
def check_size(ops: Connection) -> Findings:
    """Class, zones, when the next maintenance window is, and what waits for it already. Evidence: _database_states.WAITING."""
    database = of(ops)
    described = database.describe(ops)
    rows = frame(states.waiting(ops, database, [described]), states.WAITING)
    zones = "Multi-AZ" if described.get("MultiAZ") else "one zone"
    seen = f"{described[_CLASS]}, {zones}, {described['DBInstanceStatus']}; {_next_window(described, ops.now())}"
    status = "ok" if described["DBInstanceStatus"] == "available" else "warn"
    sized = Finding(
        status,
        f"{database} is available, with its class",
        seen,
        "available",
        "rds describe_db_instances",
    )
    changes = ", ".join(rows["change"])
    seen = f"{changes}: what is applied at once applies it, too" if changes else "nothing"
    question, source = "Nothing waits to be applied", "rds PendingModifiedValues"
    waits = Finding("warn" if changes else "ok", question, seen, "nothing", source)
    return Findings([sized, waits], rows if len(rows) else None)


def list_load(ops: Connection, hours: float = 24) -> pd.DataFrame:
    """What CloudWatch says of the instance's load over the last hours, to decide by. Columns: LOAD."""
    names, instance = list(_LOAD), {"DBInstanceIdentifier": of(ops).name}
    queries = [
        metrics.asked(f"{stat.lower()}{at}", "AWS/RDS", name, instance, stat)
        for at, name in enumerate(names)
        for stat in ("Average", "Minimum", "Maximum")
    ]
    found = metrics.query(ops, queries, window(ops, hours * 60)).groupby("id")["value"]
    mean, lowest, highest = found.mean(), found.min(), found.max()
    return frame([_load(at, name, mean, lowest, highest) for at, name in enumerate(names)], LOAD)


def _load(at: int, name: str, mean: Any, lowest: Any, highest: Any) -> dict[str, Any]:
    divisor, unit, says = _LOAD[name]
    ids = {
        "average": (mean, "average"),
        "lowest": (lowest, "minimum"),
        "highest": (highest, "maximum"),
    }
    shown = {
        key: round(found.get(f"{stat}{at}", float("nan")) / divisor, 2)
        for key, (found, stat) in ids.items()
    }
    return {"metric": name, "unit": unit, **shown, "says": says}


@planner
def plan_class(ops: Connection, instance_class: str, when: str = WINDOW) -> Planned:
    """Another class: `now` (ApplyImmediately, an interruption at once) or in the maintenance `window`.

    The present class as the wanted one takes back a class that waits. Raises UsageError (no such class, `when` unknown),
    Refused (not available; a way back that would apply something else).
    """
    if not instance_class:
        raise UsageError("No class is given. Give instance_class, as db.r6g.2xlarge.")
    if when not in (NOW, WINDOW):
        raise UsageError(f"when = {when!r} is neither {NOW!r} nor {WINDOW!r}.")
    database = of(ops)
    described = database.describe(ops)
    present, pending = described[_CLASS], dict(described.get("PendingModifiedValues") or {})
    waits = pending.pop(_CLASS, None)
    if instance_class == present and waits is None:
        return Planned(
            f"{database} stays {present}",
            [],
            [f"It is {present} already, and no other class waits."],
        )
    if instance_class == waits and when == WINDOW:
        return Planned(
            f"{database} becomes {waits} as it is",
            [],
            [f"{waits} waits already; {_next_window(described, ops.now())}."],
        )
    if described["DBInstanceStatus"] != "available":
        raise Refused(_not_now(database, described["DBInstanceStatus"]))
    if instance_class == present:
        return Planned(
            f"take back {waits} of {database}",
            _back_steps(database, present, str(waits), pending),
            [],
        )
    _require_orderable(ops, described, instance_class)
    build = _now_steps if when == NOW else _window_steps
    summary = f"{database} from {present} to {instance_class}, {'at once' if when == NOW else 'in the maintenance window'}"
    return Planned(
        summary,
        build(database, described, instance_class, pending),
        _notes(ops, described, when, pending),
    )


def _not_now(database: rds.Database, status: str) -> str:
    asks = "Wait." if status in rds.PENDING else "What its state asks for: databases/health."
    asks = "Give it storage first: databases/storage." if status == "storage-full" else asks
    return f"{database} is {status}: RDS changes only one that is available. {asks}"


def _modify(database: rds.Database, instance_class: str, at_once: bool) -> Action:
    return Aws(
        "rds",
        "modify_db_instance",
        **database.key,
        DBInstanceClass=instance_class,
        ApplyImmediately=at_once,
    )


def _now_steps(
    database: rds.Database, described: Mapping[str, Any], wanted: str, pending: Mapping[str, Any]
) -> list[Step]:
    present, also = (
        described[_CLASS],
        f", AND APPLY WHAT WAITS: {listed(pending)}" if pending else "",
    )
    change = Step(
        f"Change {database} to {wanted} at once{also}",
        do=_modify(database, wanted, True),
        before=present,
        after=wanted,
        undo=[_modify(database, present, True)],
        observe=Read("rds", "describe_db_instances", f"DBInstances[0].{_CLASS}", **database.key),
    )
    until = database.changed(_CLASS, present, wanted, _WAIT_SECONDS)
    return [
        change,
        Step(f"Wait until it is {wanted} and available", until, after=until["expect"][0], undo=[]),
    ]


def _window_steps(
    database: rds.Database, described: Mapping[str, Any], wanted: str, pending: Mapping[str, Any]
) -> list[Step]:
    """RDS forgets a pending value only with ApplyImmediately, which would apply the others: then there is no way back."""
    waits = (described.get("PendingModifiedValues") or {}).get(_CLASS)
    back = (
        [_modify(database, waits, False)]
        if waits
        else None
        if pending
        else [_modify(database, described[_CLASS], True)]
    )
    return [
        Step(
            f"Let {database} become {wanted} in the maintenance window",
            do=_modify(database, wanted, False),
            before=waits or "nothing waits",
            after=wanted,
            undo=back,
            observe=_pending_class(database),
        )
    ]


def _back_steps(
    database: rds.Database, present: str, waits: str, pending: Mapping[str, Any]
) -> list[Step]:
    if pending:
        raise Refused(
            f"RDS takes a waiting class back only with ApplyImmediately, which would also apply {listed(pending)}. "
            "Nothing was changed. Decide about that first, or choose a class for the window."
        )
    return [
        Step(
            f"Keep {present}: {waits} no longer waits",
            do=_modify(database, present, True),
            before=waits,
            after="nothing waits",
            undo=[_modify(database, waits, False)],
            observe=_pending_class(database),
        )
    ]


def _pending_class(database: rds.Database) -> Action:
    path = f"DBInstances[0].PendingModifiedValues.{_CLASS} || 'nothing waits'"
    return Read("rds", "describe_db_instances", path, **database.key)


def listed(pending: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in pending.items())


def _require_orderable(ops: Connection, described: Mapping[str, Any], wanted: str) -> None:
    """Raises UsageError when the instance cannot have that class (DescribeOrderableDBInstanceOptions)."""
    options = rds.orderable(ops, described, wanted)
    zone = described.get("AvailabilityZone")
    zones = {each["Name"] for option in options for each in option.get("AvailabilityZones", ())}
    if described.get("MultiAZ"):
        fits = any(option.get("MultiAZCapable") for option in options)
    else:
        fits = not zones or zone in zones
    if not fits:
        raise UsageError(
            f"{wanted} cannot be had for {described['DBInstanceIdentifier']}: it is offered in {', '.join(sorted(zones))}, "
            f"the instance is {'Multi-AZ' if described.get('MultiAZ') else f'in {zone}'}. Choose another class."
        )


def _notes(
    ops: Connection, described: Mapping[str, Any], when: str, pending: Mapping[str, Any]
) -> list[str]:
    away = (
        "Multi-AZ: it fails over, and every connection ends; about a minute without a database."
        if described.get("MultiAZ")
        else "One zone: the database is AWAY for several minutes."
    )
    notes = [f"{'Now' if when == NOW else 'Then'}: {away}"]
    if when == WINDOW:
        notes.append(f"It waits: {_next_window(described, ops.now())}.")
    if pending and when == NOW:
        notes.insert(
            0,
            f"LOOK: ApplyImmediately also applies {listed(pending)}, which waits for the window. "
            "Undo brings back the class only, not that.",
        )
    elif pending:
        notes.append(
            f"In the same window: {listed(pending)}. It cannot be undone here: RDS takes a waiting value back only with "
            "ApplyImmediately, which would apply that at once."
        )
    if replicas := described.get("ReadReplicaDBInstanceIdentifiers"):
        notes.append(f"The read replicas keep their class: {', '.join(replicas)}.")
    if when == NOW:
        notes.append(
            "Undo is applied at once, too, with all that waits by then: look again before it."
        )
    return [*notes, "Terraform will take it back unless its code says the same."]


def _next_window(described: Mapping[str, Any], now: datetime) -> str:
    """`the next maintenance window is Sun 2026-11-29 06:00 to 06:30 UTC`; RDS tells weekday and time in UTC."""
    said = str(described.get("PreferredMaintenanceWindow", ""))
    match = re.fullmatch(r"(\w{3}):(\d\d):(\d\d)-(\w{3}):(\d\d):(\d\d)", said)
    if match is None:
        return f"its maintenance window is {said or 'unknown'}"
    parts = match.groups()
    begins, ends = _weekly(now, *parts[:3]), _weekly(now, *parts[3:])
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
    """After a change. `now`: the class is there, nothing waits, a login works. `window`: the class waits, and it serves."""
    database = of(ops)
    described = database.describe(ops)
    waits = (described.get("PendingModifiedValues") or {}).get(_CLASS)
    present, source = described[_CLASS], "rds describe_db_instances"
    seen = f"{present}, {described['DBInstanceStatus']}; {f'{waits} waits' if waits else 'no class waits'}"
    back = present == instance_class and when == WINDOW  # a waiting class was taken back
    held, rule = (
        (present == instance_class and not waits, f"{instance_class}, and no class waits")
        if when == NOW or back
        else (waits == instance_class, f"{instance_class} waits for the window")
    )
    status = "ok" if held and described["DBInstanceStatus"] in rds.SERVING else "critical"
    return Findings(
        [
            Finding(
                status,
                f"class of {database}",
                f"{seen}; {_next_window(described, ops.now())}",
                rule,
                source,
            ),
            login(ops),
        ]
    )


def login(ops: Connection) -> Finding:
    """Whether the database takes a login with the present secret."""
    source, wanted = "SELECT with the secret's login", "an answer"
    try:
        version = sql.value(ops, "SELECT current_setting('server_version')")
    except OpsError as exc:
        return Finding("critical", "a login", str(exc), wanted, source, next="databases/health")
    return Finding("ok", "a login", f"PostgreSQL {version} answers", wanted, source)
