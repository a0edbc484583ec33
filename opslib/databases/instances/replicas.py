"""Read replicas of RDS instances: one more instance that follows the writer and answers reads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    OpsError,
    Plan,
    Planned,
    Question,
    Refused,
    UsageError,
    answer,
    check,
    frame,
    planner,
    poll,
)
from opslib.core.connections import sql
from opslib.databases.instances import rds
from opslib.databases.instances.rds import Database

REPLICAS = {
    "replica": "str",
    "class": "str",
    "zone": "str",
    "status": "str",
    "replicating": "str",
    "endpoint": "str",
}
COUNTS = {"table": "str", "rows_replica": "Int64", "rows_now": "Int64", "behind": "Int64"}
_MOST = {"postgres": 15, "mysql": 15, "mariadb": 15}  # of one source; 5 for the others
_LAG_SECONDS = 60
_CATCH_UP_SECONDS = 10
_LAG = """
SELECT json_build_object(
    'standby', pg_is_in_recovery(),
    'lag', CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
           ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END)
"""


def list_replicas(ops: Connection) -> Frame:
    """The read replicas of the target's instance. Columns: REPLICAS."""
    names = _replicas(rds.instance_of(ops).describe(ops))
    found = ops.each(lambda name: Database(rds.INSTANCE, name).describe(ops), names)
    return frame(map(_row, found.values()), REPLICAS)


def _replicas(described: Mapping[str, Any]) -> list[str]:
    return described.get("ReadReplicaDBInstanceIdentifiers") or []


def _row(described: Mapping[str, Any]) -> Json:
    endpoint = described.get("Endpoint") or {}
    return {
        "replica": described["DBInstanceIdentifier"],
        "class": described["DBInstanceClass"],
        "zone": described.get("AvailabilityZone"),
        "status": described["DBInstanceStatus"],
        "replicating": ", ".join(
            f"{info['Status']} {info.get('Message', '')}".strip() for info in _infos(described)
        ),
        "endpoint": f"{endpoint['Address']}:{endpoint['Port']}" if endpoint.get("Address") else "",
    }


def _infos(described: Mapping[str, Any]) -> list[Json]:
    infos = described.get("StatusInfos") or ()
    return [info for info in infos if info.get("StatusType") == "read replication"]


@planner
def plan_replica(
    ops: Connection, name: str = "", instance_class: str = "", zone: str = ""
) -> Planned:
    """A read replica of the target's instance.

    Empty: a name with the next number, the writer's class, AWS's zone. Raises UsageError (Aurora,
    no such name, class or zone, not in that zone), Refused (the name is taken, the source is not
    available, has no automated backups or as many replicas as there may be).
    """
    source = rds.instance_of(ops)
    described = source.describe(ops)
    _require_source(source, described)
    free = (f"{source.name}-replica-{number}" for number in range(1, 100))
    new = rds.new_database(ops, rds.INSTANCE, name, free)
    wanted = instance_class or described["DBInstanceClass"]
    _require_place(ops, described, wanted, zone)
    given = rds.passed_on(described) | rds.like_instance(described) | {"DBInstanceClass": wanted}
    given.pop("DBSubnetGroupName", None)  # always the writer's: AWS refuses to be told so
    given |= {"AvailabilityZone": zone} if zone else {}
    make = new.call(
        "create_db_instance_read_replica", SourceDBInstanceIdentifier=source.name, **given
    )
    steps = new.made(f"Make read replica {new.name} of {source.name}", make)
    notes = [*_NOTES]
    if wanted != described["DBInstanceClass"]:
        other = f"{wanted} is not the writer's {described['DBInstanceClass']}"
        notes.append(f"{other}: a smaller one may fall behind.")
    return Planned(f"read replica {new.name} of {source}, {wanted}", steps, notes)


_NOTES = (
    "The writer goes on; it is read for a first copy. The replica is always some moments behind.",
    "It takes no load until somebody reads from its endpoint: "
    "the app's own reads still go to the writer.",
    "Undo deletes it. Terraform and the alarms do not know of it.",
)


def name_of_replica(plan: Plan) -> str:
    """What a plan of `plan_replica` calls the replica."""
    return str(plan.steps[0].do["parameters"][rds.INSTANCE.key])


