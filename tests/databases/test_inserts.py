"""Rows that are added: refused before anything happens, undone exactly, while nothing refers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError, apply, changes
from opslib.core.connections import sessions, sql
from opslib.core.connections.connection import Connection
from opslib.databases.data import inserts, rows
from opslib.records import reading
from tests.conftest import PracticeLab

TARGET = "lab/dms-dev"
NAME = "O'Hara & Daughters: 50%"
NEW = {"name": NAME, "plan": "free", "storage_quota_gb": 5}


@pytest.fixture(autouse=True)
def tidy(lab: PracticeLab, clean: dict[str, Any]) -> None:
    """As it was, whatever a test left."""


def execute(ops: Connection, *statements: str) -> None:
    with sessions.session(ops, "a test", write=True) as session:
        for each in statements:
            sessions.run(session, each)
        session.commit()


def there(ops: Connection) -> list[tuple[Any, ...]]:
    asked = "SELECT name, plan, storage_quota_gb::int, retention_days FROM tenants WHERE name = :n"
    return [tuple(row) for row in sql.ask(ops, asked, {"n": NAME}).itertuples(index=False)]


def added(ops: Connection) -> str:
    """It is added; the record of it."""
    apply(ops, inserts.plan_insert(ops, "tenant", NEW), "now")
    return reading.list_records()[0].id


def test_a_row_is_added_as_shown_and_undo_deletes_it(ops: Connection, lab: PracticeLab) -> None:
    before = lab.state("dms-dev")
    found = inserts.check_insert(ops, "tenant", NEW)
    assert (found.worst, found.evidence["name"][0], found.evidence["retention_days"][0]) == (
        "ok",
        NAME,
        90,
    )
    plan = inserts.plan_insert(ops, "tenant", NEW)
    assert plan.digest("", "") == inserts.plan_insert(ops, "tenant", NEW).digest("", "")
    assert lab.state("dms-dev") == before
    applied = apply(ops, plan, "now")
    assert there(ops) == [(NAME, "free", 5, 90)]
    assert applied.verify(inserts.check_inserted, "tenant", NEW).worst == "ok"
    apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
    assert lab.state("dms-dev") == before


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"name": "Harbour & Lane"}, Refused, r"duplicate key .*\(UNIQUE \(name\)\)"),
        ({"name": "x", "plan": "gold"}, Refused, r"\(CHECK .*'enterprise'"),
        ({"name": "x", "storage_quota_gb": 0}, Refused, r"\(CHECK .*storage_quota_gb > "),
        ({"name": "x", "plan": None}, Refused, "not-null"),
        ({"name": "x", "retention_days": "soon"}, UsageError, "invalid input syntax"),
        ({"name": "x", "colour": "red"}, UsageError, "Unknown column 'colour' of tenant"),
        ({"plan": "pro"}, UsageError, "A new tenant needs name: as its invoices call it"),
        ({"name": "  "}, UsageError, "needs name"),
    ],
)
def test_what_the_table_does_not_take_is_refused_before_anything(
    ops: Connection, lab: PracticeLab, values: dict[str, Any], error: type[OpsError], said: str
) -> None:
    before = lab.state("dms-dev")
    with pytest.raises(error, match=said):
        inserts.plan_insert(ops, "tenant", values)
    assert lab.state("dms-dev") == before


def test_one_that_is_called_alike_is_told(ops: Connection) -> None:
    found = inserts.check_insert(ops, "tenant", {"name": " harbour & LANE "})
    assert [(f.status, f.seen) for f in found] == [("ok", "it can be added"), ("warn", "1")]


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["NO ACTION", "CASCADE", "SET NULL"])
def test_undo_leaves_a_row_alone_to_which_another_refers(ops: Connection, rule: str) -> None:
    made = f"CREATE TABLE seats (tenant uuid REFERENCES tenants ON DELETE {rule}, n int)"
    execute(ops, made)
    record = added(ops)
    taken = f"INSERT INTO seats SELECT id, 1 FROM tenants WHERE name = {sql.literal(NAME)}"
    execute(ops, taken)
    try:
        with pytest.raises(OpsError, match=r"0 rows would have|violates foreign key"):
            apply(ops, changes.plan_undo(ops, record), "now")
        assert len(there(ops)) == 1
        execute(ops, "DELETE FROM seats")
        apply(ops, changes.plan_undo(ops, record), "now")
        assert there(ops) == []
    finally:
        execute(ops, "DROP TABLE seats", f"DELETE FROM tenants WHERE name = {sql.literal(NAME)}")


@pytest.fixture
def notes(ops: Connection) -> Iterator[str]:
    execute(ops, "CREATE TABLE notes (a int, b text, PRIMARY KEY (a, b))")
    yield "notes"
    execute(ops, "DROP TABLE notes")


def test_rows_added_by_a_statement_are_undone_by_their_keys(ops: Connection, notes: str) -> None:
    execute(ops, "INSERT INTO notes VALUES (1, 'there')")
    statement = "INSERT INTO notes SELECT n, 'new' FROM generate_series(1, 3) n"
    apply(ops, rows.plan_statement(ops, statement, snapshot=False), "now")
    assert sql.value(ops, "SELECT count(*) FROM notes") == 4
    apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
    assert sql.value(ops, "SELECT string_agg(b, ',') FROM notes") == "there"
