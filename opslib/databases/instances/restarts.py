"""An instance restarted, or the other one of a Multi-AZ pair or a cluster put in its place."""

from collections.abc import Iterator
from datetime import datetime

from opslib.core import (
    Connection,
    Findings,
    Json,
    Planned,
    Question,
    Refused,
    Step,
    check,
    count,
    planner,
    poll,
    require_known,
    sql,
)
from opslib.databases.instances import rds, states

_SECONDS = 1800
_SETTLE_SECONDS = 120
_RESTARTS = ("available", "incompatible-parameters", "storage-optimization")
_SESSIONS = "backend_type = 'client backend' AND datname = current_database()"


@planner
def plan_restart(ops: Connection, instance: str = "", failover: bool = False) -> Planned:
    """Restart an instance of the target's database; without a name its writer.

    `failover`: the standby of a Multi-AZ instance takes over, or a reader of a cluster (`instance`;
    without one the first) becomes its writer. RDS RebootDBInstance, FailoverDBCluster.
    Raises UsageError (no such instance), Refused (nothing to fail over to, or a state in which RDS
    restarts nothing).
    """
    database, _, members = rds.present(ops)
    named = {each[rds.NAME]: each for each in members}
    if instance:
        require_known("instance", instance, named, f" of {database} in {ops.where}")
    writer, *readers = named
    swapped = failover and database.kind is rds.CLUSTER
    if swapped and not [name for name in readers if instance in ("", name)]:
        raise Refused(
            f"{database} has no other instance that could take over from {writer}: add a reader "
            "first. Nothing was changed."
        )
    name = instance or (readers[0] if swapped else writer)
    told, one = named[name], rds.Database(rds.INSTANCE, name)
    if failover and not swapped and not told.get("MultiAZ"):
        raise Refused(f"{one} has no standby (Multi-AZ is off). Nothing was changed.")
    if (status := told["DBInstanceStatus"]) not in _RESTARTS:
        raise Refused(
            f"{one} is {status}: RDS restarts one that is available. Nothing was changed."
        )
    title, do = f"Restart {one}", one.call("reboot_db_instance", ForceFailover=failover)
    if swapped:
        title = f"Let {one} take over from {writer}"
        do = database.call("failover_db_cluster", TargetDBInstanceIdentifier=name)
    elif failover:
        title = f"Restart {one}, its standby takes over"
    waiting = database if swapped else one
    until = waiting.until(
        waiting.kind.status, [*waiting.kind.pending, "failing-over"], waiting.kind.serving, _SECONDS
    )
    steps = [
        Step(title, do, undo=[]),
        Step(f"Wait until {waiting} is available", until, undo=[]),
    ]
    return Planned(title, steps, _notes(ops, told, failover))


def _notes(ops: Connection, told: Json, failover: bool) -> Iterator[str]:
    open_now = sql.value(ops, f"SELECT count(*) FROM pg_stat_activity WHERE {_SESSIONS}")
    yield f"{count(int(open_now) - 1, 'session')} of the database end; what they have not "
    yield "committed is rolled back. An app that does not connect again is restarted, too."
    yield "Away for " + ("about a minute." if failover else "as long as a start takes: minutes.")
    late = ", ".join(
        each["DBParameterGroupName"]
        for each in told.get("DBParameterGroups", ())
        if each.get("ParameterApplyStatus") == "pending-reboot"
    )
    if late:
        yield f"LOOK: it comes back with other values of {late}, which wait for that."


@check("Has it restarted, and does it serve?")
def check_restarted(ops: Connection, since: datetime, instance: str = "") -> Findings:
    """After a restart or a failover: every session began since, and the app's are there again.

    `since`: a time before it, as the plan was made. Looks for two minutes.
    """
    database, described, members = rds.present(ops)
    name = instance or members[0][rds.NAME]
    at = rds.Database(rds.INSTANCE, name).endpoint(ops)
    read = (
        "SELECT json_build_object('old', count(*) FILTER (WHERE backend_start < "
        f"CAST(:since AS timestamptz)), 'new', count(*)) FROM pg_stat_activity WHERE {_SESSIONS}"
    )
    found, _ = poll(
        lambda: sql.value(ops, read, {"since": since.isoformat()}, at),
        lambda found: not found["old"] and found["new"] > 1,
        _SETTLE_SECONDS,
    )
    asked = Question(
        f"Sessions of {name} began since {since:%H:%M:%S} UTC", "all, and some are there"
    )
    seen = f"{found['old']} of {count(found['new'] - 1, 'session')} are older"
    if found["old"]:
        told = asked.critical(f"{seen}: it has not restarted", next="databases/health")
    elif found["new"] == 1:
        told = asked.warn("nobody is logged in: does the app connect again?")
    else:
        told = asked.ok(seen)
    return Findings([states.judged(database, described), told, states.login(ops)])
