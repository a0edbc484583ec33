"""Soft deletion.

Named rows are flagged all or none, what is wrong with the list is told first, and undo brings them
back.
"""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import Connection as Session

from opslib import NotFound, Refused, UsageError, apply
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import execute, query, value
from opslib.core.errors import NotAllowed, OpsError, Unfinished
from opslib.databases.data import soft_deletions
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
REGISTRY = "ledger.universal_registry"
TABLE = f"sql.loglineos_production.{REGISTRY}"


def some(ops: Connection, number: int = 3) -> list[str]:
    sql = f"SELECT id::text AS id FROM {REGISTRY} WHERE NOT is_deleted ORDER BY at, id LIMIT :n"
    return list(query(ops, sql, n=number)["id"])


def flag(ops: Connection, id: str, to: bool = True) -> None:
    execute(
        ops,
        f"UPDATE {REGISTRY} SET is_deleted = :to WHERE id = CAST(:id AS uuid)",
        {"id": id, "to": to},
        1,
    )


def visible(ops: Connection, ids: list[str]) -> int:
    sql = "SELECT count(*) FROM ledger.visible_timeline WHERE id = ANY(CAST(:ids AS uuid[]))"
    return int(value(ops, sql, {"ids": ids}) or 0)


@pytest.mark.slow
def test_rows_go_after_a_snapshot_and_come_back_by_undo(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection
) -> None:
    ids = some(ops)
    preview = notebooks.run("databases/soft-delete", rows=", ".join(ids))["plan"]
    left = notebooks.run(
        "databases/soft-delete", rows=", ".join(ids), approved=preview.id, confirm=TARGET
    )
    assert visible(ops, ids) == 0
    assert differences(clean, lab.state(KEY)) == [
        f"rds.snapshots.{before_snapshot(lab, clean)}",
        f"{TABLE}",
    ]
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert (
        list(left["ops"].findings)[-1].seen
        == "3 of 3 deleted, 0 can still be seen, 0 not in the table"
    )
    undo(ops, left["applied"])
    assert visible(ops, ids) == 3
    assert lab.state(KEY) == clean


def before_snapshot(lab: PracticeLab, clean: dict[str, Any]) -> str:
    return str(next(iter(set(lab.state(KEY)["rds"]["snapshots"]) - set(clean["rds"]["snapshots"]))))


@pytest.mark.slow
def test_without_a_snapshot_the_plan_says_so_and_only_the_flags_change(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection
) -> None:
    ids = some(ops)
    plan = soft_deletions.plan_soft_delete(ops, "\n".join(ids), snapshot=False)
    assert "No snapshot is taken" in plan.notes[-1]
    applied = apply(ops, plan, plan.id, TARGET)
    assert differences(clean, lab.state(KEY)) == [TABLE]
    assert (
        value(ops, f"SELECT count(*) FROM {REGISTRY}")
        == clean["sql"]["loglineos_production"][REGISTRY][0]
    )
    undo(ops, applied)
    assert lab.state(KEY) == clean


def test_the_rows_are_shown_as_they_are(ops: Connection) -> None:
    ids = some(ops)
    found = soft_deletions.check_rows(ops, f"{ids[1]} {ids[0].upper()};\n'{ids[0]}'")
    assert found.evidence is not None
    assert list(found.evidence["id"]) == [ids[1], ids[0]]
    assert list(found.evidence.columns) == [
        "id",
        "state",
        "entity_type",
        "who",
        "did",
        "status",
        "at",
    ]
    assert found[0].seen == "2 rows named: 2 to be seen, 0 deleted already, 0 not there"


