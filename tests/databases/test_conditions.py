"""How RDS describes a database, and what it reported: three answers each, and none of them green
that was not understood.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding
from opslib.core.reads import metrics, networks
from opslib.core.tables import frame
from opslib.databases.instances import conditions, events, rds, states

TARGET = "lab/bluemoxon-staging"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
CLUSTER = rds.Database(rds.CLUSTER, "bluemoxon-staging")
INSTANCE = rds.Database(rds.INSTANCE, "ledger")


def member(name: str = "ledger", **changes: Any) -> dict[str, Any]:
    """As DescribeDBInstances describes a healthy one."""
    made = {
        "DBInstanceIdentifier": name,
        "DBInstanceStatus": "available",
        "InstanceCreateTime": datetime(2026, 1, 1, tzinfo=UTC),
        "AllocatedStorage": 100,
        "BackupRetentionPeriod": 7,
        "Endpoint": {"Address": "ledger.x.rds.amazonaws.com", "Port": 5432},
        "PubliclyAccessible": False,
        "DBParameterGroups": [{"DBParameterGroupName": "pg16", "ParameterApplyStatus": "in-sync"}],
        "OptionGroupMemberships": [{"OptionGroupName": "default", "Status": "in-sync"}],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-db", "Status": "active"}],
        "StatusInfos": [],
        "CertificateDetails": {"ValidTill": NOW + timedelta(days=300)},
    }
    return made | changes


def judged(rule: str, each: dict[str, Any]) -> Finding:
    said = next(known for known in rds.told("rules") if known["words"] == rule)
    return conditions._by_rule(said, {"ledger": each})


@pytest.mark.parametrize(
    ("rule", "changes", "status"),
    [
        (
            "settings in force",
            [{"DBParameterGroupName": "pg16", "ParameterApplyStatus": "pending-reboot"}],
            "warn",
        ),
        (
            "settings in force",
            [{"DBParameterGroupName": "x", "ParameterApplyStatus": "applying"}],
            "ok",
        ),
        (  # nobody sets AWS's own group: another capacity brought it
            "settings in force",
            [{"DBParameterGroupName": "default.pg16", "ParameterApplyStatus": "pending-reboot"}],
            "ok",
        ),
        ("option groups in force", [{"OptionGroupName": "x", "Status": "failed"}], "warn"),
        ("replication of an instance", [{"Normal": False, "Status": "error"}], "critical"),
        ("replication of an instance", [{"Normal": True, "Status": "replicating"}], "ok"),
        (
            "security groups in force",
            [{"VpcSecurityGroupId": "sg-db", "Status": "removing"}],
            "warn",
        ),
        ("backups", 0, "critical"),
        ("backups", 1, "ok"),
    ],
)
def test_each_rule_names_what_is_not_well_and_passes_what_is(
    rule: str, changes: Any, status: str
) -> None:
    keys = {
        "settings in force": "DBParameterGroups",
        "option groups in force": "OptionGroupMemberships",
        "replication of an instance": "StatusInfos",
        "security groups in force": "VpcSecurityGroups",
        "backups": "BackupRetentionPeriod",
    }
    found = judged(rule, member(**{keys[rule]: changes}))
    assert found.status == status
    assert status == "ok" or found.seen.startswith("ledger: ")
    assert judged(rule, member()).status == "ok"


def test_a_replica_without_backups_of_its_own_is_well() -> None:
    replica = member(BackupRetentionPeriod=0, ReadReplicaSourceDBInstanceIdentifier="other")
    assert judged("backups", replica).status == "ok"


@pytest.mark.parametrize(
    ("has", "most", "status"), [(100, None, "ok"), (100, 200, "ok"), (95, 100, "warn")]
)
def test_storage_at_the_limit_to_which_it_may_grow_is_a_warning(
    has: int, most: int | None, status: str
) -> None:
    each = member(AllocatedStorage=has, MaxAllocatedStorage=most)
    assert judged("room to grow", each).status == status


@pytest.mark.parametrize(
    ("days", "change", "status"),
    [
        (None, "system-update: a patch", "ok"),
        (30, "system-update: a patch", "ok"),
        (3, "system-update: a patch", "warn"),
        (None, "unknown: Denied: rds describe_pending_maintenance_actions", "unknown"),
    ],
)
def test_maintenance_that_aws_forces_soon_is_a_warning(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, days: int | None, change: str, status: str
) -> None:
    by = None if days is None else ops.now() + timedelta(days=days)
    row = {"database": "a", "what": "maintenance", "change": change, "when": "later", "by": by}
    modification = row | {"what": "modification", "change": "DBInstanceClass to x"}
    monkeypatch.setattr(states, "waiting", lambda *_: iter([modification, row]))
    assert conditions._maintenance(ops, CLUSTER, [member()]).status == status


def test_a_cluster_without_a_writer_is_critical() -> None:
    def cluster(*members: Any) -> Any:
        return {"DBClusterIdentifier": "ledger", "DBClusterMembers": [*members]}

    reader = {"DBInstanceIdentifier": "a", "IsClusterWriter": False}
    found = judged("a writer", cluster(reader))
    assert (found.status, found.seen) == (
        "critical",
        "ledger: none of 1 members: nothing can be written",
    )
    assert judged("a writer", cluster()).status == "critical"
    both = cluster(reader, reader | {"IsClusterWriter": True})
    assert judged("a writer", both).status == "ok"
    late = reader | {"IsClusterWriter": True, "DBClusterParameterGroupStatus": "pending-reboot"}
    assert judged("the cluster's parameters in force", cluster(late)).status == "warn"
    assert judged("the cluster's parameters in force", both).status == "ok"


def ingress(port: int = 5432, **peers: Any) -> dict[str, Any]:
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **peers}
    return {"GroupId": "sg-db", "IpPermissions": [rule]}


WORLD: Any = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
FUNCTIONS: Any = {"UserIdGroupPairs": [{"GroupId": "sg-functions"}]}


@pytest.mark.parametrize(
    ("group", "public", "status"),
    [
        (ingress(**FUNCTIONS), False, "ok"),
        (ingress(IpRanges=[{"CidrIp": "10.20.0.0/16"}]), False, "ok"),
        (ingress(**WORLD), True, "critical"),
        (ingress(Ipv6Ranges=[{"CidrIpv6": "::/0"}]), True, "critical"),
        (ingress(**WORLD), False, "warn"),
        (ingress(**FUNCTIONS), True, "warn"),
        (ingress(3306, **FUNCTIONS), False, "critical"),
        (ingress(UserIdGroupPairs=[{"GroupId": "sg-old"}]), False, "critical"),
        (ingress(IpRanges=[{"CidrIp": "10.99.0.0/16"}]), False, "critical"),
        ({"GroupId": "sg-db", "IpPermissions": [{"IpProtocol": "-1", **FUNCTIONS}]}, False, "ok"),
        (ingress(PrefixListIds=[{"PrefixListId": "pl-1"}]), False, "ok"),
    ],
)
def test_who_gets_to_it_is_neither_everybody_nor_nobody(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, group: Any, public: bool, status: str
) -> None:
    caller = networks.Caller(["subnet-a"], ["10.20.16.0/20"], [{"GroupId": "sg-functions"}])
    monkeypatch.setattr(networks, "find_groups", lambda *_: [group])
    monkeypatch.setattr(networks, "caller", lambda *_: caller)
    each = member(PubliclyAccessible=public)
    found = conditions._reachable(ops, each, [each])
    assert found.status == status
    assert (found.cause == conditions.EXPOSED) == public


@pytest.mark.parametrize(
    ("values", "status"),
    [([12.0, 20.0], "ok"), ([2500.0], "warn"), ([20_000.0], "critical"), ([], "unknown")],
)
def test_readers_that_are_behind_are_told_and_silence_is_unknown(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, values: list[float], status: str
) -> None:
    rows = [{"time": ops.now(), "id": "m0", "value": value} for value in values]
    monkeypatch.setattr(metrics, "query", lambda *_: frame(rows, metrics.SERIES))
    assert conditions._behind(ops, CLUSTER, [member("a"), member("b")]).status == status


def test_a_reader_that_was_made_just_now_is_not_asked_how_far_it_is_behind(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "query", lambda *_: frame([], metrics.SERIES))
    young = member("b", InstanceCreateTime=ops.now() - timedelta(minutes=4))
    assert conditions._behind(ops, CLUSTER, [member("a"), young]).status == "ok"
    old = member("b", InstanceCreateTime=ops.now() - timedelta(minutes=40))
    assert conditions._behind(ops, CLUSTER, [member("a"), old]).status == "unknown"


def test_a_replica_whose_replication_is_broken_says_minus_one(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [{"time": ops.now(), "id": "m0", "value": -1.0}]
    monkeypatch.setattr(metrics, "query", lambda *_: frame(broken, metrics.SERIES))
    replica = member(ReadReplicaSourceDBInstanceIdentifier="other")
    assert conditions._behind(ops, INSTANCE, [replica]).status == "critical"
    assert conditions._behind(ops, INSTANCE, [member()]).status == "ok"


@pytest.mark.parametrize(
    ("categories", "message", "status"),
    [
        ("backup", "Finished DB Instance backup", "ok"),
        ("configuration change", "Updated to use DBParameterGroup pg16", "ok"),
        ("failover", "Multi-AZ instance failover completed", "warn"),
        ("availability", "DB instance restarted", "warn"),
        ("failure", "The DB instance has failed due to an incompatible configuration", "critical"),
        ("low storage", "The allocated storage for the DB instance has been exhausted", "critical"),
        ("notification", "Unable to upgrade the instance: it has a prepared transaction", "warn"),
        ("read replica", "Read replica terminated", "warn"),
        ("deletion", "DB instance deleted", "warn"),
        ("quantum drift", "Everything is fine", "unknown"),
        ("", "Something without a category", "ok"),
    ],
)
def test_an_event_is_judged_by_its_category_and_its_words(
    categories: str, message: str, status: str
) -> None:
    assert events._status({"categories": categories, "message": message}) == status


def test_events_of_the_database_are_told_newest_first_and_those_of_others_are_not(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ops.pages
    said = [
        ("bluemoxon-staging-1", "backup", "Backing up DB instance"),
        ("bluemoxon-staging", "failover", "Started cross AZ failover to bluemoxon-staging-1"),
        ("bluemoxon-staging-2", "deletion", "DB instance deleted"),  # a reader that vanished
        ("another", "failure", "The DB instance has failed"),
    ]
    listed = [
        {"time": NOW - timedelta(hours=at), "source": of, "categories": kind, "message": text}
        for at, (of, kind, text) in enumerate(said)
    ]

    def pages(service: str, operation: str, key: str, /, **given: Any) -> Any:
        return listed if operation == "describe_events" else known(service, operation, key, **given)

    monkeypatch.setattr(ops, "pages", pages)
    (found,) = events.check_events(ops)
    assert found.status == "warn"
    assert found.seen.index("cross AZ failover") < found.seen.index(
        "bluemoxon-staging-2: DB instance"
    )
    assert "another" not in found.seen
    listed[1:3] = []
    assert [f.status for f in events.check_events(ops)] == ["ok"]


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ("available", "ok"),
        ("backing-up", "ok"),
        ("maintenance", "warn"),
        ("storage-full", "critical"),
        ("inaccessible-encryption-credentials", "critical"),
        ("teleporting", "unknown"),
    ],
)
def test_a_state_has_three_answers_and_one_that_is_not_known_is_unknown(
    status: str, answer: str
) -> None:
    assert states.judged(INSTANCE, member(DBInstanceStatus=status)).status == answer
