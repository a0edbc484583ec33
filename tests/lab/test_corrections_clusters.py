"""RDS as the real one.

Clusters whose databases can be logged in to, snapshots and restores that hold real data.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from opslib.lab.places import Place
from opslib.lab.world import World
from tests.waiting import wait

PASSWORD = "a-fine-password"
SCALING = {"MinCapacity": 0.5, "MaxCapacity": 2.0}


@pytest.fixture
def rds(aws: Any, place: Place, world: World) -> Iterator[Any]:
    """With cluster `shop`, its instance, and a table with three orders. All is gone afterwards."""
    seed = place.client("rds")
    seed.create_db_cluster(
        DBClusterIdentifier="shop",
        Engine="aurora-postgresql",
        DatabaseName="shop",
        MasterUsername="keeper",
        MasterUserPassword=PASSWORD,
        BackupRetentionPeriod=7,
        ServerlessV2ScalingConfiguration=SCALING,
    )
    add_instance(seed, "shop")
    with login(seed, "shop") as database:
        database.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 3) n")
    yield aws("rds")
    backend = place.backend("rds")
    for held in (backend.databases, backend.clusters, backend.cluster_snapshots):
        held.clear()
    world.postgres.clear()


def add_instance(rds: Any, cluster: str) -> None:
    rds.create_db_instance(
        DBInstanceIdentifier=f"{cluster}-1",
        DBClusterIdentifier=cluster,
        DBInstanceClass="db.serverless",
        Engine="aurora-postgresql",
    )


def describe(rds: Any, name: str) -> Any:
    return rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]


def login(rds: Any, name: str, password: str = PASSWORD) -> Any:
    """A connection to what the cluster's description says."""
    cluster = describe(rds, name)
    return psycopg.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        dbname=cluster["DatabaseName"],
        user=cluster["MasterUsername"],
        password=password,
        autocommit=True,
    )


def orders(rds: Any, name: str) -> int:
    with login(rds, name) as database:
        count: int = database.execute("SELECT count(*) FROM orders").fetchone()[0]
        return count


def wait_for_cluster(rds: Any, name: str) -> None:
    wait(lambda: describe(rds, name)["Status"])


def wait_for_instance(rds: Any, name: str) -> None:
    wait(
        lambda: rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0][
            "DBInstanceStatus"
        ]
    )


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    code: str = error.value.response["Error"]["Code"]
    return code


@pytest.mark.slow
def test_a_cluster_says_where_it_is_and_how_far_back_it_can_go(
    rds: Any, world: World, place: Place
) -> None:
    place.backend("rds").clusters["shop"].cluster_create_time = datetime.now(UTC) - timedelta(
        days=30
    )
    cluster = describe(rds, "shop")
    assert (cluster["Endpoint"], cluster["Port"]) == ("127.0.0.1", world.postgres.port)
    assert (cluster["BackupRetentionPeriod"], cluster["Status"]) == (7, "available")
    window = cluster["LatestRestorableTime"] - cluster["EarliestRestorableTime"]
    assert timedelta(days=7) - window < timedelta(minutes=1)
    instance = rds.describe_db_instances(DBInstanceIdentifier="shop-1")["DBInstances"][0]
    assert instance["Endpoint"] == {"Address": "127.0.0.1", "Port": world.postgres.port}


@pytest.mark.slow
def test_a_snapshot_brings_its_data_back_into_a_cluster_without_instances(rds: Any) -> None:
    made = rds.create_db_cluster_snapshot(
        DBClusterIdentifier="shop", DBClusterSnapshotIdentifier="before"
    )
    assert made["DBClusterSnapshot"]["Status"] == "creating"
    given = {
        "SnapshotIdentifier": "before",
        "DBClusterIdentifier": "shop-again",
        "Engine": "aurora-postgresql",
    }
    with pytest.raises(ClientError) as error:
        rds.restore_db_cluster_from_snapshot(**given)
    assert code_of(error) == "InvalidDBClusterSnapshotStateFault"
    with login(rds, "shop") as database:
        database.execute("DELETE FROM orders")
    wait(lambda: rds.describe_db_cluster_snapshots()["DBClusterSnapshots"][0]["Status"])
    restored = rds.restore_db_cluster_from_snapshot(
        **given, ServerlessV2ScalingConfiguration=SCALING
    )["DBCluster"]
    assert (restored["Status"], restored["DBClusterMembers"]) == ("creating", [])
    wait_for_cluster(rds, "shop-again")
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        login(rds, "shop-again")
    add_instance(rds, "shop-again")
    wait_for_instance(rds, "shop-again-1")
    assert (orders(rds, "shop-again"), orders(rds, "shop")) == (3, 0)


