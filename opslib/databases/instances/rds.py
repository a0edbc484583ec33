"""A target's database as RDS knows it: an Aurora cluster or an instance, and what the calls for each are called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, OpsError, UsageError, unknown_name
from opslib.core.plans.actions import Action, Read, Wait

# Everything that ends by itself; other states (failed, storage-full, stopped …) do not.
PENDING = [
    "creating",
    "backing-up",
    "configuring-enhanced-monitoring",
    "configuring-iam-database-auth",
    "maintenance",
    "configuring-log-exports",
    "modifying",
    "moving-to-vpc",
    "preparing-data-migration",
    "rebooting",
    "renaming",
    "resetting-master-credentials",
    "starting",
    "storage-optimization",
    "upgrading",
]
SERVING = ["available", "storage-optimization"]
# An instance while one of its values is changed.
_CHANGING = [*PENDING, "configuring-associated-roles", "storage-config-upgrade"]
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
    "cluster",
    "DBClusterIdentifier",
    "describe_db_clusters",
    "DBClusters",
    "Status",
    "DBClusterSnapshotIdentifier",
    "describe_db_cluster_snapshots",
    "DBClusterSnapshots",
    "create_db_cluster_snapshot",
    "delete_db_cluster_snapshot",
    "DBClusterIdentifier",
)
INSTANCE = Kind(
    "instance",
    "DBInstanceIdentifier",
    "describe_db_instances",
    "DBInstances",
    "DBInstanceStatus",
    "DBSnapshotIdentifier",
    "describe_db_snapshots",
    "DBSnapshots",
    "create_db_snapshot",
    "delete_db_snapshot",
    "DBInstanceIdentifier",
)


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

    @classmethod
    def named(cls, kind: Kind, name: str) -> Database:
        """One that is to be made. Raises UsageError when RDS takes no such name; RDS itself would make it lower case."""
        if len(name) > 63 or not re.fullmatch(r"[a-z](?:-?[a-z0-9])*", name):
            raise UsageError(
                f"{name!r} is no name for a database: at most 63 of a-z, 0-9 and single hyphens, a letter first, no hyphen last."
            )
        return cls(kind, name)

    def describe(self, ops: Connection) -> dict[str, Any]:
        """As RDS describes it. Raises NotFound."""
        found: dict[str, Any] = ops.call("rds", self.kind.describe, **self.key)[self.kind.items][0]
        return found

    def exists(self, ops: Connection) -> bool:
        """Whether there is one of that name; denied is an error, not an absence."""
        try:
            self.describe(ops)
        except NotFound:
            return False
        return True

    def status(self) -> Action:
        """Reads its status."""
        return Read(
            "rds", self.kind.describe, f"{self.kind.items}[0].{self.kind.status}", **self.key
        )

    def available(self) -> Action:
        """Waits until it is available, an hour at most."""
        path = f"{self.kind.items}[0].{self.kind.status}"
        return Wait(
            "rds", self.kind.describe, path, PENDING, ["available"], _WAIT_SECONDS, **self.key
        )

    def changed(
        self, attribute: str, before: Any, after: Any, seconds: int, besides: Sequence[str] = ()
    ) -> Action:
        """Waits until an instance serves with an attribute's new value. `besides`: states to be waited out, too.

        RDS calls it available, with the old value, for a while before it begins.
        """
        path = f"{self.kind.items}[0].[to_string({attribute}), {self.kind.status}] | join(' ', @)"
        passing = [*_CHANGING, *besides]
        pending = [f"{before} {state}" for state in (*passing, "available")]
        pending += [f"{after} {state}" for state in passing if state not in SERVING]
        done = [f"{after} {state}" for state in SERVING]
        return Wait("rds", self.kind.describe, path, pending, done, seconds, **self.key)

    def endpoint(self, described: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
        """Host, port and database of this one, made from the present one. A cluster's endpoint is a name, an instance's
        a mapping. The database is named where it has another name than the present one's; else the secret says it."""
        endpoint = described.get("Endpoint")
        if not endpoint:
            raise OpsError(f"{self} has no endpoint yet; look again when it is available.")
        if isinstance(endpoint, dict):
            at = {"host": endpoint["Address"], "port": int(endpoint["Port"])}
        else:
            at = {"host": endpoint, "port": int(described["Port"])}
        key = "DatabaseName" if self.kind is CLUSTER else "DBName"
        named = described.get(key)
        return at | ({"database": named} if named and named != present.get(key) else {})

    def snapshot_status(self, snapshot: str) -> Action:
        path = f"{self.kind.snapshots}[0].Status"
        return Read("rds", self.kind.describe_snapshots, path, **{self.kind.snapshot_id: snapshot})

    def snapshot_available(self, snapshot: str) -> Action:
        path, named = f"{self.kind.snapshots}[0].Status", {self.kind.snapshot_id: snapshot}
        return Wait(
            "rds",
            self.kind.describe_snapshots,
            path,
            ["creating"],
            ["available"],
            _WAIT_SECONDS,
            **named,
        )


