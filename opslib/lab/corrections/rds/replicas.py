"""Read replicas of RDS instances.

Each is a real PostgreSQL standby with a port of its own, which follows the writer.

When it is promoted, its database becomes one of the lab's own server, under a name of its own as
after a restore: so
that it can be written to, snapshot and restored like every other instance.
"""

import psycopg
from moto.rds.models import DBInstance

from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.cloudwatch import metrics
from opslib.lab.corrections.rds import orderables
from opslib.lab.corrections.rds.instance_restores import properties_like
from opslib.lab.corrections.rds.restores import free_name
from opslib.lab.corrections.rds.shared import (
    begin,
    find,
    invalid_state,
    require_available,
    require_new,
)

_NOT_PASSED = {"DBInstanceIdentifier", "SourceDBInstanceIdentifier", "SourceRegion", "PreSignedUrl"}
_MOST = 15
_LAG = (
    "SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 "
    "ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END"
)


@answers("rds", "CreateDBInstanceReadReplica")
def create_db_instance_read_replica(call: Call) -> Result:
    given = call.params
    name, source = (
        given["DBInstanceIdentifier"],
        find(call, given.get("SourceDBInstanceIdentifier", "")),
    )
    require_new(call, name)
    _require_source(source)
    _require_place(call, source)
    properties = properties_like(call, source, _NOT_PASSED) | {
        "db_instance_identifier": name,
        "source_db_instance_identifier": source.db_instance_identifier,
        "db_name": source.db_name,
        "backup_retention_period": 0,
        "multi_az": given.get("MultiAZ", False),
        "db_parameter_group_name": given.get(
            "DBParameterGroupName", source.db_parameter_group_name
        ),
        "availability_zone": given.get("AvailabilityZone", source.availability_zone),
    }
    group = getattr(source, "db_subnet_group", None)
    instance = call.backend().create_db_instance(properties)
    if group is not None:
        instance.db_subnet_group = group
    instance.is_replica = True
    source.add_replica(instance)

    def work() -> None:
        instance.port = call.world.postgres.add_standby(name).port
        if instance is not call.backend().databases.get(name):  # deleted meanwhile
            call.world.postgres.remove_standby(name)
            return
        _gauge(call, name)

    begin(call, instance, "creating", work)
    return {"DBInstance": instance}


def _require_source(source: DBInstance) -> None:
    require_available(source)
    if source.db_cluster_identifier:
        raise invalid_state("A read replica cannot be made of an instance of a cluster.")
    if not source.backup_retention_period:
        raise invalid_state(
            "Automated backups are not enabled for this database instance. To enable automated "
            "backups, use "
            "ModifyDBInstance to set the backup retention period to a non-zero value."
        )
    if len(source.replicas) >= _MOST:
        raise invalid_state(f"Maximum number of read replicas ({_MOST}) is reached.")


def _require_place(call: Call, source: DBInstance) -> None:
    """A class and a zone that there are; in the same region the subnet group is the source's."""
    given = call.params
    if "DBSubnetGroupName" in given:
        raise AwsError(
            "DBSubnetGroupNotAllowedFault",
            "DbSubnetGroupName should not be specified for read replicas that are created in the "
            "same region as the "
            "master",
            400,
        )
    zone = given.get("AvailabilityZone")
    if zone and not (zone.startswith(call.region) and zone[len(call.region) :] in tuple("abcd")):
        raise AwsError("InvalidParameterValue", f"Invalid Availability Zone: {zone}")
    name = given.get("DBInstanceClass", source.db_instance_class)
    orderables.require(call, source.engine, source.engine_version, name, zone)
    group = getattr(source, "db_subnet_group", None)
    covered = (
        {subnet["SubnetAvailabilityZone"]["Name"] for subnet in group.subnets} if group else {zone}
    )
    if zone and zone not in covered:
        raise AwsError(
            "InvalidVPCNetworkStateFault",
            f"No subnet of the DB subnet group is in availability zone {zone}.",
            400,
        )


def _gauge(call: Call, name: str) -> None:
    """ReplicaLag in seconds, as the standby itself tells it."""
    server = call.world.postgres.standby(name)

    def read() -> float | None:
        if server is None or call.world.postgres.standby(name) is not server:
            return None
        try:
            with server.connect() as connection:
                row = connection.execute(_LAG).fetchone()
        except psycopg.OperationalError:
            return None
        return max(0.0, float(row[0] or 0)) if row else None

    store = metrics.store(call.account, call.region)
    store.gauge("AWS/RDS", "ReplicaLag", {"DBInstanceIdentifier": name}, read, "Seconds")


@answers("rds", "PromoteReadReplica")
def promote_read_replica(call: Call) -> Result:
    instance = find(call, call.params["DBInstanceIdentifier"])
    if not instance.is_replica:
        raise invalid_state(f"DB Instance {instance.db_instance_identifier} is not a read replica.")
    require_available(instance)
    call.backend().databases[instance.source_db_instance_identifier].remove_replica(instance)
    days: int = call.params.get("BackupRetentionPeriod", 1)
    promote(call, instance, days)
    return {"DBInstance": instance}


def promote(call: Call, instance: DBInstance, backup_days: int = 0) -> None:
    """A replica becomes an instance of its own, in the background."""
    postgres, name = call.world.postgres, instance.db_instance_identifier
    database = free_name(name, postgres.databases())
    instance.is_replica, instance.source_db_instance_identifier = False, None
    source, instance.db_name, instance.backup_retention_period = (
        instance.db_name,
        database,
        backup_days,
    )

    def work() -> None:
        postgres.split_standby(name, source, database, instance.master_username)
        instance.port = postgres.port

    begin(call, instance, "modifying", work)


def forget(call: Call, instance: DBInstance) -> None:
    """Ends a deleted replica's standby."""
    call.world.postgres.remove_standby(instance.db_instance_identifier)