@pytest.mark.slow
def test_a_restore_to_a_point_in_time_has_what_was_there_then(rds: Any) -> None:
    time.sleep(0.05)
    then = datetime.now(UTC)
    with login(rds, "shop") as database:
        database.execute("DELETE FROM orders WHERE id = 1")
    time.sleep(1.1)
    given = {"SourceDBClusterIdentifier": "shop", "ServerlessV2ScalingConfiguration": SCALING}
    rds.restore_db_cluster_to_point_in_time(DBClusterIdentifier="then", RestoreToTime=then, **given)
    rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="latest", UseLatestRestorableTime=True, **given
    )
    for name in ("then", "latest"):
        add_instance(rds, name)
        wait_for_cluster(rds, name)
        wait_for_instance(rds, f"{name}-1")
    assert (orders(rds, "then"), orders(rds, "latest"), orders(rds, "shop")) == (3, 2, 2)


@pytest.mark.parametrize(("days", "word"), [(-40, "earlier"), (1, "later")])
def test_a_time_outside_the_window_is_refused(rds: Any, days: int, word: str) -> None:
    with pytest.raises(ClientError, match=f"cannot be restored to a time {word} than") as error:
        rds.restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier="shop",
            DBClusterIdentifier="then",
            RestoreToTime=datetime.now(UTC) + timedelta(days=days),
        )
    assert code_of(error) == "InvalidParameterValue"


def test_what_exists_is_not_overwritten_and_what_is_missing_is_said(rds: Any) -> None:
    rds.create_db_cluster_snapshot(DBClusterIdentifier="shop", DBClusterSnapshotIdentifier="one")
    engine = {"Engine": "aurora-postgresql"}
    new = {"MasterUsername": "keeper", "MasterUserPassword": PASSWORD, **engine}
    cases: list[tuple[str, dict[str, Any], str]] = [
        (
            "create_db_cluster",
            {"DBClusterIdentifier": "shop", **new},
            "DBClusterAlreadyExistsFault",
        ),
        (
            "create_db_cluster_snapshot",
            {"DBClusterIdentifier": "shop", "DBClusterSnapshotIdentifier": "one"},
            "DBClusterSnapshotAlreadyExistsFault",
        ),
        (
            "restore_db_cluster_to_point_in_time",
            {
                "DBClusterIdentifier": "shop",
                "SourceDBClusterIdentifier": "shop",
                "UseLatestRestorableTime": True,
            },
            "DBClusterAlreadyExistsFault",
        ),
        (
            "restore_db_cluster_from_snapshot",
            {"DBClusterIdentifier": "x", "SnapshotIdentifier": "none", **engine},
            "DBClusterSnapshotNotFoundFault",
        ),
        (
            "restore_db_cluster_from_snapshot",
            {
                "DBClusterIdentifier": "x",
                "SnapshotIdentifier": "one",
                "DBSubnetGroupName": "none",
                **engine,
            },
            "InvalidDBClusterSnapshotStateFault",
        ),
        (
            "create_db_cluster_snapshot",
            {"DBClusterIdentifier": "none", "DBClusterSnapshotIdentifier": "two"},
            "DBClusterNotFoundFault",
        ),
        ("delete_db_cluster", {"DBClusterIdentifier": "shop"}, "InvalidParameterCombination"),
        (
            "delete_db_cluster",
            {"DBClusterIdentifier": "shop", "SkipFinalSnapshot": True},
            "InvalidDBClusterStateFault",
        ),
        (
            "modify_db_cluster",
            {"DBClusterIdentifier": "shop", "MasterUserPassword": "with a/slash"},
            "InvalidParameterValue",
        ),
    ]
    for operation, given, code in cases:
        with pytest.raises(ClientError) as error:
            getattr(rds, operation)(**given)
        assert code_of(error) == code, operation


