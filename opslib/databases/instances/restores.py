"""Restoring a database into a new one beside it, and done when a login and its rows say so.

It is planned with everything that RDS would otherwise leave at its defaults. The present database
is never touched.
"""

from datetime import UTC

from opslib.core import (
    Aws,
    Connection,
    Findings,
    Json,
    Plan,
    Planned,
    Refused,
    Step,
    UsageError,
    check,
    moment,
    planner,
    require_known,
)
from opslib.databases.instances import rds, snapshots, states

LATEST = "latest"


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
    database, described, members = rds.present(ops)
    ending = f"-restored-{ops.now():%Y%m%d}"
    endings = [ending, *(f"{ending}-{number}" for number in range(2, 100))]
    new = rds.new_database(ops, database, database.kind, name, endings)
    if snapshot:
        operation, source, said = _snapshot(ops, new, snapshot)
        source |= {"Engine": described["Engine"]} if new.kind is rds.CLUSTER else {}
    else:
        operation, source, said = _moment(ops, new, to, described)
    restore = Aws("rds", operation, **source, **like(new, described))
    steps = new.made(f"Restore into {new}", restore)
    if database.kind is rds.CLUSTER:
        steps += _instance_in(new, described, members)
    notes = [
        f"{database} goes on as it is, and the app goes on using it: pointing the app to "
        f"{new.name} is a decision of its own.",
        "Undo deletes the new one without a final snapshot.",
        "Alarms and Terraform's state do not know of the new one, and its deletion protection is "
        "off, so that it can be undone: switch it on when it stays.",
        *_lacks(described),
    ]
    return Planned(f"restore {said} of {database} into {new.name}", steps, notes)


def _lacks(described: Json) -> list[str]:
    """What the present one has and a restored one gets only by calls of its own."""
    said = {
        "the Data API": described.get("HttpEndpointEnabled"),
        "the activity stream": described.get("ActivityStreamStatus", "stopped") != "stopped",
        "the global database": described.get("GlobalClusterIdentifier"),
        "custom endpoints": described.get("CustomEndpoints"),
    }
    said |= {f"role {each['RoleArn']}": True for each in described.get("AssociatedRoles", ())}
    lacking = ", ".join(what for what, has in said.items() if has)
    return [f"The new one has not, as the present one has: {lacking}."] if lacking else []


def name_of_restored(plan: Plan) -> str:
    """What a plan of `plan_restore` calls the new database."""
    [delete] = plan.steps[0].undo or ()
    given = delete["parameters"]
    return str(given.get(rds.CLUSTER.key) or given[rds.INSTANCE.key])


def _snapshot(ops: Connection, new: rds.Database, wanted: str) -> tuple[str, Json, str]:
    """The call that restores a snapshot, its parameters, and the snapshot in words."""
    found = snapshots.list_snapshots(ops)
    usable = found[found["status"] == "available"].set_index("snapshot")["created"]
    if usable.empty:
        raise Refused(
            f"{rds.database_of(ops)} has no snapshot that is available. "
            "Restore to a moment instead: to = 'latest'."
        )
    chosen = usable.index[0] if wanted == LATEST else wanted
    require_known("snapshot", chosen, usable.index, f" of {rds.database_of(ops)}")
    operation, key = rds.told("restores")[new.kind.noun]["snapshot"]
    said = f"snapshot {chosen} ({usable[chosen]:%Y-%m-%d %H:%M} UTC)"
    return operation, {**new.key, key: chosen}, said


def _moment(
    ops: Connection, new: rds.Database, wanted: str, described: Json
) -> tuple[str, Json, str]:
    """The call that restores to a moment, its parameters, and the moment in words."""
    database = rds.database_of(ops)
    earliest, latest = snapshots.window(ops, database, described)
    if earliest is None or latest is None:
        raise Refused(
            f"RDS names no restorable window for {database}: are automated backups on? "
            "See databases/snapshot."
        )
    operation, target, source, time = rds.told("restores")[new.kind.noun]["moment"]
    given: Json = {target: new.name, source: database.name}
    if wanted == LATEST:
        return operation, given | {"UseLatestRestorableTime": True}, "the latest restorable moment"
    at = moment(wanted, ops.now()).astimezone(UTC)
    said = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    if not earliest <= at <= latest:
        raise Refused(
            f"{database} cannot be restored to {said}, only to a moment from "
            f"{earliest:%Y-%m-%d %H:%M:%S} to {latest:%Y-%m-%d %H:%M:%S} UTC. "
            "Is there a snapshot of about that time? See databases/snapshot."
        )
    return operation, given | {time: at.isoformat()}, said


def like(new: rds.Database, described: Json) -> Json:
    """What makes the new one like the present one."""
    if new.kind is rds.CLUSTER:
        return rds.taken(described, "place")
    several = described.get("MultiAZ", False)
    return rds.taken(described, "place", "make") | {"MultiAZ": several}


def _instance_in(cluster: rds.Database, described: Json, present: list[Json]) -> list[Step]:
    """An instance like the present writer: a restored cluster has none."""
    instance = {"DBInstanceClass": "db.serverless", "PubliclyAccessible": False}
    instance |= rds.taken(present[0], "make", "tags") if present else {}
    made = rds.Database(rds.INSTANCE, f"{cluster.name}-1")
    make = made.call("create_db_instance", Engine=described["Engine"], **instance, **cluster.key)
    return made.made(f"Make instance {made.name} in it", make)


@check("Is the restored database usable?")
def check_restored(ops: Connection, name: str) -> Findings:
    """Does the restored database take a login with the present secret, and has it the rows of now?

    Evidence: states.COUNTS. It holds what was there at its moment: a difference is what happened
    since.
    """
    return states.compared(ops, rds.Database(rds.database_of(ops).kind, name))
