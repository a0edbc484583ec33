"""Aurora clusters on the lab's PostgreSQL.

Moto's have no database, are made at once, and overwrite each other.

A cluster's `DatabaseName` is a database of the lab's PostgreSQL, which is every cluster's endpoint.
It can be logged in
to while the cluster has an available instance.
"""

import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from moto.rds.models import DBCluster, DBInstance, RDSBackend

from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.rds import capacities

log = logging.getLogger("opslib.lab")

_BOUNDS = "ServerlessV2ScalingConfiguration"
SECONDS = 1.2  # how long what takes minutes in AWS takes here
HOST = "127.0.0.1"
_timers: set[threading.Timer] = set()
_gate = threading.Lock()


def install() -> None:
    DBCluster.status = property(_status, _set_status)
    DBCluster.endpoint = DBCluster.reader_endpoint = property(lambda self: HOST)
    DBCluster.earliest_restorable_time = property(_earliest, lambda self, value: None)
    DBCluster.latest_restorable_time = property(_latest, lambda self, value: None)
    DBCluster.save_automated_backup = lambda self: None
    DBCluster.pending_modified_values = property(lambda self: self.__dict__.get("lab_password"))


def reset() -> None:
    for timer in list(_timers):
        timer.cancel()
    _timers.clear()


def _status(self: DBCluster) -> str:
    """moto: 'creating' when first asked, then 'available'. Here: while the work goes on."""
    if self.__dict__.get("lab_busy"):
        return "creating"
    if self.__dict__.get("lab_password"):
        return "resetting-master-credentials"
    return "available" if self._status == "creating" else str(self._status)


def _set_status(self: DBCluster, value: str) -> None:
    self._status = value


def utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _earliest(self: DBCluster) -> datetime:
    return max(
        utc(self.cluster_create_time),
        datetime.now(UTC) - timedelta(days=self.backup_retention_period),
    )


def _latest(self: DBCluster) -> datetime:
    """Now, or so many seconds ago as a drill put into `lab_behind`."""
    behind = timedelta(seconds=self.__dict__.get("lab_behind", 0))
    return datetime.now(UTC).replace(microsecond=0) - behind


def later(call: Call, work: Callable[[], None], seconds: float = SECONDS) -> None:
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

    timer = threading.Timer(seconds, run)
    timer.daemon = True
    _timers.add(timer)
    timer.start()


def open_or_close(call: Call, cluster: DBCluster, new: DBInstance | None = None) -> None:
    """A cluster's database takes logins while the cluster runs and has an instance that is
    available.

    `new`: an instance that becomes available, after the database takes logins.
    """
    postgres = call.world.postgres
    with _gate:  # what is seen is done before the next one looks
        if cluster.database_name in postgres.databases():
            available = new is not None or any(
                member.status == "available" for member in cluster._members
            )
            postgres.allow_connections(
                cluster.database_name, available and cluster.status != "stopped"
            )
        if new is not None:
            new.status = "available"


def find(call: Call, name: str) -> DBCluster:
    cluster = call.backend().clusters.get(name.lower())
    if cluster is None:
        raise AwsError("DBClusterNotFoundFault", f"DBCluster {name} not found.", 404)
    return cluster


def require_available(cluster: DBCluster) -> None:
    if cluster.status != "available":
        raise AwsError(
            "InvalidDBClusterStateFault",
            f"DB cluster {cluster.db_cluster_identifier} is in {cluster.status} state.",
            400,
        )


def require_new(call: Call) -> None:
    if call.params["DBClusterIdentifier"].lower() in call.backend().clusters:
        raise AwsError("DBClusterAlreadyExistsFault", "DB Cluster already exists", 400)


@answers("rds", "CreateDBCluster")
def create_db_cluster(call: Call) -> Result:
    require_new(call)
    require_password(call.params.get("MasterUserPassword"))
    capacities.require_bounds(call.params.get(_BOUNDS))
    call.moto()
    cluster, postgres = find(call, call.params["DBClusterIdentifier"]), call.world.postgres
    cluster.port = postgres.port
    if cluster.database_name and cluster.database_name not in postgres.databases():
        if not postgres.has_role(cluster.master_username):
            postgres.create_role(cluster.master_username, cluster._master_user_password)
        postgres.create_database(cluster.database_name, cluster.master_username)
    cluster.lab_busy = not call.quiet
    later(call, lambda: finish(call, cluster))
    return {"DBCluster": cluster}


def finish(call: Call, cluster: DBCluster) -> None:
    """A new cluster is available, after its database takes logins or refuses them."""
    open_or_close(call, cluster)
    cluster.lab_busy = False


@answers("rds", "ModifyDBCluster")
def modify_db_cluster(call: Call) -> Result:
    cluster = find(call, call.params["DBClusterIdentifier"])
    require_available(cluster)
    password = call.params.get("MasterUserPassword")
    require_password(password)
    capacities.require_bounds(call.params.get(_BOUNDS))
    before = cluster.serverless_v2_scaling_configuration
    answer = call.moto()
    if _BOUNDS in call.params:
        capacities.bounded(cluster, before)
    if password:
        _reset(call, cluster, password)
    return answer


def _reset(call: Call, cluster: DBCluster, password: str) -> None:
    """RDS says that a password is pending, and applies it after a while."""
    cluster.lab_password = mine = {"MasterUserPassword": "****"}

    def work() -> None:
        call.world.postgres.create_role(cluster.master_username, password)
        if cluster.__dict__.get("lab_password") is mine:
            del cluster.lab_password

    later(call, work)


def require_password(password: str | None) -> None:
    if password is not None and (
        not 8 <= len(password) <= 41 or re.search(r'[/"@ ]|[^\x20-\x7e]', password)
    ):
        raise AwsError(
            "InvalidParameterValue",
            "The parameter MasterUserPassword is not a valid password. It must have 8 to 41 "
            "characters. "
            "Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.",
        )


@answers("rds", "DeleteDBCluster")
def delete_db_cluster(call: Call) -> Result:
    given = call.params
    cluster = find(call, given["DBClusterIdentifier"])
    if not given.get("SkipFinalSnapshot") and not given.get("FinalDBSnapshotIdentifier"):
        raise AwsError(
            "InvalidParameterCombination",
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
        )
    answer = call.moto()
    backend: RDSBackend = call.backend()
    for name, snapshot in list(backend.cluster_snapshots.items()):
        if (snapshot.db_cluster_identifier, snapshot.snapshot_type) == (
            cluster.db_cluster_identifier,
            "automated",
        ):
            del backend.cluster_snapshots[name]
    if cluster.database_name:
        call.world.postgres.drop_database(cluster.database_name)
    answer["DBCluster"]["Status"] = "deleting"
    return answer


@answers("rds", "StartDBCluster", "StopDBCluster")
def start_or_stop(call: Call) -> Result:
    answer = call.moto()
    open_or_close(call, find(call, call.params["DBClusterIdentifier"]))
    return answer


def require_scaling(cluster: DBCluster, instance_class: str) -> None:
    if instance_class == "db.serverless" and not cluster.serverless_v2_scaling_configuration:
        raise AwsError(
            "InvalidDBClusterStateFault",
            "Set the Serverless v2 scaling configuration on the parent DB cluster before creating "
            "a Serverless v2 DB "
            "instance.",
        )


def member_available(call: Call, cluster: DBCluster, instance: DBInstance) -> None:
    """A new instance of a cluster serves, after the cluster's database is made."""
    if cluster.__dict__.get("lab_busy") and not call.quiet:
        later(call, lambda: member_available(call, cluster, instance))
        return
    open_or_close(call, cluster, instance)
