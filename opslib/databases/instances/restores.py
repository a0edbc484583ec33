"""Restoring a database into a new one beside it: planned with everything that RDS would otherwise leave at its
defaults, and done only when a login and row counts say so. The present database is never touched.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opslib.core.checks.checks import check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused, UsageError, unknown_name
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.tables import frame
from opslib.databases.instances import rds, snapshots

LATEST = "latest"
COUNTS = {"table": "str", "rows_restored": "Int64", "rows_now": "Int64", "difference": "Int64"}


@planner
def plan_restore(ops: Connection, snapshot: str = "", to: str = "", name: str = "") -> Planned:
    """Restore a snapshot (its name, or "latest"), or a moment (ISO time in UTC, or "latest"), into a new database.

    A snapshot goes before a moment that is left at "latest". `name` of the new one; empty: made from the present one's and
    the day. Raises Refused (outside the window, the name is taken), UsageError (neither, both, unknown snapshot, no such name).
    """
    if not (snapshot or to) or (snapshot and to not in ("", LATEST)):
        raise UsageError(
            "Give either snapshot (a name, or latest) or to (a moment in UTC like 2026-11-22T14:05, or latest)."
        )
    database = rds.of(ops)
    described = database.describe(ops)
    new = rds.Database.named(database.kind, name or _free_name(ops, database))
    if name and new.exists(ops):
        raise Refused(
            f"{new} exists already in {ops.where}. Nothing was changed; choose another name."
        )
    source, said = (
        _snapshot(ops, database, snapshot) if snapshot else _moment(ops, database, described, to)
    )
    build = _cluster_steps if database.kind is rds.CLUSTER else _instance_steps
    steps = build(ops, database, described, new, source)
    return Planned(f"restore {said} of {database} into {new.name}", steps, _notes(database, new))


def name_of_restored(plan: Plan) -> str:
    """What a plan of `plan_restore` calls the new database."""
    given = plan.steps[0].do["parameters"]
    return str(
        next(
            given[key]
            for key in ("TargetDBInstanceIdentifier", rds.CLUSTER.id, rds.INSTANCE.id)
            if key in given
        )
    )


def _notes(database: rds.Database, new: rds.Database) -> list[str]:
    return [
        f"{database} goes on as it is, and the app goes on using it: pointing the app to {new.name} is a decision of its own.",
        "Undo deletes the new one without a final snapshot.",
        "Alarms, Terraform's state and deletion protection do not know of the new one.",
    ]


def _free_name(ops: Connection, database: rds.Database) -> str:
    stem = f"{database.name}-restored-{ops.now():%Y%m%d}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
    return next(name for name in names if not rds.Database(database.kind, name).exists(ops))


def _snapshot(ops: Connection, database: rds.Database, wanted: str) -> tuple[dict[str, Any], str]:
    """The calls' parameters that name the snapshot, and it in words."""
    found = snapshots.list_snapshots(ops)
    usable = found[found["status"] == "available"]
    if usable.empty:
        raise Refused(
            f"{database} has no snapshot that is available. Restore to a moment instead: to = 'latest'."
        )
    chosen = usable["snapshot"].iloc[0] if wanted == LATEST else wanted
    if chosen not in set(usable["snapshot"]):
        raise unknown_name("snapshot", wanted, usable["snapshot"], f" of {database}")
    key = "SnapshotIdentifier" if database.kind is rds.CLUSTER else "DBSnapshotIdentifier"
    created = usable.set_index("snapshot").loc[chosen, "created"]
    return {key: chosen}, f"snapshot {chosen} ({created:%Y-%m-%d %H:%M} UTC)"


def _moment(
    ops: Connection, database: rds.Database, described: dict[str, Any], wanted: str
) -> tuple[dict[str, Any], str]:
    earliest, latest = snapshots.window(ops, database, described)
    if earliest is None or latest is None:
        raise Refused(
            f"RDS names no restorable window for {database}: are automated backups on? See databases/snapshot."
        )
    key = (
        "SourceDBClusterIdentifier"
        if database.kind is rds.CLUSTER
        else "SourceDBInstanceIdentifier"
    )
    if wanted == LATEST:
        return {key: database.name, "UseLatestRestorableTime": True}, "the latest restorable moment"
    try:
        moment = datetime.fromisoformat(wanted.strip())
    except ValueError as exc:
        raise UsageError(
            f"{wanted!r} is no moment. Write it in UTC, like {latest:%Y-%m-%dT%H:%M}, or latest."
        ) from exc
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not earliest <= moment <= latest:
        raise Refused(
            f"{database} cannot be restored to {moment:%Y-%m-%d %H:%M:%S} UTC, only to a moment from "
            f"{earliest:%Y-%m-%d %H:%M:%S} to {latest:%Y-%m-%d %H:%M:%S} UTC. Is there a snapshot of about that time? See databases/snapshot."
        )
    return {
        key: database.name,
        _RESTORE_TIME[database.kind.noun]: moment.isoformat(),
    }, f"{moment:%Y-%m-%d %H:%M:%S} UTC"


