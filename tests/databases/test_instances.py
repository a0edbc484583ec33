"""RDS instances.

Another class now or in the window with all that it means, and read replicas that really follow.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from opslib import Refused, UsageError, apply, connect
from opslib.core.actions import actions
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.databases.instances import classes, replicas, storages
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo_last

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
NAME = "loglineos-ledger-production"
BEFORE, AFTER = "db.r6g.xlarge", "db.r6g.2xlarge"
INSTANCE = f"rds.instances.{NAME}"
SHOP = {"DBInstanceIdentifier": NAME}


def described(ops: Connection, name: str = NAME) -> dict[str, Any]:
    found: dict[str, Any] = ops.call("rds", "describe_db_instances", DBInstanceIdentifier=name)[
        "DBInstances"
    ][0]
    return found


def wait_until(ops: Connection, instance_class: str) -> None:
    """What an undo began is not waited for by it."""
    path = "DBInstances[0].[DBInstanceClass, DBInstanceStatus, length(keys(PendingModifiedValues))]"
    wanted = [instance_class, "available", 0]
    end = time.monotonic() + 20
    while actions.Read("rds", "describe_db_instances", path, **SHOP).perform(ops) != wanted:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_a_class_now_is_waited_for_verified_and_taken_back(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    left = notebooks.run(
        "databases/scale", instance_class=AFTER, when="now", approved="now", confirm=TARGET
    )
    assert differences(clean, lab.state(KEY)) == [f"{INSTANCE}.db_instance_class"]
    verified = [f for f in left["ops"].findings if f.verifies]
    assert [f.status for f in verified] == ["ok", "ok", "ok"]
    undo = left["plan"].steps[0].undo
    assert [u["parameters"] for u in undo] == [
        SHOP | {"DBInstanceClass": BEFORE, "ApplyImmediately": True}
    ]
    undo_last(ops)
    wait_until(ops, BEFORE)
    assert lab.state(KEY) == clean


@pytest.mark.slow
def test_a_class_in_the_window_waits_and_nothing_else_happens(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    left = notebooks.run("databases/scale", instance_class=AFTER, approved="now", confirm=TARGET)
    assert differences(clean, lab.state(KEY)) == [
        f"{INSTANCE}.pending_modified_values.DBInstanceClass"
    ]
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert classes.check_class(ops, "db.r6g.4xlarge").worst == "critical"
    assert classes.check_class(ops, AFTER, "now").worst == "critical"
    assert not classes.plan_class(ops, AFTER).steps
    undo_last(ops)
    assert lab.state(KEY) == clean


def test_the_present_class_takes_a_waiting_one_back(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    assert not classes.plan_class(ops, BEFORE).steps
    apply(ops, classes.plan_class(ops, AFTER), "now", TARGET)
    applied = apply(ops, classes.plan_class(ops, BEFORE), "now", TARGET)
    assert applied.verify(classes.check_class, BEFORE).worst == "ok"
    assert lab.state(KEY) == clean


@pytest.mark.slow
def test_what_waits_already_is_shouted_and_only_then_applied(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    quiet = classes.plan_class(ops, AFTER, "now")
    ops.call("rds", "modify_db_instance", **SHOP, AllocatedStorage=150)
    with pytest.raises(Refused, match="has changed since"):  # planned before something waited
        apply(ops, quiet, "now", TARGET)
    found = classes.check_size(ops)
    assert (found.worst, list(found.evidence["change"])) == ("warn", ["AllocatedStorage to 150"])
    plan = classes.plan_class(ops, AFTER, "now")
    assert "APPLY WHAT WAITS: AllocatedStorage 150" in plan.steps[0].title
    assert plan.notes[0].startswith("LOOK: ApplyImmediately also applies AllocatedStorage 150")
    later = classes.plan_class(ops, AFTER, "window")
    assert not later.reversible
    apply(ops, later, "now", TARGET)
    with pytest.raises(Refused, match="would also apply AllocatedStorage 150"):
        classes.plan_class(ops, BEFORE)
    apply(ops, classes.plan_class(ops, AFTER, "now"), "now", TARGET)
    now = described(ops)
    assert (now["DBInstanceClass"], now["AllocatedStorage"], now["PendingModifiedValues"]) == (
        AFTER,
        150,
        {},
    )


@pytest.mark.slow
def test_another_class_waits_already_and_undo_brings_that_one_back(
    ops: Connection, clean: dict[str, Any]
) -> None:
    ops.call("rds", "modify_db_instance", **SHOP, DBInstanceClass=AFTER)
    plan = classes.plan_class(ops, "db.r6g.4xlarge")
    assert (plan.steps[0].before, plan.steps[0].after) == (AFTER, "db.r6g.4xlarge")
    apply(ops, plan, "now", TARGET)
    undo_last(ops)
    assert described(ops)["PendingModifiedValues"] == {"DBInstanceClass": AFTER}


def test_a_class_that_cannot_be_had_is_no_plan(ops: Connection) -> None:
    with pytest.raises(
        UsageError, match=r"Unknown class 'db.r6g.xxlarge' for postgres 16.6 .*'db.r6g.xlarge'"
    ):
        classes.plan_class(ops, "db.r6g.xxlarge")
    with pytest.raises(UsageError, match="Give instance_class"):
        classes.plan_class(ops, "")
    with pytest.raises(UsageError, match="neither 'now' nor 'window'"):
        classes.plan_class(ops, AFTER, "tonight")


@pytest.mark.slow
def test_an_instance_that_is_busy_is_not_changed(ops: Connection, clean: dict[str, Any]) -> None:
    ops.call("rds", "reboot_db_instance", **SHOP)
    with pytest.raises(Refused, match="is rebooting"):
        classes.plan_class(ops, AFTER)
    with pytest.raises(Refused, match="is rebooting"):
        replicas.plan_replica(ops)
    wait_until(ops, BEFORE)


def test_an_aurora_cluster_is_told_what_to_do_instead(lab: PracticeLab) -> None:
    for plan in (
        lambda ops: classes.plan_class(ops, AFTER),
        replicas.plan_replica,
        replicas.list_replicas,
    ):
        with pytest.raises(
            UsageError, match=r"Aurora cluster bluemoxon-staging.*add an instance to the cluster"
        ):
            plan(connect("lab/bluemoxon-staging"))


def test_denied_sizes_and_replicas_are_unknown(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("rds:DescribeDBInstances", KEY):
        for found in (
            classes.check_size(ops),
            classes.check_class(ops, AFTER),
            replicas.check_replica(ops, "any"),
        ):
            assert [(f.status, f.cause) for f in found] == [("unknown", "access-denied")]


def test_the_load_is_told_in_units(ops: Connection) -> None:
    found = classes.list_load(ops, 3).set_index("metric")
    assert list(found["unit"]) == ["%", "GiB", "count", "ms"]
    assert (found["lowest"] <= found["average"]).all()
    assert (found["average"] <= found["highest"]).all()
    assert 5 < found.loc["FreeableMemory", "average"] < 32


@pytest.mark.slow
def test_a_replica_is_made_answers_follows_and_is_deleted_by_undo(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    left = notebooks.run("databases/replica", zone="us-east-1b", approved="now", confirm=TARGET)
    name = replicas.name_of_replica(left["plan"])
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert differences(clean, lab.state(KEY)) == [f"{INSTANCE}.replicas", f"rds.instances.{name}"]
    made, source = described(ops, name), described(ops)
    assert (made["AvailabilityZone"], made["DBInstanceClass"]) == ("us-east-1b", BEFORE)
    for key in ("VpcSecurityGroups", "DBParameterGroups", "TagList"):
        assert made[key] == source[key]
    at = {"host": made["Endpoint"]["Address"], "port": made["Endpoint"]["Port"]}
    with pytest.raises(Refused):
        replicas.plan_replica(ops, name)
    assert sql.value(ops, "SELECT pg_is_in_recovery()", at=at) is True
    assert list(replicas.list_replicas(ops)["replicating"]) == ["replicating"]
    assert replicas.name_of_replica(replicas.plan_replica(ops)) == f"{NAME}-replica-2"
    undo_last(ops)
    assert lab.state(KEY) == clean


def test_an_instance_that_is_no_standby_is_not_called_a_replica(ops: Connection) -> None:
    found = replicas.check_replica(ops, NAME)
    assert found.worst == "critical"
    assert "it takes writes" in next(f.seen for f in found if f.status == "critical")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"instance_class": "db.r6g.xxlarge"}, "Unknown class"),
        ({"name": "Bad_Name"}, "no name for a database"),
        ({"name": "replica--1"}, "no name for a database"),
        ({"zone": "us-east-1x"}, "us-east-1a, us-east-1b"),
        (
            {"zone": "us-east-1d"},
            "us-east-1a, us-east-1b",
        ),  # the class is offered there, the subnets are not
    ],
)
def test_a_replica_that_cannot_be_is_no_plan(
    ops: Connection, given: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        replicas.plan_replica(ops, **given)


def test_without_automated_backups_there_is_no_replica(
    ops: Connection, clean: dict[str, Any]
) -> None:
    ops.call("rds", "modify_db_instance", **SHOP, BackupRetentionPeriod=0, ApplyImmediately=True)
    with pytest.raises(Refused, match="no automated backups"):
        replicas.plan_replica(ops)
    ops.call("rds", "modify_db_instance", **SHOP, BackupRetentionPeriod=7, ApplyImmediately=True)


@pytest.mark.slow
def test_a_full_instance_is_given_storage_and_serves_again(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    with lab.broken("database-unavailable", KEY):
        assert storages.check_storage(ops).worst == "critical"
        with pytest.raises(Refused, match="Give it storage first"):
            classes.plan_class(ops, AFTER)
        left = notebooks.run("databases/storage", approved="now", confirm=TARGET)
        assert not left["plan"].reversible
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        assert sql.value(ops, "SELECT 1") == 1
    assert differences(clean, lab.state(KEY)) == [f"{INSTANCE}.allocated_storage"]


def test_free_storage_is_told_as_a_share(ops: Connection) -> None:
    found = storages.check_storage(ops)
    assert (found.worst, len(found)) == ("ok", 2)
    assert "GiB of 100 GiB" in found[1].seen


@pytest.mark.slow
def test_storage_never_shrinks_and_grows_by_a_tenth(ops: Connection, clean: dict[str, Any]) -> None:
    for gigabytes in (50, 105):
        with pytest.raises(UsageError, match="110 GiB"):
            storages.plan_storage(ops, gigabytes)
    assert not storages.plan_storage(ops, 100).steps
    ops.call("rds", "modify_db_instance", **SHOP, DBInstanceClass=AFTER)
    plan = storages.plan_storage(ops, 110)
    assert f"APPLY WHAT WAITS: DBInstanceClass {AFTER}" in plan.steps[0].title
    assert plan.notes[0].startswith("LOOK")
