"""RDS instances on the lab's PostgreSQL.

Moto's have no database, change at once, and forget nothing that is pending.

An instance's `DBName` is a database of the lab's PostgreSQL, which is its endpoint; a read replica
has a server of its
own (see replicas). `max_connections` of the parameter group holds for the instance's own database.
What waits for the
maintenance window waits until it is applied at once: no clock applies it, so that the lab is the
same on every day.
"""

from datetime import UTC, datetime
from typing import Any

from moto.rds.models import DBInstance, DBInstanceClustered

from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.rds import capacities, clusters, orderables, replicas
from opslib.lab.corrections.rds.clusters import HOST, later, require_password
from opslib.lab.corrections.rds.shared import (
    begin,
    earliest,
    find,
    invalid_state,
    limit,
    require_available,
)

_HESITATION = 0.4  # RDS calls a modified instance available for a moment before it begins
# What waits for the window or for ApplyImmediately: its name in the API, and in moto.
_WAITS = {
    "DBInstanceClass": "db_instance_class",
    "EngineVersion": "engine_version",
    "MultiAZ": "multi_az",
    "AllocatedStorage": "allocated_storage",
    "StorageType": "storage_type",
}
_INTERRUPTS = {"DBInstanceClass", "EngineVersion"}


def install() -> None:
    DBInstance.save_automated_backup = DBInstanceClustered.save_automated_backup = lambda self: None
    DBInstance.address = property(lambda self: HOST)
    DBInstance.latest_restorable_time = property(_latest)
    DBInstance.pending_modified_values = property(pending)
    DBInstance.status_infos = property(_status_infos)


def pending(instance: DBInstance) -> dict[str, Any]:
    """What a modification left for later, by its names in the API."""
    values: dict[str, Any] = instance.__dict__.get("lab_pending", {})
    return values


def _latest(instance: DBInstance) -> datetime | None:
    return datetime.now(UTC).replace(microsecond=0) if instance.backup_retention_period else None


def _status_infos(instance: DBInstance) -> list[dict[str, Any]]:
    if not instance.is_replica:
        return []
    return [{"StatusType": "read replication", "Status": "replicating", "Normal": True}]


def serve(call: Call, instance: DBInstance, allowed: bool) -> None:
    """An instance's database takes logins, or ends its sessions and refuses them.

    A replica goes with its writer.
    """
    postgres = call.world.postgres
    if not instance.is_replica and instance.db_name in postgres.databases():
        postgres.allow_connections(instance.db_name, allowed)


@answers("rds", "CreateDBInstance")
def create_db_instance(call: Call) -> Result:
    name, given = call.params.get("DBClusterIdentifier"), call.params
    cluster = clusters.find(call, name) if name else None
    if cluster:
        clusters.require_scaling(cluster, given["DBInstanceClass"])
    else:
        require_password(given.get("MasterUserPassword"))
        orderables.require(
            call, given["Engine"], given.get("EngineVersion", ""), given["DBInstanceClass"]
        )
    call.moto()
    instance = find(call, given["DBInstanceIdentifier"])
    instance.port = call.world.postgres.port
    if cluster:
        instance.status = "creating"
        later(call, lambda: clusters.member_available(call, cluster, instance))
    else:
        _create_database(call, instance)
        begin(call, instance, "creating", lambda: serve(call, instance, True))
    return {"DBInstance": instance}


def _create_database(call: Call, instance: DBInstance) -> None:
    postgres, name = call.world.postgres, instance.db_name
    if name and name not in postgres.databases():
        if not postgres.has_role(instance.master_username):
            postgres.create_role(instance.master_username, instance._master_user_password)
        postgres.create_database(name, instance.master_username)
        serve(call, instance, False)
    limit(call, instance)


@answers("rds", "ModifyDBInstance")
def modify_db_instance(call: Call) -> Result:
    given, instance = call.params, find(call, call.params["DBInstanceIdentifier"])
    if isinstance(instance, DBInstanceClustered):
        return call.moto()
    grows = given.get("AllocatedStorage", 0) > instance.allocated_storage
    if not (instance.status == "storage-full" and grows):  # the way out of that
        require_available(instance)
    require_password(given.get("MasterUserPassword"))
    orderables.require_storage(instance.allocated_storage, given.get("AllocatedStorage"))
    if "DBInstanceClass" in given:
        orderables.require(call, instance.engine, instance.engine_version, given["DBInstanceClass"])
    present = {key: getattr(instance, _WAITS[key]) for key in _WAITS if key in given}
    call.moto()
    for key, value in present.items():  # moto did it at once
        setattr(instance, _WAITS[key], value)
    if given.get("MasterUserPassword"):
        call.world.postgres.create_role(instance.master_username, given["MasterUserPassword"])
    immediately = bool(given.get("ApplyImmediately"))
    waiting = pending(instance) | {key: given[key] for key in present if given[key] != present[key]}
    # Only with ApplyImmediately does the present value take a pending one back.
    back = {key for key in present if given[key] == present[key]} if immediately else set()
    instance.lab_pending = {key: value for key, value in waiting.items() if key not in back}
    if immediately and instance.lab_pending:
        later(call, lambda: _modify(call, instance), _HESITATION)
    return {"DBInstance": instance}


