"""RDS instances as the real ones.

Modified now or later, snapshots and restores that hold data, replicas that follow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import psycopg
import pytest
from botocore.exceptions import ClientError

from opslib.lab.places import Place
from opslib.lab.world import World
from tests.waiting import wait

PASSWORD = "a-fine-password"
SHOP = {"DBInstanceIdentifier": "shop"}


@pytest.fixture
def rds(aws: Any, place: Place, world: World) -> Iterator[Any]:
    """With instance `shop` and a table with three orders. All is gone afterwards."""
    seed = place.client("rds")
    world.postgres.create_role("keeper", PASSWORD)
    seed.create_db_parameter_group(
        DBParameterGroupName="shop16", DBParameterGroupFamily="postgres16", Description="-"
    )
    seed.modify_db_parameter_group(
        DBParameterGroupName="shop16",
        Parameters=[
            {
                "ParameterName": "max_connections",
                "ParameterValue": "5",
                "ApplyMethod": "pending-reboot",
            }
        ],
    )
    seed.create_db_instance(
        **SHOP,
        Engine="postgres",
        EngineVersion="16.6",
        DBInstanceClass="db.r6g.large",
        DBName="shop",
        MasterUsername="keeper",
        MasterUserPassword=PASSWORD,
        AllocatedStorage=100,
        StorageType="gp3",
        BackupRetentionPeriod=7,
        DBParameterGroupName="shop16",
        PreferredMaintenanceWindow="sun:06:00-sun:06:30",
    )
    place.backend("rds").databases["shop"].instance_create_time = datetime.now(UTC) - timedelta(
        days=30
    )
    with login(seed, "shop") as database:
        database.execute("CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 3) n")
    yield aws("rds")
    backend = place.backend("rds")
    for name in backend.databases:
        world.postgres.remove_standby(name)
    for held in (backend.databases, backend.database_snapshots, backend.db_parameter_groups):
        held.clear()
    for name in world.postgres.databases():
        world.postgres.drop_database(name)


def describe(rds: Any, name: str) -> Any:
    return rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]


def login(rds: Any, name: str, password: str = PASSWORD) -> Any:
    """A connection to what the instance's description says."""
    found = describe(rds, name)
    return psycopg.connect(
        host=found["Endpoint"]["Address"],
        port=found["Endpoint"]["Port"],
        dbname=found["DBName"],
        user=found["MasterUsername"],
        password=password,
        autocommit=True,
    )


def orders(rds: Any, name: str) -> int:
    with login(rds, name) as database:
        count: int = database.execute("SELECT count(*) FROM orders").fetchone()[0]
        return count


def wait_for(rds: Any, name: str, status: str = "available") -> None:
    wait(lambda: describe(rds, name)["DBInstanceStatus"], status)


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


def test_an_instance_says_where_it_is_and_its_backups_say_how_far_back_it_can_go(
    rds: Any, world: World
) -> None:
    found = describe(rds, "shop")
    assert found["Endpoint"] == {"Address": "127.0.0.1", "Port": world.postgres.port}
    assert (found["PendingModifiedValues"], found["PreferredMaintenanceWindow"]) == (
        {},
        "sun:06:00-sun:06:30",
    )
    assert "EarliestRestorableTime" not in found
    window = rds.describe_db_instance_automated_backups(**SHOP)["DBInstanceAutomatedBackups"][0][
        "RestoreWindow"
    ]
    assert timedelta(days=7) - (window["LatestTime"] - window["EarliestTime"]) < timedelta(
        minutes=1
    )


def test_the_parameter_group_limits_the_connections(rds: Any) -> None:
    held = [login(rds, "shop") for _ in range(5)]
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        login(rds, "shop")
    for each in held:
        each.close()


@pytest.mark.slow
def test_a_new_instance_takes_logins_when_it_is_available(rds: Any) -> None:
    made = rds.create_db_instance(
        DBInstanceIdentifier="other",
        Engine="postgres",
        EngineVersion="16.6",
        DBInstanceClass="db.t4g.micro",
        DBName="other",
        MasterUsername="other",
        MasterUserPassword=PASSWORD,
        AllocatedStorage=20,
    )
    assert made["DBInstance"]["DBInstanceStatus"] == "creating"
    with pytest.raises(psycopg.OperationalError):
        login(rds, "other")
    wait_for(rds, "other")
    login(rds, "other").close()


