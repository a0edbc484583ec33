"""Snapshots of RDS instances that hold data, and restores into new instances.

As with clusters, a point in time.

As in AWS a restored instance has the default security group and parameter group, one zone, and no
deletion protection
but what is given. Unlike in AWS its `DBName` is a name of its own, because all instances share one
server.
"""

from datetime import datetime
from typing import Any

from botocore import xform_name
from moto.rds.models import DBInstance, RDSBackend

from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.rds import orderables
from opslib.lab.corrections.rds.restores import (
    default_groups,
    free_name,
    moment,
    recover,
    taken,
    time_of,
)
from opslib.lab.corrections.rds.shared import (
    begin,
    earliest,
    find,
    limit,
    require_available,
    require_new,
)

# What a restored instance has from its source.
KEPT = (
    "engine",
    "engine_version",
    "db_instance_class",
    "master_username",
    "allocated_storage",
    "storage_type",
    "storage_encrypted",
    "kms_key_id",
    "backup_retention_period",
    "preferred_backup_window",
    "preferred_maintenance_window",
    "license_model",
    "auto_minor_version_upgrade",
)
_NOT_PASSED = {
    "DBSnapshotIdentifier",
    "SourceDBInstanceIdentifier",
    "TargetDBInstanceIdentifier",
    "RestoreTime",
    "UseLatestRestorableTime",
    "DBName",
}


@answers("rds", "CreateDBSnapshot", "CopyDBSnapshot")
def create_snapshot(call: Call) -> Result:
    backend: RDSBackend = call.backend()
    source = None
    if call.operation == "CopyDBSnapshot":
        source = backend.get_db_snapshot(call.params["SourceDBSnapshotIdentifier"])
    else:
        require_available(find(call, call.params["DBInstanceIdentifier"]))
    return {"DBSnapshot": taken(call, backend.database_snapshots, source)}


@answers("rds", "RestoreDBInstanceFromDBSnapshot")
def restore_from_snapshot(call: Call) -> Result:
    require_new(call, call.params["DBInstanceIdentifier"])
    snapshot = call.backend().get_db_snapshot(call.params["DBSnapshotIdentifier"])
    if snapshot.status != "available":
        raise AwsError(
            "InvalidDBSnapshotState",
            f"The snapshot {snapshot.db_snapshot_identifier} is in {snapshot.status} state.",
            400,
        )
    return _restore(call, call.params["DBInstanceIdentifier"], snapshot.database, time_of(snapshot))


@answers("rds", "RestoreDBInstanceToPointInTime")
def restore_to_point_in_time(call: Call) -> Result:
    given = call.params
    require_new(call, given["TargetDBInstanceIdentifier"])
    source = find(call, given["SourceDBInstanceIdentifier"])
    if not source.backup_retention_period:
        raise AwsError(
            "PointInTimeRestoreNotEnabled",
            f"Point in time restore is not enabled for instance {source.db_instance_identifier}.",
            400,
        )
    window = earliest(source), source.latest_restorable_time
    at = moment(
        given.get("RestoreTime"), given.get("UseLatestRestorableTime"), "RestoreTime", window
    )
    return _restore(call, given["TargetDBInstanceIdentifier"], source, at)


def _restore(call: Call, identifier: str, source: DBInstance, at: datetime) -> Result:
    """An instance whose database is recovered in the background."""
    postgres, given = call.world.postgres, call.params
    if given.get("MultiAZ") and given.get("AvailabilityZone"):
        raise AwsError(
            "InvalidParameterCombination",
            "Requesting a specific availability zone is not valid for Multi-AZ instances.",
        )
    properties = properties_like(call, source, _NOT_PASSED)
    properties["db_instance_identifier"] = identifier
    properties["db_name"] = name = free_name(identifier, postgres.databases())
    orderables.require(call, source.engine, source.engine_version, properties["db_instance_class"])
    instance = call.backend().create_db_instance(properties)
    instance.port = postgres.port

    def work() -> None:
        recover(call, source, source.db_name, at, name)
        if instance is not call.backend().databases.get(identifier):  # deleted meanwhile
            postgres.drop_database(name)
            return
        limit(call, instance)

    begin(call, instance, "creating", work)
    return {"DBInstance": instance}


def properties_like(call: Call, source: DBInstance, not_passed: set[str]) -> dict[str, Any]:
    """What moto makes an instance of.

    What it has from its source, the default security group, and what is given.
    """
    kept: dict[str, Any] = {key: getattr(source, key) for key in KEPT}
    kept["master_user_password"] = source._master_user_password
    kept["vpc_security_group_ids"] = default_groups(call)
    return kept | {
        xform_name(key): value for key, value in call.params.items() if key not in not_passed
    }
