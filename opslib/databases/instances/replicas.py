"""Read replicas of RDS instances: one more instance that follows the writer and answers reads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import answer, check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.tables import frame
from opslib.databases.instances import classes, rds, restores

if TYPE_CHECKING:
    import pandas as pd

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
_LAG = (
    "SELECT json_build_object('standby', pg_is_in_recovery(), 'lag', CASE WHEN pg_last_wal_receive_lsn() = "
    "pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END)"
)


def list_replicas(ops: Connection) -> pd.DataFrame:
    """The read replicas of the target's instance. Columns: REPLICAS."""
    names = classes.of(ops).describe(ops).get("ReadReplicaDBInstanceIdentifiers") or ()
    return frame([_row(rds.Database(rds.INSTANCE, name).describe(ops)) for name in names], REPLICAS)


def _row(described: Mapping[str, Any]) -> dict[str, Any]:
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


def _infos(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        info
        for info in described.get("StatusInfos") or ()
        if info.get("StatusType") == "read replication"
    ]


@planner
def plan_replica(
    ops: Connection, name: str = "", instance_class: str = "", zone: str = ""
) -> Planned:
    """A read replica of the target's instance. Empty: a name with the next number, the writer's class, AWS's zone.

    Raises UsageError (Aurora, no such name, class or zone, not in that zone), Refused (the name is taken, the source is not
    available, has no automated backups or as many replicas as there may be).
    """
    source = classes.of(ops)
    described = source.describe(ops)
    _require_source(source, described)
    new = rds.Database.named(rds.INSTANCE, name or _free_name(ops, source))
    if name and new.exists(ops):
        raise Refused(
            f"{new} exists already in {ops.where}. Nothing was changed; choose another name."
        )
    wanted = instance_class or described["DBInstanceClass"]
    _require_place(ops, described, wanted, zone)
    made = Step(
        f"Make read replica {new.name} of {source.name}",
        do=Aws(
            "rds",
            "create_db_instance_read_replica",
            **new.key,
            SourceDBInstanceIdentifier=source.name,
            **_given(described, wanted, zone),
        ),
        before="absent",
        after="creating",
        undo=[Aws("rds", "delete_db_instance", **new.key, SkipFinalSnapshot=True)],
    )
    return Planned(
        f"read replica {new.name} of {source}, {wanted}",
        [made, restores.until_available(new)],
        _notes(described, wanted),
    )


def name_of_replica(plan: Plan) -> str:
    """What a plan of `plan_replica` calls the replica."""
    return str(plan.steps[0].do["parameters"]["DBInstanceIdentifier"])


def _given(described: dict[str, Any], wanted: str, zone: str) -> dict[str, Any]:
    """As the writer; but its subnet group is always the writer's, and AWS refuses to be told so."""
    passed = rds.passed_on(described) | rds.like_instance(described) | {"DBInstanceClass": wanted}
    passed.pop("DBSubnetGroupName", None)
    return passed | ({"AvailabilityZone": zone} if zone else {})


def _require_source(source: rds.Database, described: Mapping[str, Any]) -> None:
    if described["DBInstanceStatus"] != "available":
        raise Refused(
            f"{source} is {described['DBInstanceStatus']}: a replica is made of one that is available."
        )
    if not described.get("BackupRetentionPeriod"):
        raise Refused(
            f"{source} has no automated backups, and without them RDS makes no replica. Set a retention of a day or more "
            "first; from none to some is an interruption of its own."
        )
    present, most = (
        len(described.get("ReadReplicaDBInstanceIdentifiers") or ()),
        _MOST.get(described["Engine"], 5),
    )
    if present >= most:
        raise Refused(
            f"{source} has {present} read replicas, and {most} is the most for {described['Engine']}."
        )


def _require_place(ops: Connection, described: Mapping[str, Any], wanted: str, zone: str) -> None:
    options = rds.orderable(ops, described, wanted)
    subnets = (described.get("DBSubnetGroup") or {}).get("Subnets") or ()
    covered = {subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnets}
    offered = {each["Name"] for option in options for each in option.get("AvailabilityZones", ())}
    possible = covered & offered if covered else offered
    if zone and zone not in possible:
        raise UsageError(
            f"No replica of {wanted} can be in {zone!r}: the class is offered and the subnet group has a subnet in "
            f"{', '.join(sorted(possible)) or 'no zone'}."
        )


