"""Aurora clusters on the lab's PostgreSQL: moto's have no database, are made at once, and overwrite each other.

A cluster's `DatabaseName` is a database of the lab's PostgreSQL, which is every cluster's endpoint. It can be logged in
to while the cluster has an available instance. A snapshot is a point in time; a restore replays the real write-ahead log
up to it (for times before the lab's start: up to the start) into a new database, which is named by the new cluster's
`DatabaseName`: unlike in AWS it has a name of its own, because all clusters share one server.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore import xform_name
from moto.rds.models import DBCluster, DBClusterSnapshot, DBInstance, DBInstanceClustered, RDSBackend

from opslib.errors import OpsError
from opslib.lab.operations import AwsError, Call, Result, answers

log = logging.getLogger("opslib.lab")

SECONDS = 1.2  # how long what takes minutes in AWS takes here
HOST = "127.0.0.1"
# What a restored cluster has from its source. Security groups, subnet group, scaling and tags it has not.
_KEPT = (
    "engine", "engine_version", "master_username", "backup_retention_period", "storage_encrypted", "kms_key_id", "port",
    "availability_zones", "preferred_backup_window", "preferred_maintenance_window", "storage_type", "allocated_storage",
)  # fmt: skip
_NOT_PASSED = {
    "SnapshotIdentifier", "SourceDBClusterIdentifier", "RestoreToTime", "UseLatestRestorableTime", "DatabaseName",
    "RestoreType",
}  # fmt: skip
_timers: set[threading.Timer] = set()
_gate = threading.Lock()


def install() -> None:
    DBCluster.status = property(_status, _set_status)
    DBCluster.endpoint = DBCluster.reader_endpoint = property(lambda self: HOST)
    DBCluster.earliest_restorable_time = property(_earliest, lambda self, value: None)
    DBCluster.latest_restorable_time = property(lambda self: datetime.now(UTC).replace(microsecond=0))
    DBCluster.save_automated_backup = DBInstanceClustered.save_automated_backup = lambda self: None
    DBInstance.address = property(lambda self: HOST)


def reset() -> None:
    for timer in list(_timers):
        timer.cancel()
    _timers.clear()


def _status(self: DBCluster) -> str:
    """moto: 'creating' when first asked, then 'available'. Here: while the work goes on."""
    if self.__dict__.get("lab_busy"):
        return "creating"
    return "available" if self._status == "creating" else str(self._status)


def _set_status(self: DBCluster, value: str) -> None:
    self._status = value


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _earliest(self: DBCluster) -> datetime:
    return max(_utc(self.cluster_create_time), datetime.now(UTC) - timedelta(days=self.backup_retention_period))


def _later(call: Call, work: Callable[[], None]) -> None:
    """Does a work after a while, in the background; at once when the lab itself asked."""
    if call.quiet:
        work()
        return

    def run() -> None:
        try:
            work()
        except Exception:
            log.exception("%s in the background", call.operation)
        finally:
            _timers.discard(timer)

    timer = threading.Timer(SECONDS, run)
    timer.daemon = True
    _timers.add(timer)
    timer.start()


def _open_or_close(call: Call, cluster: DBCluster) -> None:
    """A cluster's database takes logins while the cluster runs and has an instance that is available."""
    postgres = call.world.postgres
    with _gate:  # what is seen is done before the next one looks
        if cluster.database_name in postgres.databases():
            ready = cluster.status != "stopped" and any(member.status == "available" for member in cluster._members)
            postgres.allow_connections(cluster.database_name, ready)


def _cluster(call: Call, name: str) -> DBCluster:
    cluster = call.backend().clusters.get(name.lower())
    if cluster is None:
        raise AwsError("DBClusterNotFoundFault", f"DBCluster {name} not found.", 404)
    return cluster


def _require_available(cluster: DBCluster) -> None:
    if cluster.status != "available":
        raise AwsError(
            "InvalidDBClusterStateFault",
            f"DB cluster {cluster.db_cluster_identifier} is in {cluster.status} state.",
            400,
        )


def _require_new(call: Call) -> None:
    if call.params["DBClusterIdentifier"].lower() in call.backend().clusters:
        raise AwsError("DBClusterAlreadyExistsFault", "DB Cluster already exists", 400)