@pytest.mark.slow
def test_a_class_changes_now_with_all_that_is_pending_when_it_is_asked_for(rds: Any) -> None:
    rds.modify_db_instance(**SHOP, AllocatedStorage=200, ApplyImmediately=False)
    assert describe(rds, "shop")["PendingModifiedValues"] == {"AllocatedStorage": 200}
    rds.modify_db_instance(**SHOP, DBInstanceClass="db.r6g.xlarge", ApplyImmediately=True)
    first = describe(rds, "shop")
    assert first["PendingModifiedValues"] == {
        "AllocatedStorage": 200,
        "DBInstanceClass": "db.r6g.xlarge",
    }
    assert (first["DBInstanceStatus"], first["DBInstanceClass"]) == ("available", "db.r6g.large")
    wait_for(rds, "shop", "modifying")
    with pytest.raises(psycopg.OperationalError):  # one zone only: away meanwhile
        login(rds, "shop")
    wait_for(rds, "shop")
    then = describe(rds, "shop")
    assert (then["DBInstanceClass"], then["AllocatedStorage"]) == ("db.r6g.xlarge", 200)
    assert then["PendingModifiedValues"] == {}
    assert orders(rds, "shop") == 3


def test_a_class_waits_for_the_window_and_is_taken_back_as_the_present_one_at_once(
    rds: Any,
) -> None:
    rds.modify_db_instance(**SHOP, DBInstanceClass="db.r6g.xlarge")
    rds.modify_db_instance(**SHOP, DBInstanceClass="db.r6g.large")
    found = describe(rds, "shop")
    assert (found["DBInstanceStatus"], found["DBInstanceClass"]) == ("available", "db.r6g.large")
    assert found["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.xlarge"}
    rds.modify_db_instance(**SHOP, DBInstanceClass="db.r6g.large", ApplyImmediately=True)

    def now() -> tuple[str, dict[str, Any]]:
        found = describe(rds, "shop")
        return found["DBInstanceStatus"], found["PendingModifiedValues"]

    wait(now, ("available", {}))


@pytest.mark.slow
def test_a_full_instance_takes_logins_again_when_it_has_more_storage(
    rds: Any, place: Place, world: World
) -> None:
    place.backend("rds").databases["shop"].status = "storage-full"
    world.postgres.allow_connections("shop", False)
    for given in ({"DBInstanceClass": "db.r6g.xlarge"}, {"AllocatedStorage": 100}):
        with refused("InvalidDBInstanceState"):
            rds.modify_db_instance(**SHOP, **given, ApplyImmediately=True)
    rds.modify_db_instance(**SHOP, AllocatedStorage=150, ApplyImmediately=True)
    wait(lambda: describe(rds, "shop")["AllocatedStorage"], 150)
    wait_for(rds, "shop")
    assert orders(rds, "shop") == 3


def test_what_needs_no_window_changes_at_once(rds: Any) -> None:
    rds.modify_db_instance(**SHOP, BackupRetentionPeriod=9, DeletionProtection=True)
    found = describe(rds, "shop")
    assert (
        found["BackupRetentionPeriod"],
        found["DeletionProtection"],
        found["PendingModifiedValues"],
    ) == (
        9,
        True,
        {},
    )


def test_a_new_password_is_the_one_that_logs_in(rds: Any) -> None:
    rds.modify_db_instance(**SHOP, MasterUserPassword="another-password")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        login(rds, "shop")
    login(rds, "shop", "another-password").close()