def _free_name(ops: Connection, source: rds.Database) -> str:
    names = (
        rds.Database(rds.INSTANCE, f"{source.name}-replica-{number}") for number in range(1, 100)
    )
    return next(each.name for each in names if not each.exists(ops))


def _notes(described: Mapping[str, Any], wanted: str) -> list[str]:
    notes = [
        "The writer goes on; it is read for a first copy. The replica is always some moments behind.",
        "It takes no load until somebody reads from its endpoint: the app's own reads still go to the writer.",
        "Undo deletes it. Terraform and the alarms do not know of it.",
    ]
    if wanted != described["DBInstanceClass"]:
        notes.append(
            f"{wanted} is not the writer's {described['DBInstanceClass']}: a smaller one may fall behind."
        )
    return notes


@check("Does the replica answer, and follow?")
def check_replica(ops: Connection, name: str) -> Findings:
    """A login with the present secret, that it is a standby, its lag, and its rows beside the writer's. Evidence: COUNTS."""
    new = rds.Database(rds.INSTANCE, name)
    present, described = classes.of(ops).describe(ops), new.describe(ops)
    at = new.endpoint(described, present)
    found = [
        _replicating(new, described),
        answer(f"{new} takes a login", lambda: _standby(ops, new, at)),
    ]
    if any(f.status == "critical" for f in found):
        return Findings(found)
    rows = _counted(ops, at)
    behind, missing = (
        sum(row["behind"] for row in rows),
        [r["table"] for r in rows if r["rows_now"] and not r["rows_replica"]],
    )
    seen = f"{sum(r['rows_replica'] for r in rows):,} rows in {len(rows)} tables, {behind:,} fewer than the writer"
    seen += f"; nothing in {', '.join(missing)}" if missing else ""
    status = "critical" if missing else "ok" if behind <= 0 else "warn"
    found.append(
        Finding(
            status,
            f"{new} holds the writer's rows",
            seen,
            "as many, or some moments behind",
            "SELECT count(*)",
        )
    )
    return Findings(found, frame(rows, COUNTS))


def _replicating(new: rds.Database, described: Mapping[str, Any]) -> Finding:
    infos = _infos(described)
    seen = ", ".join([described["DBInstanceStatus"], *(info["Status"] for info in infos)])
    well = described["DBInstanceStatus"] == "available" and all(
        info.get("Normal", True) for info in infos
    )
    question, source = f"{new} is available and replicating", "rds describe_db_instances"
    return Finding("ok" if well else "critical", question, seen, "available, replicating", source)


def _standby(ops: Connection, new: rds.Database, at: Mapping[str, Any]) -> Finding:
    where, question = (
        f"{at['host']}:{at['port']}",
        f"{new} takes a login, is a standby, and follows",
    )
    rule, source = (
        f"at most {_LAG_SECONDS} s behind",
        "pg_is_in_recovery, pg_last_xact_replay_timestamp",
    )
    try:
        said = sql.value(ops, _LAG, at=at)
    except OpsError as exc:
        return Finding("critical", question, str(exc), rule, source)
    if not said["standby"]:
        return Finding(
            "critical",
            question,
            f"logged in at {where}: it is no standby, it takes writes",
            rule,
            source,
        )
    lag = float(said["lag"] or 0)
    seen = f"logged in at {where}; read-only, {lag:.1f} s behind"
    return Finding("ok" if lag <= _LAG_SECONDS else "warn", question, seen, rule, source)


def _counted(ops: Connection, at: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows here and there. What the writer had when we began is waited for, for a moment."""
    tables = sql.list_tables(ops)
    now = sql.count_rows(ops, tables)
    end = time.monotonic() + _CATCH_UP_SECONDS
    while True:
        there = sql.count_rows(ops, sql.list_tables(ops, at), at)
        if time.monotonic() > end or all(there.get(table, 0) >= now[table] for table in tables):
            break
        time.sleep(0.5)
    return [
        {
            "table": t,
            "rows_replica": there.get(t, 0),
            "rows_now": now[t],
            "behind": now[t] - there.get(t, 0),
        }
        for t in tables
    ]