@answers("rds", "CreateDBCluster")
def create_db_cluster(call: Call) -> Result:
    _require_new(call)
    _require_password(call.params.get("MasterUserPassword"))
    call.moto()
    cluster, postgres = _cluster(call, call.params["DBClusterIdentifier"]), call.world.postgres
    cluster.port = postgres.port
    if cluster.database_name and cluster.database_name not in postgres.databases():
        if not postgres.has_role(cluster.master_username):
            postgres.create_role(cluster.master_username, cluster._master_user_password)
        postgres.create_database(cluster.database_name, cluster.master_username)
    cluster.lab_busy = not call.quiet
    _later(call, lambda: _done(call, cluster))
    return {"DBCluster": cluster}


def _done(call: Call, cluster: DBCluster) -> None:
    cluster.lab_busy = False
    _open_or_close(call, cluster)


@answers("rds", "ModifyDBCluster")
def modify_db_cluster(call: Call) -> Result:
    cluster = _cluster(call, call.params["DBClusterIdentifier"])
    _require_available(cluster)
    password = call.params.get("MasterUserPassword")
    _require_password(password)
    answer = call.moto()
    if password:
        call.world.postgres.create_role(cluster.master_username, password)
    return answer


def _require_password(password: str | None) -> None:
    if password is not None and (not 8 <= len(password) <= 41 or re.search(r'[/"@ ]|[^\x20-\x7e]', password)):
        raise AwsError(
            "InvalidParameterValue",
            "The parameter MasterUserPassword is not a valid password. It must have 8 to 41 characters. "
            "Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.",
        )


@answers("rds", "DeleteDBCluster")
def delete_db_cluster(call: Call) -> Result:
    given = call.params
    cluster = _cluster(call, given["DBClusterIdentifier"])
    if not given.get("SkipFinalSnapshot") and not given.get("FinalDBSnapshotIdentifier"):
        raise AwsError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    answer = call.moto()
    backend: RDSBackend = call.backend()
    for name, snapshot in list(backend.cluster_snapshots.items()):
        if (snapshot.db_cluster_identifier, snapshot.snapshot_type) == (cluster.db_cluster_identifier, "automated"):
            del backend.cluster_snapshots[name]
    if cluster.database_name:
        call.world.postgres.drop_database(cluster.database_name)
    answer["DBCluster"]["Status"] = "deleting"
    return answer


@answers("rds", "StartDBCluster", "StopDBCluster")
def start_or_stop(call: Call) -> Result:
    answer = call.moto()
    _open_or_close(call, _cluster(call, call.params["DBClusterIdentifier"]))
    return answer


@answers("rds", "CreateDBInstance")
def create_db_instance(call: Call) -> Result:
    name = call.params.get("DBClusterIdentifier")
    cluster = _cluster(call, name) if name else None
    if (
        cluster
        and call.params["DBInstanceClass"] == "db.serverless"
        and not cluster.serverless_v2_scaling_configuration
    ):
        raise AwsError(
            "InvalidDBClusterStateFault",
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 DB "
            "instance.",
        )
    call.moto()
    instance = call.backend().databases[call.params["DBInstanceIdentifier"]]
    instance.port = call.world.postgres.port
    instance.status = "creating"
    _later(call, lambda: _available(call, instance, cluster))
    return {"DBInstance": instance}


def _available(call: Call, instance: DBInstance, cluster: DBCluster | None) -> None:
    if cluster and cluster.__dict__.get("lab_busy"):  # its database is still being made
        _later(call, lambda: _available(call, instance, cluster))
        return
    instance.status = "available"
    if cluster:
        _open_or_close(call, cluster)


@answers("rds", "DeleteDBInstance")
def delete_db_instance(call: Call) -> Result:
    instance = call.backend().databases.get(call.params["DBInstanceIdentifier"])
    answer = call.moto()
    if isinstance(instance, DBInstanceClustered):
        _open_or_close(call, instance.cluster)
    return answer


