"""One statement of an operator's own.

Planned with the rows it changes, committed only at their number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from opslib import Refused, UsageError, apply
from opslib.core.connections import sessions, sql
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


def test_a_statement_that_meets_no_row_says_what_to_look_at(ops: Connection) -> None:
    statement = "DELETE FROM ledger.schema_migrations WHERE version = 'none'"
    assert rows.check_statement(ops, statement)[0].next == "databases/query"
    assert rows.plan_statement(ops, statement).notes[0].startswith("No row fits its condition")


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


@pytest.mark.some(4)
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
            "About 200,000 rows would be changed",
        ),
        ("TRUNCATE ledger.schema_migrations", UsageError, "One UPDATE or DELETE"),
        (
            "ALTER TABLE ledger.schema_migrations ADD COLUMN x int",
            UsageError,
            "One UPDATE or DELETE",
        ),
        ("SELECT 1", UsageError, "databases/query"),
        (f"{OLD}; DROP TABLE ledger.schema_migrations", UsageError, "One statement at a time"),
        (f"{OLD} RETURNING version", UsageError, "Leave RETURNING out"),
        (f"{OLD} AND pg_terminate_backend(1)", Refused, "acts at once"),
        (
            "UPDATE ledger.schema_migrations SET nothing = 1 WHERE version = '0001'",
            UsageError,
            '"nothing".*does not exist',
        ),
        ("DELETE FROM ledger.schema_migration WHERE version = '1'", UsageError, "Did you mean"),
        ("DELETE FROM ledger.schema_migrations WHERE version = $1", UsageError, "Put a value"),
        (
            "INSERT INTO ledger.schema_migrations VALUES ('0001') ON CONFLICT DO NOTHING",
            UsageError,
            "cannot be told beforehand",
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
    assert rows.check_statement(ops, statement)[0].seen.split()[0] == str(number)


@pytest.mark.slow
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
        with pytest.raises(Unfinished, match="waited 1 s for a lock and was rolled back"):
            apply(ops, plan, plan.id, TARGET)
    assert lab.state(KEY) == clean


FAMILY = "practice_family"


@pytest.fixture
def family(lab: PracticeLab, ops: Connection) -> Iterator[Callable[[str], Any]]:
    """Parents, children that go with them, and theirs; a log that a trigger writes."""
    made = (
        f"CREATE SCHEMA {FAMILY}",
        f"CREATE TABLE {FAMILY}.parents (id int PRIMARY KEY, name text)",
        f"CREATE TABLE {FAMILY}.children (id int PRIMARY KEY, parent int REFERENCES "
        f"{FAMILY}.parents ON DELETE CASCADE, name text)",
        f"CREATE TABLE {FAMILY}.toys (id serial, child int REFERENCES {FAMILY}.children "
        "ON DELETE SET NULL, made timestamptz DEFAULT now())",
        f"CREATE TABLE {FAMILY}.log (said text)",
        f"CREATE TABLE {FAMILY}.loose (a int, b text)",
        f"CREATE TABLE {FAMILY}.ranks (id int PRIMARY KEY, above int REFERENCES {FAMILY}.ranks "
        "ON DELETE CASCADE)",
        f"INSERT INTO {FAMILY}.ranks SELECT n, nullif(n - 1, 0) FROM generate_series(1, 20) n",
        f"CREATE TABLE {FAMILY}.parted (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        f"CREATE TABLE {FAMILY}.first PARTITION OF {FAMILY}.parted FOR VALUES FROM (1) TO (9)",
        f"INSERT INTO {FAMILY}.parted VALUES (1), (2)",
        f"CREATE VIEW {FAMILY}.seen AS TABLE {FAMILY}.parents",
        f"CREATE TABLE {FAMILY}.ruled (id int PRIMARY KEY)",
        f"CREATE RULE also AS ON DELETE TO {FAMILY}.ruled DO ALSO DELETE FROM {FAMILY}.toys",
        f"INSERT INTO {FAMILY}.parents VALUES (1, 'a'), (2, 'b'), (3, NULL)",
        f"INSERT INTO {FAMILY}.children SELECT n, 1 + n % 2, 'c' || n "
        "FROM generate_series(1, 100) n",
        f"INSERT INTO {FAMILY}.toys (child) SELECT n FROM generate_series(1, 10) n",
        f"INSERT INTO {FAMILY}.loose VALUES (1, 'x'), (2, 'y'), (2, 'y')",
    )

    def do(statement: str) -> Any:
        with sessions.session(ops, statement, write=True) as session:
            answer = sessions.run(session, statement)
            found = [tuple(row) for row in answer] if answer.returns_rows else None
            session.commit()
            return found

    for statement in made:
        do(statement)
    yield do
    do(f"DROP SCHEMA {FAMILY} CASCADE")


def counts(do: Callable[[str], Any]) -> tuple[int, ...]:
    names = ("parents", "children", "toys", "log", "loose")
    return tuple(do(f"SELECT count(*) FROM {FAMILY}.{name}")[0][0] for name in names)


def test_what_a_cascade_takes_along_is_shown_and_applied_as_shown(
    ops: Connection, family: Callable[[str], Any]
) -> None:
    plan = rows.plan_statement(ops, f"DELETE FROM {FAMILY}.parents WHERE id = 1", snapshot=False)
    said = f"{FAMILY}.children: 50 deleted; {FAMILY}.parents: 1 deleted; {FAMILY}.toys: 5 changed"
    assert plan.notes[0] == f"It takes other rows along, 56 in all: {said}."
    assert f"{FAMILY}.children: 50 deleted" in repr(plan)
    assert counts(family) == (3, 100, 10, 0, 3)
    apply(ops, plan, plan.id, TARGET)
    assert counts(family) == (2, 50, 10, 0, 3)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "meanwhile",
    [
        "INSERT INTO {0}.children VALUES (500, 1, 'one more')",
        "UPDATE {0}.children SET name = 'precious' WHERE id = 2",  # as many, another content
        "UPDATE {0}.toys SET child = 4 WHERE id = 3",
        "UPDATE {0}.parents SET name = 'precious' WHERE id = 1",
    ],
)
def test_what_would_go_besides_what_was_shown_stays(
    ops: Connection, family: Callable[[str], Any], meanwhile: str
) -> None:
    """Between the plan that is made again and its transaction, too."""
    plan = rows.plan_statement(ops, f"DELETE FROM {FAMILY}.parents WHERE id = 1", snapshot=False)
    family(meanwhile.format(FAMILY))
    before = counts(family)
    with pytest.raises(Refused, match="is not what would be done now"):
        apply(
            ops,
            rows.plan_statement(ops, plan.steps[0].do["statement"], 1000, False),
            plan.id,
            TARGET,
        )
    late = dataclasses.replace(plan, again=None)
    with pytest.raises(OpsError, match=r"is not what was shown.*rolled back"):
        apply(ops, late, late.id, TARGET)
    assert counts(family) == before


def test_a_trigger_that_takes_more_is_shown_and_one_that_calls_out_is_not_tried(
    ops: Connection, family: Callable[[str], Any]
) -> None:
    added = f"INSERT INTO {FAMILY}.log SELECT OLD.name FROM generate_series(1, 3)"
    body = f"BEGIN {added}; RETURN OLD; END"
    family(f"CREATE FUNCTION {FAMILY}.note() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    family(
        f"CREATE TRIGGER noted AFTER DELETE ON {FAMILY}.children FOR EACH ROW "
        f"EXECUTE FUNCTION {FAMILY}.note()"
    )
    statement = f"DELETE FROM {FAMILY}.parents WHERE id = 1"
    plan = rows.plan_statement(ops, statement, snapshot=False)
    assert f"{FAMILY}.log: 150 added" in plan.notes[0]
    assert f"Triggers run: noted of {FAMILY}.children" in plan.notes[-1]
    assert counts(family) == (3, 100, 10, 0, 3)
    apply(ops, plan, plan.id, TARGET)
    assert counts(family) == (2, 50, 10, 150, 3)
    out = "BEGIN PERFORM dblink_exec('x', 'DELETE'); RETURN OLD; END"
    family(
        f"CREATE OR REPLACE FUNCTION {FAMILY}.note() RETURNS trigger LANGUAGE plpgsql "
        f"AS $$ {out} $$"
    )
    with pytest.raises(
        Refused, match=r"Trigger noted of .*calls out of the database \(dblink_exec"
    ):
        rows.plan_statement(ops, statement.replace("1", "2"), snapshot=False)
    assert counts(family) == (2, 50, 10, 150, 3)


def test_an_insert_adds_what_was_shown_and_nothing_that_came_later(
    ops: Connection, family: Callable[[str], Any]
) -> None:
    """Whatever a sequence or a clock makes anew each time does not count."""
    statement = (
        f"INSERT INTO {FAMILY}.toys (child) SELECT id FROM {FAMILY}.children WHERE name < 'c2'"
    )
    plan = rows.plan_statement(ops, statement, snapshot=False)
    family(f"UPDATE {FAMILY}.children SET name = 'c1' WHERE id = 50")
    family(f"UPDATE {FAMILY}.children SET name = 'd' WHERE id = 15")  # as many
    late = dataclasses.replace(plan, again=None)
    with pytest.raises(OpsError, match=r"is not what was shown \(after"):
        apply(ops, late, late.id, TARGET)
    assert counts(family)[2] == 10
    again = rows.plan_statement(ops, statement, snapshot=False)
    apply(ops, rows.plan_statement(ops, statement, snapshot=False), again.id, TARGET)
    assert counts(family)[2] == 10 + again.steps[0].do["found"]["rows"]


def test_an_update_writes_what_was_shown_also_where_it_comes_from_another_table(
    ops: Connection, family: Callable[[str], Any]
) -> None:
    statement = (
        f"UPDATE {FAMILY}.parents p SET name = c.name FROM {FAMILY}.children c "
        "WHERE c.id = 7 AND p.id = 1"
    )
    plan = rows.plan_statement(ops, statement, snapshot=False)
    family(f"UPDATE {FAMILY}.children SET name = 'unseen' WHERE id = 7")
    late = dataclasses.replace(plan, again=None)
    with pytest.raises(OpsError, match="is not what was shown"):
        apply(ops, late, late.id, TARGET)
    assert family(f"SELECT name FROM {FAMILY}.parents WHERE id = 1") == [("a",)]


@pytest.mark.some(4)
@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("/* first */ DELETE FROM {0}.parents WHERE id = 3", 1),
        ("-- first\nDELETE FROM {0}.parents WHERE name IS DISTINCT FROM 'a'", 2),
        ("UPDATE {0}.parents SET name = (name IS NOT DISTINCT FROM 'a')::text WHERE id < 3", 2),
        (
            "WITH few AS (SELECT id FROM {0}.parents WHERE id < 3) "
            "UPDATE {0}.parents p SET name = 'n' FROM few WHERE few.id = p.id",
            2,
        ),
        ("WITH few AS (SELECT 1 AS id) DELETE FROM {0}.parents WHERE id IN (TABLE few)", 1),
        ("INSERT INTO {0}.toys DEFAULT VALUES", 1),
        ("INSERT INTO {0}.parents VALUES (9, DEFAULT)", 1),
        ("INSERT INTO {0}.parents (TABLE {0}.parents LIMIT 0)", 0),
        ("DELETE FROM {0}.loose WHERE a = 2", 2),
        ('delete from only {0}.parents as "where" where "where".id = 2', 1),
        (
            'DELETE FROM {0}.parents USING {0}.children AS "from" WHERE "from".parent = parents.id',
            2,
        ),
    ],
)
def test_any_one_change_that_the_server_understands_is_planned(
    ops: Connection, family: Callable[[str], Any], statement: str, number: int
) -> None:
    before, text = counts(family), statement.format(FAMILY)
    plan = rows.plan_statement(ops, text, snapshot=False)
    assert [step.do["found"]["rows"] for step in plan.steps] == [number] * bool(number)
    assert rows.check_statement(ops, text)[0].seen.split()[0] == str(number)
    assert counts(family) == before


@pytest.mark.some(4)
@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        ("UPDATE {0}.loose SET b = 'z' WHERE a = 2", Refused, "has no unique key"),
        ("UPDATE {0}.parents SET id = id + 10 WHERE id = 3", Refused, "changes the key itself"),
        (
            "MERGE INTO {0}.parents p USING {0}.toys t ON p.id = t.id WHEN MATCHED THEN DELETE",
            UsageError,
            "MERGE does several things",
        ),
        (
            "WITH gone AS (DELETE FROM {0}.toys WHERE id = 1 RETURNING child) "
            "DELETE FROM {0}.children WHERE id IN (TABLE gone)",
            UsageError,
            "more than one table by itself",
        ),
        ("DELETE FROM {0}.parents WHERE id = 1) , x AS (SELECT 1", UsageError, "syntax error"),
        ("DELETE FROM {0}.parents WHERE id = 1; SELECT 1", UsageError, "One statement"),
        ("REFRESH MATERIALIZED VIEW {0}.parents", UsageError, "is planned here"),
        ("UPDATE {0}.parents SET id = NULL WHERE id = 1", UsageError, "A constraint refuses it"),
        ('DELETE FROM {0}.parents WHERE U&"pg\\005fcancel_backend"(0)', Refused, "acts at once"),
        ("ANALYZE {0}.parents", UsageError, "One UPDATE or DELETE"),
        ("DELETE FROM {0}.seen WHERE id = 1", UsageError, "not a view: practice_family.parents"),
        ("DELETE FROM {0}.seen AS parents WHERE id = 1", UsageError, "parents is behind it"),
        ("DELETE FROM {0}.ruled WHERE id = 1", UsageError, "for a table without rules"),
    ],
)
def test_what_cannot_be_told_beforehand_is_refused_with_why(
    ops: Connection,
    family: Callable[[str], Any],
    statement: str,
    error: type[OpsError],
    says: str,
) -> None:
    before = counts(family)
    with pytest.raises(error, match=says):
        rows.plan_statement(ops, statement.format(FAMILY), snapshot=False)
    assert counts(family) == before


def test_a_step_that_says_nothing_of_other_tables_takes_no_rows_of_them(
    ops: Connection, family: Callable[[str], Any]
) -> None:
    with pytest.raises(OpsError, match=r"More would have gone than was shown.*children 50 deleted"):
        sql.execute(ops, f"DELETE FROM {FAMILY}.parents WHERE id = 1", {}, 1)
    assert counts(family) == (3, 100, 10, 0, 3)


def test_rows_of_its_own_table_that_follow_are_told_and_count(
    ops: Connection, family: Callable[[str], Any]
) -> None:
    statement = f"DELETE FROM {FAMILY}.ranks WHERE id = 5; -- the old ones"
    plan = rows.plan_statement(ops, statement, snapshot=False)
    assert plan.notes[0].startswith("It takes other rows along, 16 in all")
    with pytest.raises(Refused, match="16 rows would be changed"):
        rows.plan_statement(ops, statement, most=15, snapshot=False)
    with pytest.raises(Refused, match="56 rows would be changed"):
        rows.plan_statement(ops, f"DELETE FROM {FAMILY}.parents WHERE id = 1", 55, False)
    parted = rows.plan_statement(ops, f"DELETE FROM {FAMILY}.parted WHERE id < 9", snapshot=False)
    assert "along" not in parted.notes[0]