_RESTORE_TIME = {"cluster": "RestoreToTime", "instance": "RestoreTime"}


def _cluster_steps(
    ops: Connection,
    database: rds.Database,
    described: dict[str, Any],
    new: rds.Database,
    source: dict[str, Any],
) -> list[Step]:
    """The cluster, then an instance in it: a restored cluster has none, and the default security group, unless told."""
    from_snapshot = "SnapshotIdentifier" in source
    operation = (
        "restore_db_cluster_from_snapshot"
        if from_snapshot
        else "restore_db_cluster_to_point_in_time"
    )
    engine = {"Engine": described["Engine"]} if from_snapshot else {}
    created = Step(
        f"Restore into {new}",
        do=Aws("rds", operation, **new.key, **engine, **source, **rds.passed_on(described)),
        before="absent",
        after="creating",
        undo=[Aws("rds", "delete_db_cluster", **new.key, SkipFinalSnapshot=True)],
    )
    instance = rds.Database(rds.INSTANCE, f"{new.name}-1")
    model = rds.members(ops, database, described)
    made = Step(
        f"Make instance {instance.name} in it",
        do=Aws("rds", "create_db_instance", **instance.key, **_like(model, described), **new.key),
        before="absent",
        after="creating",
        undo=[Aws("rds", "delete_db_instance", **instance.key, SkipFinalSnapshot=True)],
    )
    return [created, until_available(new), made, until_available(instance)]


def _instance_steps(
    ops: Connection,
    database: rds.Database,
    described: dict[str, Any],
    new: rds.Database,
    source: dict[str, Any],
) -> list[Step]:
    key = (
        "DBInstanceIdentifier" if "DBSnapshotIdentifier" in source else "TargetDBInstanceIdentifier"
    )
    operation = (
        "restore_db_instance_from_db_snapshot"
        if "DBSnapshotIdentifier" in source
        else "restore_db_instance_to_point_in_time"
    )
    given = (
        rds.passed_on(described)
        | rds.like_instance(described)
        | {"MultiAZ": described.get("MultiAZ", False)}
    )
    created = Step(
        f"Restore into {new}",
        do=Aws("rds", operation, **{key: new.name}, **source, **given),
        before="absent",
        after="creating",
        undo=[Aws("rds", "delete_db_instance", **new.key, SkipFinalSnapshot=True)],
    )
    return [created, until_available(new)]


def until_available(made: rds.Database) -> Step:
    """The step that waits until a database that a step before makes is available."""
    return Step(
        f"Wait until {made} is available", made.available(), None, "available", [], made.status()
    )


def _like(members: list[dict[str, Any]], described: dict[str, Any]) -> dict[str, Any]:
    """What a new instance of a cluster needs to be like the present writer."""
    if not members:
        return {
            "Engine": described["Engine"],
            "DBInstanceClass": "db.serverless",
            "PubliclyAccessible": False,
        }
    return {"Engine": described["Engine"], **rds.like_instance(members[0])}


@check("Is the restored database usable?")
def check_restored(ops: Connection, name: str) -> Findings:
    """Log in to the restored database with the present secret, and count the rows of every table beside those of now.

    Evidence: COUNTS. The restored one holds what was there at its moment: differences are what has happened since.
    """
    present = rds.of(ops)
    new = rds.Database(present.kind, name)
    at = new.endpoint(new.describe(ops), present.describe(ops))
    where = f"{at['host']}:{at['port']}"
    question, source = f"{new} takes a login and has its rows", f"SELECT count(*) on {where}"
    try:
        restored = sql.count_rows(ops, sql.list_tables(ops, at), at)
    except OpsError as exc:
        return Findings(
            [Finding("critical", question, str(exc), "a login with the present secret", source)]
        )
    now = sql.count_rows(ops, sql.list_tables(ops))
    rows = [
        _compared(table, restored.get(table), now.get(table)) for table in sorted({*restored, *now})
    ]
    lost = [table for table, count in now.items() if count and not restored.get(table)]
    status = "critical" if not sum(restored.values()) else "warn" if lost else "ok"
    seen = f"logged in at {where}; {sum(restored.values()):,} rows in {len(restored)} tables, now {sum(now.values()):,}"
    seen += f"; nothing in {', '.join(lost)}" if lost else ""
    return Findings(
        [
            Finding(
                status, question, seen, "a login, and rows in every table that has some now", source
            )
        ],
        frame(rows, COUNTS),
    )


def _compared(table: str, restored: int | None, now: int | None) -> dict[str, Any]:
    return {
        "table": table,
        "rows_restored": restored,
        "rows_now": now,
        "difference": (restored or 0) - (now or 0),
    }
