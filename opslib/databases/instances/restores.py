"""Restoring a database into a new one beside it, and done when a login and its rows say so.

It is planned with everything that RDS would otherwise leave at its defaults. The present database
is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from opslib.core import (
    Aws,
    Connection,
    Findings,
    Json,
    OpsError,
    Plan,
    Planned,
    Question,
    Refused,
    Step,
    UsageError,
    check,
    frame,
    planner,
    unknown_name,
)
from opslib.core.connections import sql
from opslib.databases.instances import rds, snapshots
from opslib.databases.instances.rds import Database

LATEST = "latest"
COUNTS = {"table": "str", "rows_restored": "Int64", "rows_now": "Int64", "difference": "Int64"}


class _Calls(NamedTuple):
    """How the calls for one kind are called: from a snapshot, and to a moment."""

    from_snapshot: str
    snapshot: str
    to_moment: str
    source: str
    target: str
    time: str


_CALLS = {
    rds.CLUSTER.noun: _Calls(
        from_snapshot="restore_db_cluster_from_snapshot",
        snapshot="SnapshotIdentifier",
        to_moment="restore_db_cluster_to_point_in_time",
        source="SourceDBClusterIdentifier",
        target="DBClusterIdentifier",
        time="RestoreToTime",
    ),
    rds.INSTANCE.noun: _Calls(
        from_snapshot="restore_db_instance_from_db_snapshot",
        snapshot="DBSnapshotIdentifier",
        to_moment="restore_db_instance_to_point_in_time",
        source="SourceDBInstanceIdentifier",
        target="TargetDBInstanceIdentifier",
        time="RestoreTime",
    ),
}


@planner
def plan_restore(ops: Connection, snapshot: str = "", to: str = "", name: str = "") -> Planned:
    """Restore a snapshot (its name, or latest) or a moment (in UTC, or latest) into a new database.

    A snapshot goes before a moment that is left at "latest". `name` of the new one; empty: made
    from the present one's and the day. Raises Refused (outside the window, the name is taken),
    UsageError (neither, both, unknown snapshot, no such name).
    """
    if not (snapshot or to) or (snapshot and to not in ("", LATEST)):
        raise UsageError(
            "Give either snapshot (a name, or latest) or to "
            "(a moment in UTC like 2026-11-22T14:05, or latest)."
        )
    database = rds.database_of(ops)
    described = database.describe(ops)
    stem = f"{database.name}-restored-{ops.now():%Y%m%d}"
    free = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
    new = rds.new_database(ops, database.kind, name, free)
    if snapshot:
        source, said = _snapshot(ops, database, snapshot)
    else:
        source, said = _moment(ops, database, described, to)
    steps = steps_into(new, described, source)
    if database.kind is rds.CLUSTER:
        steps += _instance_in(new, described, rds.members(ops, database, described))
    notes = [
        f"{database} goes on as it is, and the app goes on using it: pointing the app to "
        f"{new.name} is a decision of its own.",
        "Undo deletes the new one without a final snapshot.",
        "Alarms, Terraform's state and deletion protection do not know of the new one.",
    ]
    return Planned(f"restore {said} of {database} into {new.name}", steps, notes)


def name_of_restored(plan: Plan) -> str:
    """What a plan of `plan_restore` calls the new database."""
    [delete] = plan.steps[0].undo or ()
    given = delete["parameters"]
    return str(given.get(rds.CLUSTER.key) or given[rds.INSTANCE.key])


def _snapshot(ops: Connection, database: Database, wanted: str) -> tuple[Json, str]:
    """The calls' parameters that name the snapshot, and it in words."""
    found = snapshots.list_snapshots(ops)
    usable = found[found["status"] == "available"].set_index("snapshot")["created"]
    if usable.empty:
        raise Refused(
            f"{database} has no snapshot that is available. "
            "Restore to a moment instead: to = 'latest'."
        )
    chosen = usable.index[0] if wanted == LATEST else wanted
    if chosen not in usable:
        raise unknown_name("snapshot", wanted, usable.index, f" of {database}")
    said = f"snapshot {chosen} ({usable[chosen]:%Y-%m-%d %H:%M} UTC)"
    return {_CALLS[database.kind.noun].snapshot: chosen}, said


