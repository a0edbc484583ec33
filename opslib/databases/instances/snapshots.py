"""Snapshots and backups of a database: which there are, whether they are as they should be, taking one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.tables import UTC_TIME, frame
from opslib.databases.instances import rds

if TYPE_CHECKING:
    import pandas as pd

SNAPSHOTS = {
    "snapshot": "str",
    "type": "str",
    "status": "str",
    "created": UTC_TIME,
    "age_hours": "float64",
    "size_gb": "Int64",
    "encrypted": "boolean",
    "engine_version": "str",
}
_DAILY = timedelta(hours=26)  # a day, and the length of a backup window
_LAG = timedelta(minutes=30)  # RDS ships logs every five minutes


def list_snapshots(ops: Connection, days: float = 0) -> pd.DataFrame:
    """The database's snapshots, newest first; with `days`, those of the last days only. Columns: SNAPSHOTS."""
    database = rds.of(ops)
    kind, now = database.kind, ops.now()
    found = ops.pages("rds", kind.describe_snapshots, f"{kind.snapshots}[]", **database.key)
    rows = [
        {
            "snapshot": s[kind.snapshot_id],
            "type": s.get("SnapshotType"),
            "status": s["Status"],
            "created": s.get("SnapshotCreateTime"),
            "size_gb": s.get("AllocatedStorage") or None,
            "encrypted": s.get("StorageEncrypted", s.get("Encrypted")),
            "engine_version": s.get("EngineVersion"),
        }
        for s in found
    ]
    made = frame(rows, SNAPSHOTS).sort_values(
        ["created", "snapshot"], ascending=False, ignore_index=True
    )
    made["age_hours"] = ((now - made["created"]).dt.total_seconds() / 3600).round(1)
    return made[made["age_hours"] <= days * 24].reset_index(drop=True) if days else made


@check("Backups")
def check_backups(ops: Connection) -> Findings:
    """Are backups kept as long as the target says, is a restore to a moment ago possible, is there a snapshot of today?

    Evidence: SNAPSHOTS of the last week.
    """
    database = rds.of(ops)
    described, found = ops.gather(lambda: database.describe(ops), lambda: list_snapshots(ops, 7))
    return Findings(
        [
            _retention(database, described, ops.target["database"].get("backup_days", 1)),
            _restorable(database, *window(ops, database, described), ops.now()),
            _latest(database, found),
        ],
        found,
    )


def _retention(database: rds.Database, described: dict[str, Any], wanted: int) -> Finding:
    days = described.get("BackupRetentionPeriod") or 0
    status = "ok" if days >= wanted else "warn" if days else "critical"
    seen = f"{days} days" if days else "no automated backups"
    return Finding(
        status,
        f"Backups of {database} are kept",
        seen,
        f"{wanted} days",
        f"rds {database.kind.describe}",
    )


def window(
    ops: Connection, database: rds.Database, described: dict[str, Any]
) -> tuple[datetime | None, datetime | None]:
    """From when to when a restore to a point in time is possible. Of an instance only its backups say from when."""
    latest = described.get("LatestRestorableTime")
    if database.kind is rds.CLUSTER:
        return described.get("EarliestRestorableTime"), latest
    try:
        kept = ops.pages(
            "rds",
            "describe_db_instance_automated_backups",
            "DBInstanceAutomatedBackups[]",
            **database.key,
        )
    except NotFound:
        return None, latest
    active = [
        backup for backup in kept if backup.get("Status") == "active"
    ]  # not those of a deleted one of that name
    return next(
        (backup.get("RestoreWindow", {}).get("EarliestTime") for backup in active), None
    ), latest


def _restorable(
    database: rds.Database, earliest: datetime | None, latest: datetime | None, now: datetime
) -> Finding:
    question, source = f"{database} can be restored to a moment", f"rds {database.kind.describe}"
    threshold = f"until {_LAG.seconds // 60} minutes ago at most"
    if latest is None:
        return Finding(
            "unknown", question, "RDS names no latest restorable time", threshold, source
        )
    since = f"from {earliest:%Y-%m-%d %H:%M} " if earliest else ""
    status = "ok" if now - latest <= _LAG else "critical"
    return Finding(status, question, f"{since}to {latest:%Y-%m-%d %H:%M} UTC", threshold, source)


def _latest(database: rds.Database, found: pd.DataFrame) -> Finding:
    question, source = f"Last snapshot of {database}", f"rds {database.kind.describe_snapshots}"
    threshold = f"within {_DAILY.total_seconds() / 3600:g} hours"
    usable = found[found["status"] == "available"]
    if usable.empty:
        return Finding(
            "critical",
            question,
            "none in the last 7 days",
            threshold,
            source,
            next="databases/snapshot",
        )
    newest = usable.iloc[0]
    status = "ok" if newest["age_hours"] <= _DAILY.total_seconds() / 3600 else "warn"
    seen = f"{newest['snapshot']} ({newest['type']}), {newest['age_hours']:.0f} hours ago"
    return Finding(
        status,
        question,
        seen,
        threshold,
        source,
        next="" if status == "ok" else "databases/snapshot",
    )


@planner
def plan_snapshot(ops: Connection, reason: str = "manual") -> Planned:
    """Take a snapshot, named after the database, the day and the next free number; `reason` is kept as its tag."""
    database = rds.of(ops)
    database.describe(ops)  # nothing is planned for a database that is not there
    steps = steps_for_snapshot(ops, database, reason)
    notes = [
        "The database goes on serving while it is taken. It stays until it is deleted, and is paid for.",
    ]
    return Planned(f"take a snapshot of {database}", steps, notes)


def steps_for_snapshot(ops: Connection, database: rds.Database, reason: str) -> list[Step]:
    """Take a snapshot, and wait until it can be restored: the first steps of a change that may have to be taken back."""
    name = free_name(ops, database)
    kind = database.kind
    named = {kind.snapshot_id: name}
    tags = [{"Key": "reason", "Value": reason}, {"Key": "by", "Value": "opslib"}]
    return [
        Step(
            f"Take snapshot {name}",
            do=Aws("rds", kind.create_snapshot, **database.key, **named, Tags=tags),
            before="absent",
            after="creating",
            undo=[Aws("rds", kind.delete_snapshot, **named)],
        ),
        Step(
            f"Wait until {name} is available",
            do=database.snapshot_available(name),
            after="available",
            undo=[],
            observe=database.snapshot_status(name),
        ),
    ]


def free_name(ops: Connection, database: rds.Database) -> str:
    """`<database>-2026-11-22-1`: the day, and the first number that no snapshot of today has."""
    stem = f"{database.name}-{ops.now():%Y-%m-%d}-"
    taken = set(list_snapshots(ops)["snapshot"])
    return next(
        name for number in range(1, len(taken) + 2) if (name := f"{stem}{number}") not in taken
    )