def _require_source(source: Database, described: Mapping[str, Any]) -> None:
    status, engine = described["DBInstanceStatus"], described["Engine"]
    if status != "available":
        raise Refused(f"{source} is {status}: a replica is made of one that is available.")
    if not described.get("BackupRetentionPeriod"):
        raise Refused(
            f"{source} has no automated backups, and without them RDS makes no replica. Set a "
            "retention of a day or more first; from none to some is an interruption of its own."
        )
    present, most = len(_replicas(described)), _MOST.get(engine, 5)
    if present >= most:
        raise Refused(f"{source} has {present} read replicas, and {most} is the most for {engine}.")


def _require_place(ops: Connection, described: Mapping[str, Any], wanted: str, zone: str) -> None:
    possible = rds.zones(rds.orderable(ops, described, wanted))
    subnets = (described.get("DBSubnetGroup") or {}).get("Subnets") or ()
    if subnets:
        possible &= {subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnets}
    if zone and zone not in possible:
        raise UsageError(
            f"No replica of {wanted} can be in {zone!r}: the class is offered and the subnet group "
            f"has a subnet in {', '.join(sorted(possible)) or 'no zone'}."
        )


@check("Does the replica answer, and follow?")
def check_replica(ops: Connection, name: str) -> Findings:
    """A login with the present secret, its lag as a standby, its rows beside the writer's.

    Evidence: COUNTS.
    """
    new = Database(rds.INSTANCE, name)
    present, described = rds.instance_of(ops).describe(ops), new.describe(ops)
    at = new.endpoint(described, present)
    standby = answer(f"{new} takes a login", partial(_standby, ops, new, at))
    found = Findings([_replicating(new, described), standby])
    if found.worst != "critical":
        rows = _counted(ops, at)
        found.append(_compared(new, rows))
        found.evidence = frame(rows, COUNTS)
    return found


def _replicating(new: Database, described: Mapping[str, Any]) -> Finding:
    status, infos = described["DBInstanceStatus"], _infos(described)
    well = status == "available" and all(info.get("Normal", True) for info in infos)
    seen = ", ".join([status, *(info["Status"] for info in infos)])
    question = f"{new} is available and replicating"
    asked = Question(question, "available, replicating", "rds describe_db_instances")
    return asked.judged(well, seen)


def _standby(ops: Connection, new: Database, at: Mapping[str, Any]) -> Finding:
    asked = Question(
        f"{new} takes a login, is a standby, and follows",
        f"at most {_LAG_SECONDS} s behind",
        "pg_is_in_recovery, pg_last_xact_replay_timestamp",
    )
    seen = f"logged in at {at['host']}:{at['port']}"
    try:
        said = sql.value(ops, _LAG, at=at)
    except OpsError as exc:
        return asked.answer("critical", str(exc))
    if not said["standby"]:
        return asked.answer("critical", f"{seen}: it is no standby, it takes writes")
    lag = float(said["lag"] or 0)
    seen += f"; read-only, {lag:.1f} s behind"
    return asked.judged(lag <= _LAG_SECONDS, seen, otherwise="warn")


def _counted(ops: Connection, at: Mapping[str, Any]) -> list[Json]:
    """Rows here and there. What the writer had when we began is waited for, for a moment."""
    now = sql.count_rows(ops, sql.list_tables(ops))
    there, _ = poll(
        lambda: sql.count_rows(ops, sql.list_tables(ops, at), at),
        lambda there: all(there.get(table, 0) >= rows for table, rows in now.items()),
        _CATCH_UP_SECONDS,
    )
    return [
        {
            "table": table,
            "rows_replica": there.get(table, 0),
            "rows_now": rows,
            "behind": rows - there.get(table, 0),
        }
        for table, rows in now.items()
    ]


def _compared(new: Database, rows: list[Json]) -> Finding:
    behind = sum(row["behind"] for row in rows)
    missing = [row["table"] for row in rows if row["rows_now"] and not row["rows_replica"]]
    held = sum(row["rows_replica"] for row in rows)
    seen = f"{held:,} rows in {len(rows)} tables, {behind:,} fewer than the writer"
    seen += f"; nothing in {', '.join(missing)}" if missing else ""
    question, rule = f"{new} holds the writer's rows", "as many, or some moments behind"
    return Question(question, rule, "SELECT count(*)").judged(
        not missing and behind <= 0, seen, otherwise="critical" if missing else "warn"
    )