@answers("rds", "CreateDBClusterSnapshot", "CopyDBClusterSnapshot")
def create_snapshot(call: Call) -> Result:
    backend: RDSBackend = call.backend()
    source = None
    if call.operation == "CopyDBClusterSnapshot":
        source = backend.get_db_cluster_snapshot(call.params["SourceDBClusterSnapshotIdentifier"])
    else:
        _require_available(_cluster(call, call.params["DBClusterIdentifier"]))
    before = set(backend.cluster_snapshots)
    call.moto()
    snapshot = next(held for name, held in backend.cluster_snapshots.items() if name not in before)
    snapshot.lab_time = _time_of(source) if source else _utc(snapshot.created)
    snapshot.status, snapshot.percent_progress = "creating", 0

    def finish() -> None:
        snapshot.status, snapshot.percent_progress = "available", 100

    _later(call, finish)
    return {"DBClusterSnapshot": snapshot}


def _time_of(snapshot: DBClusterSnapshot) -> datetime:
    """The time whose data a snapshot holds."""
    time: datetime = snapshot.__dict__.get("lab_time") or _utc(snapshot.created)
    return time


@answers("rds", "RestoreDBClusterFromSnapshot")
def restore_from_snapshot(call: Call) -> Result:
    _require_new(call)
    snapshot = call.backend().get_db_cluster_snapshot(call.params["SnapshotIdentifier"])
    if snapshot.status != "available":
        raise AwsError(
            "InvalidDBClusterSnapshotStateFault",
            f"The snapshot {snapshot.db_cluster_snapshot_identifier} is in {snapshot.status} state.",
        )
    return _restore(call, snapshot.cluster, _time_of(snapshot))


@answers("rds", "RestoreDBClusterToPointInTime")
def restore_to_point_in_time(call: Call) -> Result:
    _require_new(call)
    source = _cluster(call, call.params["SourceDBClusterIdentifier"])
    time, latest = call.params.get("RestoreToTime"), call.params.get("UseLatestRestorableTime")
    if (time is None) == (not latest) and call.params.get("RestoreType") != "copy-on-write":
        raise AwsError(
            "InvalidParameterCombination", "Specify either RestoreToTime or UseLatestRestorableTime, and not both."
        )
    at = datetime.now(UTC) if time is None else _utc(time)
    if time is not None:
        earliest, newest = source.earliest_restorable_time, source.latest_restorable_time
        for wrong, word, bound in ((at < earliest, "earlier", earliest), (at > newest, "later", newest)):
            if wrong:
                raise AwsError(
                    "InvalidParameterValue",
                    f"The specified instance cannot be restored to a time {word} than {bound:%Y-%m-%d %H:%M:%S} UTC.",
                )
    return _restore(call, source, at)


def _restore(call: Call, source: DBCluster, at: datetime) -> Result:
    """A cluster without instances, whose database is recovered in the background."""
    postgres, given = call.world.postgres, call.params
    name = _free_name(given["DBClusterIdentifier"], postgres.databases())
    properties: dict[str, Any] = {key: getattr(source, key) for key in _KEPT}
    properties["master_user_password"] = source._master_user_password
    properties["database_name"] = name
    properties["vpc_security_group_ids"] = _default_groups(call)
    properties |= {xform_name(key): value for key, value in given.items() if key not in _NOT_PASSED}
    cluster = call.backend().create_db_cluster(properties)
    cluster.lab_busy = True

    def work() -> None:
        owner = source.master_username
        if not postgres.has_role(owner):
            postgres.create_role(owner, source._master_user_password)
        try:
            postgres.recover_database(source.database_name, at, name, owner)
        except OpsError:
            cluster.status = "failed"
            raise
        finally:
            _done(call, cluster)

    _later(call, work)
    return {"DBCluster": cluster}


def _free_name(identifier: str, taken: list[str]) -> str:
    wanted = re.sub(r"\W", "_", identifier.lower())
    names = [wanted, *(f"{wanted}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _default_groups(call: Call) -> list[str]:
    """AWS: a restore that names no security group gets the default one of its VPC."""
    name = call.params.get("DBSubnetGroupName")
    wanted = call.backend().subnet_groups.get(name or "")
    if name and wanted is None:
        raise AwsError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' does not exist.", 404)
    for vpc, groups in call.backend("ec2").groups.items():
        if wanted is None or vpc == wanted.vpc_id:
            return [group.id for group in groups.values() if group.name == "default"]
    return []