@pytest.mark.slow
def test_a_snapshot_brings_its_data_back_into_a_new_instance_with_defaults(rds: Any) -> None:
    made = rds.create_db_snapshot(**SHOP, DBSnapshotIdentifier="before")["DBSnapshot"]
    assert made["Status"] == "creating"
    again = {"DBSnapshotIdentifier": "before", "DBInstanceIdentifier": "shop-again"}
    with refused("InvalidDBSnapshotState"):
        rds.restore_db_instance_from_db_snapshot(**again)
    with login(rds, "shop") as database:
        database.execute("DELETE FROM orders")
    wait(lambda: rds.describe_db_snapshots(**SHOP)["DBSnapshots"][0]["Status"])
    restored = rds.restore_db_instance_from_db_snapshot(**again)["DBInstance"]
    assert restored["DBInstanceStatus"] == "creating"
    assert restored["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres16"
    assert len(restored["VpcSecurityGroups"]) == 1
    assert (restored["MultiAZ"], restored["DeletionProtection"]) == (False, False)
    wait_for(rds, "shop-again")
    assert (orders(rds, "shop-again"), orders(rds, "shop")) == (3, 0)


@pytest.mark.slow
def test_a_copy_of_a_snapshot_holds_the_same_data(rds: Any) -> None:
    rds.create_db_snapshot(**SHOP, DBSnapshotIdentifier="first")
    with login(rds, "shop") as database:
        database.execute("DELETE FROM orders WHERE id = 1")
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier="first", TargetDBSnapshotIdentifier="second")
    rds.delete_db_snapshot(DBSnapshotIdentifier="first")
    wait(lambda: rds.describe_db_snapshots(**SHOP)["DBSnapshots"][0]["Status"])
    rds.restore_db_instance_from_db_snapshot(
        DBSnapshotIdentifier="second", DBInstanceIdentifier="copy"
    )
    wait_for(rds, "copy")
    assert orders(rds, "copy") == 3


@pytest.mark.slow
def test_a_restore_to_a_point_in_time_has_what_was_there_then(rds: Any) -> None:
    time.sleep(0.05)
    then = datetime.now(UTC)
    with login(rds, "shop") as database:
        database.execute("DELETE FROM orders WHERE id = 1")
    time.sleep(1.1)
    source = {"SourceDBInstanceIdentifier": "shop"}
    rds.restore_db_instance_to_point_in_time(
        TargetDBInstanceIdentifier="then", RestoreTime=then, **source
    )
    rds.restore_db_instance_to_point_in_time(
        TargetDBInstanceIdentifier="latest",
        UseLatestRestorableTime=True,
        DBParameterGroupName="shop16",
        **source,
    )
    for name in ("then", "latest"):
        wait_for(rds, name)
    assert (orders(rds, "then"), orders(rds, "latest"), orders(rds, "shop")) == (3, 2, 2)
    assert describe(rds, "latest")["DBParameterGroups"][0]["DBParameterGroupName"] == "shop16"


@pytest.mark.slow
def test_a_replica_is_read_only_and_follows_until_it_is_deleted(
    rds: Any, world: World, place: Place
) -> None:
    made = rds.create_db_instance_read_replica(
        DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="shop"
    )
    assert made["DBInstance"]["DBInstanceStatus"] == "creating"
    wait_for(rds, "reader")
    found = describe(rds, "reader")
    assert found["Endpoint"]["Port"] not in (0, world.postgres.port)
    assert found["ReadReplicaSourceDBInstanceIdentifier"] == "shop"
    assert found["StatusInfos"][0]["Status"] == "replicating"
    assert describe(rds, "shop")["ReadReplicaDBInstanceIdentifiers"] == ["reader"]
    with login(rds, "shop") as database:
        database.execute("INSERT INTO orders VALUES (4)")
    wait(lambda: orders(rds, "reader"), 4)
    with login(rds, "reader") as database, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        database.execute("DELETE FROM orders")
    standby = world.postgres.standby("reader")
    assert standby is not None
    with refused("InvalidParameterCombination"):
        rds.delete_db_instance(DBInstanceIdentifier="reader", FinalDBSnapshotIdentifier="last")
    rds.delete_db_instance(DBInstanceIdentifier="reader", SkipFinalSnapshot=True)
    assert describe(rds, "shop")["ReadReplicaDBInstanceIdentifiers"] == []
    assert not psutil.pid_exists(standby.pid or 0)
    assert not standby.data.exists()


