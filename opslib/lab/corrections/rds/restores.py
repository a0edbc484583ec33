"""RDS snapshots and restores: moto's hold no data.

A snapshot is a point in time. A restore replays PostgreSQL's real write-ahead log up to it (for
times before the lab's
start: up to the start) into a new database, which the new cluster's `DatabaseName` names: unlike in
AWS it has a name
of its own, because all clusters share one server. As in AWS the new cluster has no instances, the
default security
group, and no scaling but what is given.
"""

import re
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from moto.rds.models import DBCluster, RDSBackend

from opslib.core.errors import OpsError
from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.rds.clusters import (
    find,
    finish,
    later,
    require_available,
    require_new,
    utc,
)

# What a restored cluster has from its source. Security groups, subnet group, scaling and tags it
# has not.
_KEPT = (
    "engine",
    "engine_version",
    "master_username",
    "backup_retention_period",
    "storage_encrypted",
    "kms_key_id",
    "port",
    "availability_zones",
    "preferred_backup_window",
    "preferred_maintenance_window",
    "storage_type",
    "allocated_storage",
)
_NOT_PASSED = {
    "SnapshotIdentifier",
    "SourceDBClusterIdentifier",
    "RestoreToTime",
    "UseLatestRestorableTime",
    "DatabaseName",
    "RestoreType",
}


@answers("rds", "CreateDBClusterSnapshot", "CopyDBClusterSnapshot")
def create_snapshot(call: Call) -> Result:
    backend: RDSBackend = call.backend()
    source = None
    if call.operation == "CopyDBClusterSnapshot":
        source = backend.get_db_cluster_snapshot(call.params["SourceDBClusterSnapshotIdentifier"])
    else:
        require_available(find(call, call.params["DBClusterIdentifier"]))
    return {"DBClusterSnapshot": taken(call, backend.cluster_snapshots, source)}


def taken(call: Call, held: dict[str, Any], source: Any = None) -> Any:
    """The snapshot that moto makes, as of now or with the data of another one.

    Available after a while.
    """
    before = set(held)
    call.moto()
    snapshot = next(each for name, each in held.items() if name not in before)
    snapshot.lab_time = time_of(source) if source else utc(snapshot.created)
    snapshot.status, snapshot.percent_progress = "creating", 0

    def complete() -> None:
        snapshot.status, snapshot.percent_progress = "available", 100

    later(call, complete)
    return snapshot


def time_of(snapshot: Any) -> datetime:
    """The time whose data a snapshot holds."""
    time: datetime = snapshot.__dict__.get("lab_time") or utc(snapshot.created)
    return time


@answers("rds", "RestoreDBClusterFromSnapshot")
def restore_from_snapshot(call: Call) -> Result:
    require_new(call)
    snapshot = call.backend().get_db_cluster_snapshot(call.params["SnapshotIdentifier"])
    if snapshot.status != "available":
        raise AwsError(
            "InvalidDBClusterSnapshotStateFault",
            f"The snapshot {snapshot.db_cluster_snapshot_identifier} is in {snapshot.status} "
            "state.",
        )
    return _restore(call, snapshot.cluster, time_of(snapshot))


@answers("rds", "RestoreDBClusterToPointInTime")
def restore_to_point_in_time(call: Call) -> Result:
    require_new(call)
    source = find(call, call.params["SourceDBClusterIdentifier"])
    given = call.params
    if given.get("RestoreType") == "copy-on-write":
        return _restore(call, source, datetime.now(UTC))
    window = source.earliest_restorable_time, source.latest_restorable_time
    at = moment(
        given.get("RestoreToTime"), given.get("UseLatestRestorableTime"), "RestoreToTime", window
    )
    return _restore(call, source, at)


def moment(
    time: datetime | None, latest: bool | None, word: str, window: tuple[datetime, datetime]
) -> datetime:
    """The time that a restore asks for. `word`: what the parameter is called."""
    if (time is None) == (not latest):
        raise AwsError(
            "InvalidParameterCombination",
            f"Specify either {word} or UseLatestRestorableTime, and not both.",
        )
    if time is None:
        return datetime.now(UTC)
    at, (earliest, newest) = utc(time), window
    for wrong, than, bound in (
        (at < earliest, "earlier", earliest),
        (at > newest, "later", newest),
    ):
        if wrong:
            raise AwsError(
                "InvalidParameterValue",
                f"The specified instance cannot be restored to a time {than} than "
                f"{bound:%Y-%m-%d %H:%M:%S} UTC.",
            )
    return at


def _restore(call: Call, source: DBCluster, at: datetime) -> Result:
    """A cluster without instances, whose database is recovered in the background."""
    postgres, given = call.world.postgres, call.params
    name = free_name(given["DBClusterIdentifier"], postgres.databases())
    properties: dict[str, Any] = {key: getattr(source, key) for key in _KEPT}
    properties["master_user_password"] = source._master_user_password
    properties["database_name"] = name
    properties["vpc_security_group_ids"] = default_groups(call)
    properties |= {xform_name(key): value for key, value in given.items() if key not in _NOT_PASSED}
    cluster = call.backend().create_db_cluster(properties)
    cluster.lab_busy = True

    def work() -> None:
        try:
            recover(call, source, source.database_name, at, name)
        except OpsError:
            cluster.status = "failed"
            raise
        finally:
            finish(call, cluster)

    later(call, work)
    return {"DBCluster": cluster}


def recover(call: Call, source: Any, database: str, at: datetime, name: str) -> None:
    """A new database with what that of a cluster or instance held at a time,
    owned by its master user.
    """
    postgres, owner = call.world.postgres, source.master_username
    if not postgres.has_role(owner):
        postgres.create_role(owner, source._master_user_password)
    postgres.recover_database(database, at, name, owner)


def free_name(identifier: str, taken: list[str]) -> str:
    wanted = re.sub(r"\W", "_", identifier.lower())
    names = [wanted, *(f"{wanted}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def default_groups(call: Call) -> list[str]:
    """AWS: a restore that names no security group gets the default one of its VPC."""
    name = call.params.get("DBSubnetGroupName")
    wanted = call.backend().subnet_groups.get(name or "")
    if name and name != "default" and wanted is None:  # that one AWS makes for the default VPC
        raise AwsError(
            "DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.", 404
        )
    for vpc, groups in call.backend("ec2").groups.items():
        if wanted is None or vpc == wanted.vpc_id:
            return [group.id for group in groups.values() if group.name == "default"]
    return []
