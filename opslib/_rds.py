"""A target's database as RDS knows it: an Aurora cluster or an instance, and what the calls for each are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslib._actions import Action, read, wait
from opslib.errors import UsageError

if TYPE_CHECKING:
    from opslib.connections import Connection

# Everything that ends by itself; other states (failed, storage-full, stopped …) do not.
PENDING = [
    "creating", "backing-up", "configuring-enhanced-monitoring", "configuring-iam-database-auth", "maintenance",
    "configuring-log-exports", "modifying", "moving-to-vpc", "preparing-data-migration", "rebooting", "renaming",
    "resetting-master-credentials", "starting", "storage-optimization", "upgrading",
]  # fmt: skip
_WAIT_SECONDS = 3600


@dataclass(frozen=True)
class Kind:
    """How RDS calls things: of clusters `DBClusterIdentifier`, of instances `DBInstanceIdentifier`, and so on."""

    noun: str
    id: str
    describe: str
    items: str
    status: str
    snapshot_id: str
    describe_snapshots: str
    snapshots: str
    create_snapshot: str
    delete_snapshot: str
    dimension: str


CLUSTER = Kind(
    "cluster", "DBClusterIdentifier", "describe_db_clusters", "DBClusters", "Status", "DBClusterSnapshotIdentifier",
    "describe_db_cluster_snapshots", "DBClusterSnapshots", "create_db_cluster_snapshot", "delete_db_cluster_snapshot",
    "DBClusterIdentifier",
)  # fmt: skip
INSTANCE = Kind(
    "instance", "DBInstanceIdentifier", "describe_db_instances", "DBInstances", "DBInstanceStatus",
    "DBSnapshotIdentifier", "describe_db_snapshots", "DBSnapshots", "create_db_snapshot", "delete_db_snapshot",
    "DBInstanceIdentifier",
)  # fmt: skip


@dataclass(frozen=True)
class Database:
    """One cluster or instance by its name."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.noun} {self.name}"

    @property
    def key(self) -> dict[str, Any]:
        return {self.kind.id: self.name}

    def describe(self, ops: Connection) -> dict[str, Any]:
        """As RDS describes it. Raises NotFound."""
        found: dict[str, Any] = ops.call("rds", self.kind.describe, **self.key)[self.kind.items][0]
        return found

    def status(self) -> Action:
        """Reads its status."""
        return read("rds", self.kind.describe, f"{self.kind.items}[0].{self.kind.status}", **self.key)

    def available(self) -> Action:
        """Waits until it is available, an hour at most."""
        path = f"{self.kind.items}[0].{self.kind.status}"
        return wait("rds", self.kind.describe, path, PENDING, ["available"], _WAIT_SECONDS, **self.key)

    def snapshot_status(self, snapshot: str) -> Action:
        path = f"{self.kind.snapshots}[0].Status"
        return read("rds", self.kind.describe_snapshots, path, **{self.kind.snapshot_id: snapshot})

    def snapshot_available(self, snapshot: str) -> Action:
        path, named = f"{self.kind.snapshots}[0].Status", {self.kind.snapshot_id: snapshot}
        return wait("rds", self.kind.describe_snapshots, path, ["creating"], ["available"], _WAIT_SECONDS, **named)


def of(ops: Connection) -> Database:
    """The target's database. Raises UsageError when its file names neither cluster nor instance."""
    facts = ops.target["database"]
    if "cluster" in facts:
        return Database(CLUSTER, facts["cluster"])
    if "instance" in facts:
        return Database(INSTANCE, facts["instance"])
    raise UsageError(f"parameters/targets/{ops.target.key}.yaml: database: names neither cluster nor instance.")


def members(ops: Connection, database: Database, described: dict[str, Any]) -> list[dict[str, Any]]:
    """The instances that serve it: those of the cluster, writer first, or the instance itself."""
    if database.kind is INSTANCE:
        return [described]
    writers = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in described.get("DBClusterMembers", ())}
    filters = [{"Name": "db-cluster-id", "Values": [database.name]}]
    found = ops.pages("rds", "describe_db_instances", "DBInstances[]", Filters=filters)
    return sorted(found, key=lambda i: (not writers.get(i["DBInstanceIdentifier"], False), i["DBInstanceIdentifier"]))