@pytest.mark.some(4)
@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        ("", UsageError, "No row is named"),
        (" , ;", UsageError, "No row is named"),
        (
            "4711, abc",
            UsageError,
            r'uuid: "4711"\. Nothing was changed\. Rows are ids of type uuid with commas',
        ),
        ("failed-execution", UsageError, "for type uuid"),
        ("spans-by-type", UsageError, "no column 'id', only entity_type, spans"),
        (
            str(uuid.UUID(int=7)),
            NotFound,
            "Not in ledger.universal_registry: 00000000-.*correct the list",
        ),
        (
            ",".join(str(uuid.UUID(int=n)) for n in range(1001)),
            Refused,
            "1,001 rows are more than 1,000",
        ),
        ("SELECT id FROM ledger.universal_registry", Refused, "more than 1,000"),
        ("SELECT id FROM ledger.universal_registry WHERE false", UsageError, "No row is named"),
        (
            f"{uuid.UUID(int=7)}'); DROP TABLE ledger.schema_migrations; --",
            UsageError,
            "for type uuid",
        ),
    ],
)
def test_what_is_wrong_with_the_list_is_told_before_anything_happens(
    lab: PracticeLab,
    clean: dict[str, Any],
    ops: Connection,
    rows: str,
    error: type[OpsError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        soft_deletions.plan_soft_delete(ops, rows)
    assert lab.state(KEY) == clean


def test_a_row_that_is_not_there_is_shown_before_it_is_refused(ops: Connection) -> None:
    found = soft_deletions.check_rows(ops, f"{some(ops, 1)[0]}, {uuid.UUID(int=7)}")
    assert (found[0].status, "1 not there (00000000" in found[0].seen) == ("warn", True)


def test_rows_that_are_deleted_already_are_left_alone(
    clean: dict[str, Any], ops: Connection
) -> None:
    ids = some(ops)
    flag(ops, ids[0])
    plan = soft_deletions.plan_soft_delete(ops, ",".join(ids), snapshot=False)
    assert soft_deletions.ids_of(plan) == ids[1:]
    assert f"Deleted already, so left alone: {ids[0]}." in plan.notes
    assert soft_deletions.plan_soft_delete(ops, ids[0]).steps == ()
    flag(ops, ids[0], False)


def test_rows_that_change_between_preview_and_apply_are_refused(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection
) -> None:
    ids = some(ops)
    plan = soft_deletions.plan_soft_delete(ops, ",".join(ids), snapshot=False)
    flag(ops, ids[1])
    with pytest.raises(Refused, match="have changed"):
        apply(ops, plan, plan.id, TARGET)
    assert visible(ops, ids) == 2
    flag(ops, ids[1], False)
    assert lab.state(KEY) == clean


def test_a_row_that_changes_in_the_last_moment_rolls_all_back(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = some(ops)
    plan = soft_deletions.plan_soft_delete(ops, ",".join(ids), snapshot=False)
    change = execute

    def late(*given: Any) -> Any:
        monkeypatch.setattr(sql, "execute", change)
        flag(ops, ids[1])
        return change(*given)

    monkeypatch.setattr(sql, "execute", late)
    with pytest.raises(OpsError, match=r"2 rows would have been changed instead of 3.*rolled back"):
        apply(ops, plan, plan.id, TARGET)
    assert visible(ops, ids) == 2
    flag(ops, ids[1], False)
    assert lab.state(KEY) == clean


def test_undo_that_would_touch_another_number_of_rows_touches_none(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection
) -> None:
    ids = some(ops)
    plan = soft_deletions.plan_soft_delete(ops, ",".join(ids), snapshot=False)
    applied = apply(ops, plan, plan.id, TARGET)
    flag(ops, ids[2], False)
    with pytest.raises(OpsError, match="2 rows would have been changed instead of 3"):
        undo(ops, applied)
    assert visible(ops, ids) == 1
    flag(ops, ids[2])
    undo(ops, applied)
    assert lab.state(KEY) == clean


@pytest.mark.slow
def test_a_connection_lost_at_commit_is_unfinished_and_nothing_is_half_done(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = some(ops)
    plan = soft_deletions.plan_soft_delete(ops, ",".join(ids), snapshot=False)
    at, commit = ops.secret(ops.target["database"]["secret"]), Session.commit

    def cut(session: Session) -> None:
        pid = session.connection.driver_connection.info.backend_pid
        where = {
            "user": at["username"],
            "password": at["password"],
            "host": at["host"],
            "port": at["port"],
        }
        with psycopg.connect(dbname=at["database"], **where) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        commit(session)

    monkeypatch.setattr(Session, "commit", cut)
    with pytest.raises(Unfinished, match="lost while it was done or committed"):
        apply(ops, plan, plan.id, TARGET)
    monkeypatch.undo()
    assert visible(ops, ids) == 3
    assert lab.state(KEY) == clean


def test_the_ledger_itself_refuses_anything_but_the_flag(ops: Connection) -> None:
    id = some(ops, 1)[0]
    for change in (
        f"UPDATE {REGISTRY} SET who = 'x' WHERE id = :id",
        f"DELETE FROM {REGISTRY} WHERE id = :id",
    ):
        with pytest.raises(OpsError, match="append-only"):
            execute(ops, change.replace(":id", "CAST(:id AS uuid)"), {"id": id}, 1)


def test_rows_that_are_still_to_be_seen_are_critical(ops: Connection) -> None:
    assert soft_deletions.check_deleted(ops, some(ops))[0].status == "critical"


def test_a_snapshot_that_is_denied_stops_it_before_the_rows(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection
) -> None:
    with lab.denied("rds:DescribeDBSnapshots", KEY), pytest.raises(NotAllowed):
        soft_deletions.plan_soft_delete(ops, "failed-executions")
    assert lab.state(KEY) == clean