def of(ops: Connection) -> Database:
    """The target's database. Raises UsageError when its file names neither cluster nor instance."""
    facts = ops.target["database"]
    if "cluster" in facts:
        return Database(CLUSTER, facts["cluster"])
    if "instance" in facts:
        return Database(INSTANCE, facts["instance"])
    raise UsageError(
        f"parameters/targets/{ops.target.key}.yaml: database: names neither cluster nor instance."
    )


def members(ops: Connection, database: Database, described: dict[str, Any]) -> list[dict[str, Any]]:
    """The instances that serve it: those of the cluster, writer first, or the instance itself."""
    if database.kind is INSTANCE:
        return [described]
    writers = {
        m["DBInstanceIdentifier"]: m["IsClusterWriter"]
        for m in described.get("DBClusterMembers", ())
    }
    filters = [{"Name": "db-cluster-id", "Values": [database.name]}]
    found = ops.pages("rds", "describe_db_instances", "DBInstances[]", Filters=filters)
    return sorted(
        found,
        key=lambda i: (
            not writers.get(i["DBInstanceIdentifier"], False),
            i["DBInstanceIdentifier"],
        ),
    )


def orderable(ops: Connection, described: Mapping[str, Any], wanted: str) -> list[dict[str, Any]]:
    """What RDS offers of a class for the engine of an instance. Raises UsageError that offers the nearest class."""
    engine = {"Engine": described["Engine"], "EngineVersion": described["EngineVersion"]}
    ask = partial(
        ops.pages,
        "rds",
        "describe_orderable_db_instance_options",
        "OrderableDBInstanceOptions[]",
        **engine,
    )
    if found := ask(DBInstanceClass=wanted):
        return found
    known = {option["DBInstanceClass"] for option in ask()}
    raise unknown_name("class", wanted, known, f" for {' '.join(engine.values())} in {ops.where}")


# What describe calls say -> what the calls that make a new one take.
_PASSED_ON = {
    "DBClusterParameterGroup": "DBClusterParameterGroupName",
    "EnabledCloudwatchLogsExports": "EnableCloudwatchLogsExports",
    "IAMDatabaseAuthenticationEnabled": "EnableIAMDatabaseAuthentication",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "StorageType": "StorageType",
    "Port": "Port",
}
_IOPS_FROM_GB = 400  # gp3 below that has a fixed rate, which the calls do not take


def passed_on(described: dict[str, Any]) -> dict[str, Any]:
    """Network, parameters, scaling and tags of the present database, for a new one: RDS would take its defaults."""
    subnets = described.get("DBSubnetGroup")  # a name of a cluster's, a mapping of an instance's
    name = subnets.get("DBSubnetGroupName") if isinstance(subnets, dict) else subnets
    given: dict[str, Any] = {"DBSubnetGroupName": name} if name else {}
    groups = sorted(g["VpcSecurityGroupId"] for g in described.get("VpcSecurityGroups", ()))
    given |= {"VpcSecurityGroupIds": groups} if groups else {}
    scaling = {
        k: v
        for k, v in described.get("ServerlessV2ScalingConfiguration", {}).items()
        if v is not None
    }
    given |= {"ServerlessV2ScalingConfiguration": scaling} if scaling else {}
    tags = [
        tag for tag in described.get("TagList", ()) if not tag["Key"].startswith("aws:")
    ]  # those are AWS's own
    given |= {"Tags": tags} if tags else {}
    return given | {
        to: described[key]
        for key, to in _PASSED_ON.items()
        if described.get(key) not in (None, "", [])
    }


def like_instance(described: dict[str, Any]) -> dict[str, Any]:
    """Class, parameter group, public access and provisioned I/O of an instance, for a new one."""
    groups = [g["DBParameterGroupName"] for g in described.get("DBParameterGroups", ())]
    kind, size = described.get("StorageType", ""), described.get("AllocatedStorage", 0)
    provisioned = kind.startswith("io") or (kind == "gp3" and size >= _IOPS_FROM_GB)
    rates = ("Iops", "StorageThroughput") if provisioned else ()
    return {
        "DBInstanceClass": described["DBInstanceClass"],
        "PubliclyAccessible": described.get("PubliclyAccessible", False),
        **({"DBParameterGroupName": groups[0]} if groups else {}),
        **{key: described[key] for key in rates if described.get(key)},
    }