@pytest.mark.slow
def test_a_promoted_replica_is_an_instance_of_its_own(rds: Any, world: World) -> None:
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="shop"
    )
    wait_for(rds, "reader")
    rds.promote_read_replica(DBInstanceIdentifier="reader", BackupRetentionPeriod=3)
    wait_for(rds, "reader")
    with login(rds, "reader") as database:
        database.execute("DELETE FROM orders")
    assert (orders(rds, "reader"), orders(rds, "shop")) == (0, 3)
    assert "ReadReplicaSourceDBInstanceIdentifier" not in describe(rds, "reader")
    assert world.postgres.standby("reader") is None


@pytest.mark.slow
def test_no_standby_outlives_the_lab_or_its_reset(rds: Any, world: World) -> None:
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier="reader", SourceDBInstanceIdentifier="shop"
    )
    wait_for(rds, "reader")
    standby = world.postgres.standby("reader")
    world.postgres.clear()  # what `lab reset` does; `lab down` ends them in the same way
    assert standby is not None
    assert not psutil.pid_exists(standby.pid or 0)
    assert world.postgres.standby("reader") is None


@pytest.mark.slow
def test_a_deleted_instance_takes_its_database_and_automated_snapshots_along(
    rds: Any, place: Place, world: World
) -> None:
    place.backend("rds").create_auto_snapshot("shop", "rds:shop-today")
    rds.delete_db_instance(**SHOP, FinalDBSnapshotIdentifier="last")
    assert "shop" not in world.postgres.databases()
    assert [s["DBSnapshotIdentifier"] for s in rds.describe_db_snapshots()["DBSnapshots"]] == [
        "last"
    ]
    rds.restore_db_instance_from_db_snapshot(
        DBSnapshotIdentifier="last", DBInstanceIdentifier="shop"
    )
    wait_for(rds, "shop")
    assert orders(rds, "shop") == 3


@pytest.mark.slow
def test_stopped_and_rebooted_instances_end_their_sessions(rds: Any) -> None:
    rds.stop_db_instance(**SHOP)
    assert describe(rds, "shop")["DBInstanceStatus"] == "stopping"
    wait_for(rds, "shop", "stopped")
    with pytest.raises(psycopg.OperationalError):
        login(rds, "shop")
    rds.start_db_instance(**SHOP)
    wait_for(rds, "shop")
    with login(rds, "shop") as database:
        rds.reboot_db_instance(**SHOP)
        with pytest.raises(psycopg.OperationalError):
            database.execute("SELECT 1")
    wait_for(rds, "shop")
    assert orders(rds, "shop") == 3


def test_classes_that_can_be_had_are_told_by_page(rds: Any) -> None:
    given = {"Engine": "postgres", "EngineVersion": "16.6"}
    whole = [
        option["DBInstanceClass"]
        for page in rds.get_paginator("describe_orderable_db_instance_options").paginate(
            **given, PaginationConfig={"PageSize": 20}
        )
        for option in page["OrderableDBInstanceOptions"]
    ]
    assert len(whole) == len(set(whole)) > 20
    one = rds.describe_orderable_db_instance_options(**given, DBInstanceClass="db.r6g.2xlarge")
    assert [o["MultiAZCapable"] for o in one["OrderableDBInstanceOptions"]] == [True]
    none = rds.describe_orderable_db_instance_options(**given, DBInstanceClass="db.r6g.huge")
    assert none["OrderableDBInstanceOptions"] == []