def _moment(
    ops: Connection, database: Database, described: Mapping[str, Any], wanted: str
) -> tuple[Json, str]:
    earliest, latest = snapshots.window(ops, database, described)
    if earliest is None or latest is None:
        raise Refused(
            f"RDS names no restorable window for {database}: are automated backups on? "
            "See databases/snapshot."
        )
    calls = _CALLS[database.kind.noun]
    source = {calls.source: database.name}
    if wanted == LATEST:
        return source | {"UseLatestRestorableTime": True}, "the latest restorable moment"
    try:
        moment = datetime.fromisoformat(wanted.strip())
    except ValueError as exc:
        raise UsageError(
            f"{wanted!r} is no moment. Write it in UTC, like {latest:%Y-%m-%dT%H:%M}, or latest."
        ) from exc
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    said = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    if not earliest <= moment <= latest:
        raise Refused(
            f"{database} cannot be restored to {said}, only to a moment from "
            f"{earliest:%Y-%m-%d %H:%M:%S} to {latest:%Y-%m-%d %H:%M:%S} UTC. "
            "Is there a snapshot of about that time? See databases/snapshot."
        )
    return source | {calls.time: moment.isoformat()}, said


def steps_into(
    new: Database, described: Mapping[str, Any], source: Mapping[str, Any]
) -> list[Step]:
    """Restores what `source` names, like the present one: RDS would take its defaults."""
    calls, given = _CALLS[new.kind.noun], rds.passed_on(described)
    from_snapshot = calls.snapshot in source
    if new.kind is rds.INSTANCE:
        given |= rds.like_instance(described) | {"MultiAZ": described.get("MultiAZ", False)}
    elif from_snapshot:
        given["Engine"] = described["Engine"]
    operation = calls.from_snapshot if from_snapshot else calls.to_moment
    key = new.kind.key if from_snapshot else calls.target
    restore = Aws("rds", operation, **{key: new.name}, **source, **given)
    return new.made(f"Restore into {new}", restore)


def _instance_in(
    cluster: Database, described: Mapping[str, Any], present: list[Mapping[str, Any]]
) -> list[Step]:
    """An instance like the present writer: a restored cluster has none."""
    like = {"DBInstanceClass": "db.serverless", "PubliclyAccessible": False}
    like |= rds.like_instance(present[0]) if present else {}
    made = Database(rds.INSTANCE, f"{cluster.name}-1")
    make = made.call("create_db_instance", Engine=described["Engine"], **like, **cluster.key)
    return made.made(f"Make instance {made.name} in it", make)


@check("Is the restored database usable?")
def check_restored(ops: Connection, name: str) -> Findings:
    """Does the restored database take a login with the present secret, and has it the rows of now?

    Evidence: COUNTS. It holds what was there at its moment: a difference is what happened since.
    """
    present = rds.database_of(ops)
    new = Database(present.kind, name)
    at = new.endpoint(new.describe(ops), present.describe(ops))
    where = f"{at['host']}:{at['port']}"
    asked = Question(
        f"{new} takes a login and has its rows",
        "a login, and rows in every table that has some now",
        f"SELECT count(*) on {where}",
    )
    try:
        restored = sql.count_rows(ops, sql.list_tables(ops, at), at)
    except OpsError as exc:
        rule = "a login with the present secret"
        return Findings([asked.answer("critical", str(exc), rule=rule)])
    now = sql.count_rows(ops, sql.list_tables(ops))
    lost = [table for table, rows in now.items() if rows and not restored.get(table)]
    held = sum(restored.values())
    seen = (
        f"logged in at {where}; {held:,} rows in {len(restored)} tables, now {sum(now.values()):,}"
    )
    seen += f"; nothing in {', '.join(lost)}" if lost else ""
    found = asked.judged(bool(held) and not lost, seen, otherwise="warn" if held else "critical")
    rows = [
        {
            "table": table,
            "rows_restored": restored.get(table),
            "rows_now": now.get(table),
            "difference": restored.get(table, 0) - now.get(table, 0),
        }
        for table in sorted({*restored, *now})
    ]
    return Findings([found], frame(rows, COUNTS))