def _modify(call: Call, instance: DBInstance) -> None:
    """Applies all that is pending: single-AZ is away meanwhile, multi-AZ fails over at the end."""
    values = dict(pending(instance))
    interrupted, was_full = bool(_INTERRUPTS & set(values)), instance.status == "storage-full"
    if interrupted and not instance.multi_az:
        serve(call, instance, False)

    def work() -> None:
        if interrupted:
            serve(call, instance, False)
        if interrupted or was_full:
            serve(call, instance, True)
        for key, value in values.items():
            setattr(instance, _WAITS[key], value)
        instance.lab_pending = {
            key: v for key, v in pending(instance).items() if values.get(key) != v
        }

    begin(call, instance, "modifying", work)


@answers("rds", "RebootDBInstance")
def reboot_db_instance(call: Call) -> Result:
    instance = find(call, call.params["DBInstanceIdentifier"])
    if not isinstance(instance, DBInstanceClustered):
        require_available(instance)
    if call.params.get("ForceFailover") and not instance.multi_az:
        raise AwsError(
            "InvalidParameterCombination",
            "Cannot specify ForceFailover for an instance that is not Multi-AZ.",
        )
    serve(call, instance, False)

    def work() -> None:
        serve(call, instance, True)
        limit(call, instance)
        capacities.restarted(instance)

    begin(call, instance, "rebooting", work)
    return {"DBInstance": instance}


@answers("rds", "StopDBInstance")
def stop_db_instance(call: Call) -> Result:
    instance = find(call, call.params["DBInstanceIdentifier"])
    if instance.is_replica or instance.replicas or instance.db_cluster_identifier:
        raise invalid_state(
            "Cannot stop an instance that has a read replica, is one, or belongs to a cluster."
        )
    answer = call.moto()
    begin(call, instance, "stopping", lambda: serve(call, instance, False), "stopped")
    answer["DBInstance"]["DBInstanceStatus"] = instance.status
    return answer


@answers("rds", "StartDBInstance")
def start_db_instance(call: Call) -> Result:
    instance = find(call, call.params["DBInstanceIdentifier"])
    answer = call.moto()
    begin(call, instance, "starting", lambda: serve(call, instance, True))
    answer["DBInstance"]["DBInstanceStatus"] = instance.status
    return answer


@answers("rds", "DeleteDBInstance")
def delete_db_instance(call: Call) -> Result:
    given, instance = call.params, find(call, call.params["DBInstanceIdentifier"])
    if isinstance(instance, DBInstanceClustered):
        answer = call.moto()
        clusters.open_or_close(call, instance.cluster)
        return answer
    last, skip = given.get("FinalDBSnapshotIdentifier"), given.get("SkipFinalSnapshot")
    if instance.is_replica and (last or not skip):
        raise AwsError(
            "InvalidParameterCombination", "A read replica is deleted with SkipFinalSnapshot only."
        )
    if not skip and not last:
        raise AwsError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    answer = call.moto()
    for name in list(instance.replicas):  # they go on alone
        replicas.promote(call, find(call, name))
    if instance.is_replica:
        replicas.forget(call, instance)
    elif instance.db_name:
        call.world.postgres.drop_database(instance.db_name)
    answer["DBInstance"]["DBInstanceStatus"] = "deleting"
    return answer


@answers("rds", "DescribeDBInstanceAutomatedBackups")
def describe_automated_backups(call: Call) -> Result:
    """How far back each instance can be restored: DescribeDBInstances has only the latest time."""
    wanted = call.params.get("DBInstanceIdentifier")
    held = [
        i
        for i in call.backend().databases.values()
        if i.backup_retention_period and not i.db_cluster_identifier
    ]
    return {
        "DBInstanceAutomatedBackups": [
            {
                "DBInstanceIdentifier": each.db_instance_identifier,
                "DBInstanceArn": each.arn,
                "DbiResourceId": each.dbi_resource_id,
                "Region": call.region,
                "Status": "active",
                "Engine": each.engine,
                "EngineVersion": each.engine_version,
                "BackupRetentionPeriod": each.backup_retention_period,
                "RestoreWindow": {
                    "EarliestTime": earliest(each),
                    "LatestTime": each.latest_restorable_time,
                },
            }
            for each in held
            if wanted in (None, each.db_instance_identifier)
        ]
    }


@answers("rds", "DescribePendingMaintenanceActions")
def describe_pending_maintenance_actions(call: Call) -> Result:
    """Those that a test or a drill put into an instance's `lab_maintenance`."""
    wanted = call.params.get("ResourceIdentifier")
    return {
        "PendingMaintenanceActions": [
            {"ResourceIdentifier": each.arn, "PendingMaintenanceActionDetails": actions}
            for each in call.backend().databases.values()
            if (actions := each.__dict__.get("lab_maintenance")) and wanted in (None, each.arn)
        ]
    }