NEW = {"DBInstanceIdentifier": "new"}
REPLICA = NEW | {"SourceDBInstanceIdentifier": "shop"}
LATEST = {"SourceDBInstanceIdentifier": "shop", "UseLatestRestorableTime": True}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("modify_db_instance", SHOP | {"DBInstanceClass": "huge"}, "InvalidParameterValue"),
    (
        "modify_db_instance",
        SHOP | {"DBInstanceClass": "db.r6g.huge"},
        "InvalidParameterCombination",
    ),
    ("modify_db_instance", SHOP | {"MasterUserPassword": "with a/slash"}, "InvalidParameterValue"),
    ("modify_db_instance", SHOP | {"AllocatedStorage": 50}, "InvalidParameterCombination"),
    ("modify_db_instance", SHOP | {"AllocatedStorage": 101}, "InvalidParameterCombination"),
    ("modify_db_instance", NEW | {"DBInstanceClass": "db.r6g.large"}, "DBInstanceNotFound"),
    ("create_db_snapshot", NEW | {"DBSnapshotIdentifier": "a"}, "DBInstanceNotFound"),
    (
        "restore_db_instance_from_db_snapshot",
        NEW | {"DBSnapshotIdentifier": "none"},
        "DBSnapshotNotFound",
    ),
    (
        "restore_db_instance_to_point_in_time",
        LATEST | {"TargetDBInstanceIdentifier": "shop"},
        "DBInstanceAlreadyExists",
    ),
    (
        "restore_db_instance_to_point_in_time",
        LATEST
        | {"TargetDBInstanceIdentifier": "new", "RestoreTime": datetime(2024, 1, 15, tzinfo=UTC)},
        "InvalidParameterCombination",
    ),
    ("delete_db_instance", SHOP, "InvalidParameterCombination"),
    ("reboot_db_instance", SHOP | {"ForceFailover": True}, "InvalidParameterCombination"),
    ("promote_read_replica", SHOP, "InvalidDBInstanceState"),
    ("create_db_instance_read_replica", REPLICA | SHOP, "DBInstanceAlreadyExists"),
    (
        "create_db_instance_read_replica",
        NEW | {"SourceDBInstanceIdentifier": "none"},
        "DBInstanceNotFound",
    ),
    (
        "create_db_instance_read_replica",
        REPLICA | {"AvailabilityZone": "us-west-2x"},
        "InvalidParameterValue",
    ),
    (
        "create_db_instance_read_replica",
        REPLICA | {"AvailabilityZone": "us-west-2c", "DBInstanceClass": "db.r6g.large"},
        "InvalidParameterCombination",
    ),
    (
        "create_db_instance_read_replica",
        REPLICA | {"DBSubnetGroupName": "any"},
        "DBSubnetGroupNotAllowedFault",
    ),
]


def test_what_cannot_be_is_refused_and_changes_nothing(rds: Any) -> None:
    before = rds.describe_db_instances()["DBInstances"]
    for operation, given, code in REFUSED:
        with refused(code):
            getattr(rds, operation)(**given)
    after = rds.describe_db_instances()["DBInstances"]
    for each in (*before, *after):
        each.pop("LatestRestorableTime", None)  # it goes with now
    assert after == before


def test_a_time_outside_the_window_is_refused(rds: Any) -> None:
    for days, word in ((-40, "earlier"), (1, "later")):
        with pytest.raises(ClientError, match=f"cannot be restored to a time {word} than"):
            rds.restore_db_instance_to_point_in_time(
                SourceDBInstanceIdentifier="shop",
                TargetDBInstanceIdentifier="then",
                RestoreTime=datetime.now(UTC) + timedelta(days=days),
            )


def test_an_instance_without_backups_has_no_replica_and_no_point_in_time(rds: Any) -> None:
    rds.modify_db_instance(**SHOP, BackupRetentionPeriod=0)
    with refused("InvalidDBInstanceState"):
        rds.create_db_instance_read_replica(**REPLICA)
    with refused("PointInTimeRestoreNotEnabled"):
        rds.restore_db_instance_to_point_in_time(TargetDBInstanceIdentifier="then", **LATEST)
    assert "LatestRestorableTime" not in describe(rds, "shop")


def test_a_protected_instance_is_not_deleted(rds: Any, world: World) -> None:
    rds.modify_db_instance(**SHOP, DeletionProtection=True)
    with refused("InvalidParameterCombination"):
        rds.delete_db_instance(**SHOP, SkipFinalSnapshot=True)
    assert "shop" in world.postgres.databases()
