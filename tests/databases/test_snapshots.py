"""Snapshots and restores.

Taken, brought back beside the present database, proved by a login and its rows.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import Refused, UsageError, apply
from opslib.core.connections import sessions, sql
from opslib.core.connections.connection import Connection
from opslib.core.tables import frame
from opslib.databases.instances import rds, restores, snapshots
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo_last

TARGET = "lab/bluemoxon-staging"
CLUSTER = "bluemoxon-staging"


def test_backups_that_are_as_described_pass(ops: Connection) -> None:
    found = snapshots.check_backups(ops)
    assert (found.worst, found.causes, len(found)) == ("ok", set(), 4)
    assert list(found.evidence.columns) == list(snapshots.SNAPSHOTS)


def test_backups_kept_too_short_or_not_at_all_are_told_apart(ops: Connection) -> None:
    for days, status in ((7, "ok"), (1, "warn"), (0, "critical")):
        found = snapshots._retention(rds.database_of(ops), {"BackupRetentionPeriod": days}, 7)
        assert found.status == status


@pytest.mark.parametrize(
    ("taken", "by_itself", "status"),
    [
        pytest.param([("automated", 5), ("automated", 29)], True, "ok", id="each day"),
        pytest.param([("manual", 1), ("automated", 5)], True, "ok", id="one by hand, too"),
        pytest.param([("manual", 1), ("automated", 40)], True, "warn", id="none of today"),
        pytest.param([("manual", 1), ("manual", 30)], True, "critical", id="none by itself"),
        pytest.param([("manual", 1)], False, "ok", id="a new one, or none are taken by itself"),
        pytest.param([("manual", 90)], False, "warn", id="an old one"),
        pytest.param([], False, "critical", id="none at all"),
        pytest.param([("awsbackup", 5)], True, "ok", id="by AWS Backup"),
    ],
)
def test_a_snapshot_by_hand_does_not_hide_that_no_other_is_taken(
    ops: Connection, taken: list[tuple[str, int]], by_itself: bool, status: str
) -> None:
    names = ("type", "age_hours")
    rows = [dict(zip(names, each, strict=True)) for each in taken]
    found = frame(
        [row | {"snapshot": "s", "status": "available"} for row in rows], snapshots.SNAPSHOTS
    )
    assert snapshots._latest(rds.database_of(ops), found, by_itself).status == status


DAYS = [("automated", day) for day in range(35)]


@pytest.mark.parametrize(
    ("taken", "status", "said"),
    [
        pytest.param(DAYS, "ok", "35 automated in 35 days", id="each day"),
        pytest.param(
            [("awsbackup", 6), *DAYS[:5], *DAYS[7:]], "ok", "1 awsbackup", id="AWS Backup"
        ),
        pytest.param(DAYS[:9] + DAYS[10:], "ok", "34 automated", id="the window was moved"),
        pytest.param(
            DAYS[:9] + DAYS[12:], "warn", "none from 11-10 14:00 to 11-14 14:00", id="gap"
        ),
        pytest.param(DAYS[3:], "warn", "to 11-22 14:00", id="none lately"),
        pytest.param(DAYS[:7], "warn", "7 automated in 35 days; none from 10-18", id="a week only"),
        pytest.param([("manual", day) for day in range(35)], "warn", "none in 35", id="by hand"),
        pytest.param(DAYS[::5], "warn", "and 2 more", id="many gaps"),
    ],
)
def test_a_day_without_a_snapshot_is_named(taken: Any, status: str, said: str) -> None:
    now = datetime(2026, 11, 22, 14, tzinfo=UTC)
    rows = [
        {"snapshot": f"s{at}", "type": kind, "status": "available"}
        | {"created": now - timedelta(days=day)}
        for at, (kind, day) in enumerate(taken)
    ]
    ops: Any = SimpleNamespace(
        now=lambda: now, target=SimpleNamespace(at=lambda _: {"cluster": "shop"})
    )
    found = snapshots._daily(ops, frame(rows, snapshots.SNAPSHOTS), now - timedelta(days=35))
    assert (found.status, said in found.seen) == (status, True), found.seen


@pytest.mark.parametrize(
    ("earliest", "latest", "wanted", "status"),
    [
        (35, 0, 35, "ok"),
        (9, 0, 35, "warn"),
        (9, 0, 0, "warn"),  # the file does not say
        (9, 0, 7, "ok"),  # kept longer than the file asks for, since lately
        (35, 0.2, 7, "critical"),
    ],
)
def test_the_window_of_a_restore_is_as_long_as_backups_are_to_be_kept(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    earliest: int,
    latest: float,
    wanted: int,
    status: str,
) -> None:
    monkeypatch.setitem(ops.target.facts["database"], "backup_days", wanted)
    days = [ops.now() - timedelta(days=each) for each in (earliest, latest)]
    monkeypatch.setattr(snapshots, "window", lambda *_: days)
    real = rds.Database.describe
    kept = {"BackupRetentionPeriod": 35, "ClusterCreateTime": ops.now() - timedelta(days=90)}
    monkeypatch.setattr(rds.Database, "describe", lambda self, ops: real(self, ops) | kept)
    found = snapshots.check_backups(ops)
    assert found[1].status == status, found[1].seen


@pytest.mark.slow
def test_a_snapshot_is_taken_named_by_day_and_number_and_undone(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    name = f"{CLUSTER}-{ops.now():%Y-%m-%d}-1"
    left = notebooks.run("databases/snapshot", approved="now")
    assert differences(clean, lab.state()) == [f"rds.snapshots.{name}"]
    assert left["ops"].findings.worst == "ok"
    assert snapshots.plan_snapshot(ops).steps[0].title == f"Take snapshot {name[:-1]}2"
    undo_last(ops)
    assert lab.state() == clean


@pytest.mark.slow
def test_a_moment_is_restored_into_a_new_cluster_with_the_rows_of_then(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    books = sql.count_rows(ops, ["books"])["books"]
    before = ops.now()
    time.sleep(1.1)
    with sessions.session(ops, "a mishap", write=True) as session:  # cascades along foreign keys
        assert sessions.run(session, "DELETE FROM books WHERE id <= 480", {}).rowcount == 11
        session.commit()
    left = notebooks.run("databases/restore", to=before.isoformat(), approved="now")
    name = restores.name_of_restored(left["plan"])
    found = [f for f in left["ops"].findings if f.verifies]
    assert {f.status for f in found} == {"ok"}
    counts = restores.check_restored(ops, name).evidence.set_index("table")
    assert (counts.loc["books", "rows_there"], counts.loc["books", "rows_now"]) == (
        books,
        books - 11,
    )
    made = ops.call("rds", "describe_db_clusters", DBClusterIdentifier=name)["DBClusters"][0]
    source = ops.call("rds", "describe_db_clusters", DBClusterIdentifier=CLUSTER)["DBClusters"][0]
    for key in ("DBSubnetGroup", "VpcSecurityGroups", "ServerlessV2ScalingConfiguration"):
        assert made[key] == source[key]
    assert [m["DBInstanceIdentifier"] for m in made["DBClusterMembers"]] == [f"{name}-1"]
    assert made["DeletionProtection"] is False, "or it could not be undone"
    gone = {"DBInstanceIdentifier": f"{name}-1", "SkipFinalSnapshot": True}
    ops.change("rds", "delete_db_instance", **gone)  # somebody tidied up, but half of it
    undo_last(ops)
    assert not any(name in path for path in differences(clean, lab.state()))


@pytest.mark.slow
def test_a_snapshot_is_restored_with_the_rows_that_it_holds(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, snapshots.plan_snapshot(ops), "now")
    sql.execute(ops, "DELETE FROM listings", {}, sql.count_rows(ops, ["listings"])["listings"])
    plan = restores.plan_restore(ops, snapshot="latest")
    applied = apply(ops, plan, "now")
    found = applied.verify(restores.check_restored, restores.name_of_restored(plan))
    assert found.worst == "ok"
    listings = found.evidence.set_index("table").loc["listings"]
    assert (listings["rows_there"] > 0, listings["rows_now"]) == (True, 0)


def test_a_restored_database_that_takes_no_login_is_not_called_restored(
    ops: Connection, clean: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ops.secret
    monkeypatch.setattr(ops, "secret", lambda name: real(name) | {"password": "changed since"})
    found = restores.check_restored(ops, CLUSTER)
    assert (found.worst, found.causes) == ("critical", set())
    assert "does not accept the login" in found[0].seen


@pytest.mark.parametrize("to", ["2024-01-15T12:00:00Z", "2024-01-15 12:00"])
def test_a_moment_outside_the_window_is_refused_with_the_window(ops: Connection, to: str) -> None:
    with pytest.raises(
        Refused,
        match=r"cannot be restored to 2024-01-15 12:00:00 UTC, only to a moment from .* to .* UTC",
    ):
        restores.plan_restore(ops, to=to)


def test_a_moment_in_the_future_is_refused(ops: Connection) -> None:
    with pytest.raises(Refused, match="cannot be restored to"):
        restores.plan_restore(ops, to=(ops.now() + timedelta(hours=1)).isoformat())


@pytest.mark.parametrize(
    "given",
    [{}, {"snapshot": "latest", "to": "2026-01-01"}, {"to": "yesterday"}, {"snapshot": "x"}],
)
def test_a_restore_that_is_not_said_clearly_is_no_plan(
    ops: Connection, given: dict[str, str]
) -> None:
    with pytest.raises(UsageError):
        restores.plan_restore(ops, **given)


def test_a_name_that_is_taken_is_refused(ops: Connection) -> None:
    with pytest.raises(Refused, match="exists already"):
        restores.plan_restore(ops, to="latest", name=CLUSTER)


def test_a_cluster_is_restored_with_what_it_would_not_have_by_itself() -> None:
    described = {
        "DBSubnetGroup": "private",
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1", "Status": "active"}],
        "DBClusterParameterGroup": "shop16",
        "EnabledCloudwatchLogsExports": ["postgresql"],
        "IAMDatabaseAuthenticationEnabled": True,
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 2.0},
        "NetworkType": "DUAL",
        "DeletionProtection": True,
        "TagList": [{"Key": "app", "Value": "shop"}, {"Key": "aws:cloudformation:x", "Value": "y"}],
        "HttpEndpointEnabled": True,
        "ActivityStreamStatus": "stopped",
        "AssociatedRoles": [{"RoleArn": "arn:aws:iam::1:role/import", "FeatureName": "s3Import"}],
    }
    new = rds.Database(rds.CLUSTER, "shop-restored")
    assert restores.like(new, described) == {
        "DBSubnetGroupName": "private",
        "VpcSecurityGroupIds": ["sg-1"],
        "DBClusterParameterGroupName": "shop16",
        "EnableCloudwatchLogsExports": ["postgresql"],
        "EnableIAMDatabaseAuthentication": True,
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 2.0},
        "NetworkType": "DUAL",
        "Tags": [{"Key": "app", "Value": "shop"}],
    }
    [lacking] = restores._lacks(described)
    assert lacking.endswith("has: the Data API, role arn:aws:iam::1:role/import.")
    assert not restores._lacks({"ActivityStreamStatus": "stopped"})


def test_an_instance_is_restored_with_what_it_needs() -> None:
    """RDS instances go another way than clusters: class, network and parameters are passed on."""
    described = {
        "DBInstanceClass": "db.t4g.medium",
        "DBSubnetGroup": {"DBSubnetGroupName": "private"},
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1"}],
        "DBParameterGroups": [{"DBParameterGroupName": "ledger16"}],
        "MultiAZ": True,
    }
    new = rds.Database(rds.INSTANCE, "ledger-restored")
    assert restores.like(new, described) == {
        "DBInstanceClass": "db.t4g.medium",
        "DBSubnetGroupName": "private",
        "VpcSecurityGroupIds": ["sg-1"],
        "DBParameterGroupName": "ledger16",
        "MultiAZ": True,
        "PubliclyAccessible": False,
    }