def test_a_restored_cluster_has_no_scaling_and_no_groups_of_its_source(rds: Any) -> None:
    rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier="shop", DBClusterIdentifier="bare", UseLatestRestorableTime=True
    )
    cluster = describe(rds, "bare")
    assert "ServerlessV2ScalingConfiguration" not in cluster
    assert len(cluster["VpcSecurityGroups"]) == 1
    with pytest.raises(ClientError, match="Set the Serverless v2 scaling configuration"):
        add_instance(rds, "bare")


@pytest.mark.slow
def test_a_deleted_cluster_takes_its_database_along_and_its_last_snapshot_brings_it_back(
    rds: Any, world: World
) -> None:
    rds.delete_db_instance(DBInstanceIdentifier="shop-1", SkipFinalSnapshot=True)
    with pytest.raises(psycopg.OperationalError):
        login(rds, "shop")
    rds.delete_db_cluster(DBClusterIdentifier="shop", FinalDBSnapshotIdentifier="last")
    assert "shop" not in world.postgres.databases()
    wait(lambda: rds.describe_db_cluster_snapshots()["DBClusterSnapshots"][0]["Status"])
    rds.restore_db_cluster_from_snapshot(
        SnapshotIdentifier="last",
        DBClusterIdentifier="shop",
        Engine="aurora-postgresql",
        ServerlessV2ScalingConfiguration=SCALING,
    )
    add_instance(rds, "shop")
    wait_for_cluster(rds, "shop")
    wait_for_instance(rds, "shop-1")
    assert orders(rds, "shop") == 3


def test_a_stopped_cluster_takes_no_logins(rds: Any) -> None:
    rds.stop_db_cluster(DBClusterIdentifier="shop")
    with pytest.raises(psycopg.OperationalError):
        login(rds, "shop")
    rds.start_db_cluster(DBClusterIdentifier="shop")
    assert orders(rds, "shop") == 3


@pytest.mark.slow
def test_bounds_of_capacity_are_checked_and_max_connections_waits_for_a_restart(rds: Any) -> None:
    change = {"DBClusterIdentifier": "shop"}
    for least, most, seconds in ((0.5, 2.2, None), (3, 2, None), (0, 0.5, None), (1, 2, 300)):
        bounds = {"MinCapacity": least, "MaxCapacity": most, "SecondsUntilAutoPause": seconds}
        told = {key: value for key, value in bounds.items() if value is not None}
        with pytest.raises(ClientError, match="InvalidParameter"):
            rds.modify_db_cluster(**change, ServerlessV2ScalingConfiguration=told)
    rds.modify_db_cluster(
        **change, ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 4}
    )
    kept = describe(rds, "shop")["ServerlessV2ScalingConfiguration"]
    assert kept == {"MinCapacity": 0, "MaxCapacity": 4, "SecondsUntilAutoPause": 300}
    assert applied(rds) == "pending-reboot"
    rds.reboot_db_instance(DBInstanceIdentifier="shop-1")
    wait_for_instance(rds, "shop-1")
    assert applied(rds) == "in-sync"


def applied(rds: Any) -> str:
    [instance] = rds.describe_db_instances(DBInstanceIdentifier="shop-1")["DBInstances"]
    status: str = instance["DBParameterGroups"][0]["ParameterApplyStatus"]
    return status


@pytest.mark.slow
def test_a_password_is_pending_for_a_while_and_then_the_only_one(rds: Any) -> None:
    rds.modify_db_cluster(DBClusterIdentifier="shop", MasterUserPassword="another-password")
    cluster = describe(rds, "shop")
    assert cluster["PendingModifiedValues"] == {"MasterUserPassword": "****"}
    assert cluster["Status"] == "resetting-master-credentials"
    with login(rds, "shop"):
        pass  # not yet
    wait_for_cluster(rds, "shop")
    with login(rds, "shop", "another-password"):
        assert "MasterUserPassword" not in describe(rds, "shop").get("PendingModifiedValues", {})
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        login(rds, "shop")
