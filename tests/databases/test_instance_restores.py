"""Snapshots and restores of an instance.

The ledger brought back beside itself, proved by a login and its rows.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from opslib import Refused, UsageError, apply
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.databases.instances import restores, snapshots
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo_last

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
NAME = "loglineos-ledger-production"
TABLE = "ledger.universal_registry"


def add_span(ops: Connection) -> None:
    statement = (
        f"""INSERT INTO {TABLE} (entity_type, who, "this") VALUES ('test', 'a test', 'one more')"""
    )
    sql.execute(ops, statement, {}, 1)


def test_backups_of_an_instance_say_how_far_back_it_goes(ops: Connection) -> None:
    found = snapshots.check_backups(ops)
    assert (found.worst, len(found), len(found.evidence)) == ("ok", 4, 7)
    assert " to " in found[1].seen  # from when: only DescribeDBInstanceAutomatedBackups tells


@pytest.mark.slow
def test_a_snapshot_is_taken_and_undone(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    name = f"{NAME}-{ops.now():%Y-%m-%d}-1"
    left = notebooks.run("databases/snapshot", target=TARGET, approved="now", confirm=TARGET)
    assert differences(clean, lab.state(KEY)) == [f"rds.snapshots.{name}"]
    assert left["ops"].findings.worst == "ok"
    undo_last(ops)
    assert lab.state(KEY) == clean


@pytest.mark.slow
def test_a_moment_is_restored_into_a_new_instance_with_the_rows_of_then(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    rows = sql.count_rows(ops, [TABLE])[TABLE]
    before = ops.now()
    time.sleep(1.1)
    add_span(ops)
    left = notebooks.run(
        "databases/restore", target=TARGET, to=before.isoformat(), approved="now", confirm=TARGET
    )
    name = restores.name_of_restored(left["plan"])
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    counts = restores.check_restored(ops, name).evidence.set_index("table")
    assert tuple(counts.loc[TABLE]) == (rows, rows + 1, -1)
    made, source = (
        ops.call("rds", "describe_db_instances", DBInstanceIdentifier=each)["DBInstances"][0]
        for each in (name, NAME)
    )
    for key in (
        "VpcSecurityGroups",
        "DBParameterGroups",
        "MultiAZ",
        "DBInstanceClass",
        "StorageType",
        "TagList",
    ):
        assert made[key] == source[key], key
    assert (
        made["DBSubnetGroup"]["DBSubnetGroupName"] == source["DBSubnetGroup"]["DBSubnetGroupName"]
    )
    undo_last(ops)
    assert not any(name in path for path in differences(clean, lab.state(KEY)))


@pytest.mark.slow
def test_a_snapshot_is_restored_with_the_rows_that_it_holds(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    rows = sql.count_rows(ops, [TABLE])[TABLE]
    apply(ops, snapshots.plan_snapshot(ops), "now", TARGET)
    add_span(ops)
    plan = restores.plan_restore(ops, snapshot="latest", name="ledger-again")
    applied = apply(ops, plan, "now", TARGET)
    found = applied.verify(restores.check_restored, "ledger-again")
    assert found.worst == "ok"
    assert tuple(found.evidence.set_index("table").loc[TABLE]) == (rows, rows + 1, -1)


def test_a_restored_instance_that_takes_no_login_is_not_called_restored(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ops.secret
    monkeypatch.setattr(ops, "secret", lambda name: real(name) | {"password": "changed since"})
    found = restores.check_restored(ops, NAME)
    assert (found.worst, found.causes) == ("critical", set())
    assert "does not accept the login" in found[0].seen


def test_what_is_outside_the_window_or_taken_is_refused(ops: Connection) -> None:
    with pytest.raises(Refused, match=r"only to a moment from .* to .* UTC"):
        restores.plan_restore(ops, to="2024-01-15T12:00:00Z")
    with pytest.raises(Refused, match="exists already"):
        restores.plan_restore(ops, to="latest", name=NAME)
    with pytest.raises(UsageError, match="Unknown snapshot 'none'"):
        restores.plan_restore(ops, snapshot="none")
