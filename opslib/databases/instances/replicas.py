"""Read replicas of RDS instances: one more instance that follows the writer and answers reads."""

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Plan,
    Planned,
    Question,
    Refused,
    UsageError,
    check,
    dtypes,
    frame,
    planner,
    sql,
)
from opslib.databases.instances import rds, states

REPLICAS = dtypes("""
    replica     str
    class       str
    zone        str
    status      str
    replicating str
    endpoint    str
""")
_REPLICATION = "(StatusInfos || `[]`)[?StatusType == 'read replication']"
_SHAPE = f"""{{
    replica: DBInstanceIdentifier, class: DBInstanceClass, zone: AvailabilityZone,
    status: DBInstanceStatus,
    replicating: join(', ', {_REPLICATION}.join(' ', [Status, Message][?@])),
    endpoint: Endpoint.Address && join(':', [Endpoint.Address, to_string(Endpoint.Port)]) || ''
}}"""
_LAG_SECONDS = 60
_LAG = """
SELECT json_build_object(
    'standby', pg_is_in_recovery(),
    'lag', CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
           ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END)
"""


def list_replicas(ops: Connection) -> Frame:
    """The read replicas of the target's instance. Columns: REPLICAS."""
    source, _ = rds.instance_of(ops)
    items = f"DBInstances[?ReadReplicaSourceDBInstanceIdentifier == '{source.name}'].{_SHAPE}"
    return frame(ops.pages("rds", rds.INSTANCE.describe, items), REPLICAS)


@planner
def plan_replica(
    ops: Connection, name: str = "", instance_class: str = "", zone: str = ""
) -> Planned:
    """A read replica of the target's instance.

    Empty: a name with the next number, the writer's class, AWS's zone. Raises UsageError (Aurora,
    no such name, class or zone, not in that zone), Refused (the name is taken, the source is not
    available or has no automated backups).
    """
    source, described = rds.instance_of(ops)
    endings = (f"-replica-{number}" for number in range(1, 100))
    new = rds.new_database(ops, source, rds.INSTANCE, name, endings)
    wanted = instance_class or described["DBInstanceClass"]
    _require_possible(ops, source, described, wanted, zone)
    given = rds.taken(described, "place", "make") | {"DBInstanceClass": wanted}
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
    return str(plan.steps[0].do["parameters"][rds.NAME])


def _require_possible(
    ops: Connection, source: rds.Database, described: Json, wanted: str, zone: str
) -> None:
    status = described["DBInstanceStatus"]
    if status != "available":
        raise Refused(f"{source} is {status}: a replica is made of one that is available.")
    if not described.get("BackupRetentionPeriod"):
        raise Refused(
            f"{source} has no automated backups, and without them RDS makes no replica. Set a "
            "retention of a day or more first; from none to some is an interruption of its own."
        )
    possible = rds.zones_of_class(ops, described, wanted)
    if subnets := (described.get("DBSubnetGroup") or {}).get("Subnets"):
        possible &= {subnet["SubnetAvailabilityZone"]["Name"] for subnet in subnets}
    if zone and zone not in possible:
        raise UsageError(
            f"No replica of {wanted} can be in {zone!r}: the class is offered and the subnet group "
            f"has a subnet in {', '.join(sorted(possible)) or 'no zone'}."
        )


@check("Does the replica answer, and follow?")
def check_replica(ops: Connection, name: str) -> Findings:
    """A login with the present secret, rows where the writer has some, its lag as a standby.

    Evidence: states.COUNTS.
    """
    new = rds.Database(rds.INSTANCE, name)
    status, infos = new.read(f"[DBInstanceStatus, {_REPLICATION}]").perform(ops)
    asked = Question(
        f"{new} is available and replicating",
        "available, replicating",
        "rds describe_db_instances",
    )
    well = status == "available" and all(info.get("Normal", True) for info in infos)
    replicating = asked.judged(well, ", ".join([status, *(info["Status"] for info in infos)]))
    held = states.compared(ops, new)
    follows = [] if held.evidence is None else [_standby(ops, new)]
    return Findings([replicating, *held, *follows], held.evidence)


def _standby(ops: Connection, new: rds.Database) -> Finding:
    asked = Question(
        f"{new} is a standby, and follows",
        f"at most {_LAG_SECONDS} s behind",
        "pg_is_in_recovery, pg_last_xact_replay_timestamp",
    )
    said = sql.value(ops, _LAG, at=new.endpoint(ops))
    if not said["standby"]:
        return asked.critical("it is no standby, it takes writes")
    lag = float(said["lag"] or 0)
    return asked.judged(lag <= _LAG_SECONDS, f"read-only, {lag:.1f} s behind", otherwise="warn")
