"""One statement of an operator's own.

Planned with the rows it changes, committed only at their number.
"""

from __future__ import annotations

from typing import Any

import pytest

from opslib import Refused, UsageError, apply
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.databases.data import rows
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
OLD = "DELETE FROM ledger.schema_migrations WHERE version < '0003'"


def test_without_a_statement_nothing_is_planned(lab: PracticeLab, clean: dict[str, Any]) -> None:
    assert notebooks.run("databases/execute")["plan"].steps == ()
    assert lab.state(KEY) == clean


def test_a_preview_counts_the_rows_and_changes_and_locks_nothing(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection
) -> None:
    left = notebooks.run("databases/execute", statement=OLD)
    assert "Delete on" in rows.explain_statement(ops, OLD)
    assert left["ops"].findings[0].seen == "2 rows"
    assert not left["plan"].reversible
    assert "cannot be undone" in left["plan"].notes[0]
    assert left["plan"].steps[0].undo == []  # undoing the rest would not take the snapshot away
    assert lab.state(KEY) == clean


def test_exactly_the_rows_of_the_preview_are_changed(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection
) -> None:
    saved = sql.query(
        ops, "SELECT version, applied_at FROM ledger.schema_migrations WHERE version < '0003'"
    )
    plan = rows.plan_statement(ops, OLD, snapshot=False)
    apply(ops, plan, plan.id, TARGET)
    assert differences(clean, lab.state(KEY)) == [
        "sql.loglineos_production.ledger.schema_migrations"
    ]
    back = "INSERT INTO ledger.schema_migrations VALUES (:version, :applied_at)"
    sql.execute(ops, back, [dict(row) for row in saved.to_dict("records")], 2)
    assert lab.state(KEY) == clean


@pytest.mark.parametrize(
    "meanwhile",
    [
        "UPDATE ledger.schema_migrations SET applied_at = applied_at + interval '1 second' WHERE "
        "version = '0001'",
        "DELETE FROM ledger.schema_migrations WHERE version = '0001'",
    ],
)
def test_rows_that_change_between_preview_and_apply_are_refused(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection, meanwhile: str
) -> None:
    plan = rows.plan_statement(ops, OLD, snapshot=False)
    saved = sql.query(
        ops, "SELECT applied_at FROM ledger.schema_migrations WHERE version = '0001'"
    ).iat[0, 0]
    sql.execute(ops, meanwhile, {}, 1)
    with pytest.raises(Refused, match="have changed"):
        apply(ops, plan, plan.id, TARGET)
    back = (
        "INSERT INTO ledger.schema_migrations VALUES ('0001', :at) ON CONFLICT (version) DO "
        "UPDATE SET applied_at = :at"
    )
    sql.execute(ops, back, {"at": saved}, 1)
    assert lab.state(KEY) == clean


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("DELETE FROM ledger.schema_migrations", UsageError, "A WHERE is required"),
        (
            "UPDATE ledger.schema_migrations SET applied_at = now()",
            UsageError,
            "A WHERE is required",
        ),
        (
            "UPDATE ledger.schema_migrations SET applied_at = (SELECT now() WHERE true)",
            UsageError,
            "A WHERE is required",
        ),
        (
            "UPDATE ledger.schema_migrations SET version = ' WHERE true'",
            UsageError,
            "A WHERE is required",
        ),
        (
            "UPDATE ledger.universal_registry SET is_deleted = true WHERE true",
            Refused,
            "200,000 rows would be changed",
        ),
        ("TRUNCATE ledger.schema_migrations", UsageError, "One statement that changes rows"),
        (
            "ALTER TABLE ledger.schema_migrations ADD COLUMN x int",
            UsageError,
            "One statement that changes rows",
        ),
        ("SELECT 1", UsageError, "databases/query"),
        (
            "WITH x AS (SELECT 1) DELETE FROM ledger.schema_migrations WHERE true",
            UsageError,
            "One statement",
        ),
        (f"{OLD}; DROP TABLE ledger.schema_migrations", UsageError, "One statement at a time"),
        (f"{OLD} RETURNING version", UsageError, "Leave RETURNING out"),
        (f"{OLD} AND pg_terminate_backend(1)", Refused, "acts at once"),
        (
            "UPDATE ledger.schema_migrations SET nothing = 1 WHERE version = '0001'",
            UsageError,
            '"nothing".*does not exist',
        ),
        (
            "INSERT INTO ledger.schema_migrations VALUES ('0001') ON CONFLICT DO NOTHING",
            UsageError,
            "cannot be counted",
        ),
    ],
)
def test_what_is_not_one_change_of_some_rows_is_not_planned(
    lab: PracticeLab,
    clean: dict[str, Any],
    ops: Connection,
    statement: str,
    error: type[OpsError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        rows.plan_statement(ops, statement, snapshot=False)
    assert lab.state(KEY) == clean


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        (
            "UPDATE ledger.schema_migrations AS m SET applied_at = now() WHERE m.version IN "
            "('0001', '0002')",
            2,
        ),
        (
            "UPDATE ledger.schema_migrations m SET applied_at = now() FROM generate_series(1, 3) "
            "n WHERE m.version = '0001'",
            1,
        ),
        (
            "DELETE FROM ONLY ledger.schema_migrations USING ledger.tenant_quotas q WHERE version "
            "= '0001'",
            1,
        ),
        ('DELETE FROM "ledger"."schema_migrations" WHERE version LIKE \'00%\' -- where;', 7),
        ("INSERT INTO ledger.schema_migrations VALUES ('0100'), ('0101')", 2),
        ("INSERT INTO ledger.schema_migrations SELECT '01' || n FROM generate_series(1, 4) n;", 4),
        ("DELETE FROM ledger.schema_migrations WHERE false", 0),
    ],
)
def test_the_rows_are_counted_as_the_statement_would_meet_them(
    ops: Connection, statement: str, number: int
) -> None:
    assert rows.count_affected(ops, statement)[0] == number


def test_a_lock_that_does_not_come_ends_it_unchanged(
    lab: PracticeLab, clean: dict[str, Any], ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    from opslib.core.connections import sessions

    monkeypatch.setattr(sessions, "_LOCK_SECONDS", 1)
    at = ops.secret(ops.target["database"]["secret"])
    where = {
        "user": at["username"],
        "password": at["password"],
        "host": at["host"],
        "port": at["port"],
    }
    plan = rows.plan_statement(ops, OLD, snapshot=False)
    with psycopg.connect(dbname=at["database"], **where) as other:
        other.execute("SELECT * FROM ledger.schema_migrations WHERE version = '0001' FOR UPDATE")
        assert rows.count_affected(ops, OLD)[0] == 2  # a preview does not wait for it
        with pytest.raises(Unfinished, match="waited 1 s for a lock and was rolled back"):
            apply(ops, plan, plan.id, TARGET)
    assert lab.state(KEY) == clean
