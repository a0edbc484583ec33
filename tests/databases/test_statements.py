"""Statements: one that reads a large table for few rows, often, is named with the index it lacks.

Reports are not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.tables import frame
from opslib.databases.data import query_plans, statements
from opslib.databases.data.query_plans import Scan, Table
from tests.conftest import PracticeLab

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
REGISTRY = "ledger.universal_registry"
REPORT = f"SELECT entity_type, count(*) FROM {REGISTRY} WHERE NOT is_deleted GROUP BY entity_type"
COLUMNS = ("seq", "who", "did", "name", "status", "owner_id", "error", "payload")
COUNTS = ", ".join(
    f"count({column})" for column in random.choices(COLUMNS, k=12)
)  # others in each run
RARE = f"SELECT {COUNTS} FROM {REGISTRY} WHERE name = %s"


@pytest.fixture
def app(ops: Connection) -> Iterator[psycopg.Connection[Any]]:
    """A session as the app has them.

    What it said before is forgotten afterwards by its own plan being right again.
    """
    at = ops.secret(ops.target["database"]["secret"])
    where = {
        "user": at["username"],
        "password": at["password"],
        "host": at["host"],
        "port": at["port"],
    }
    with psycopg.connect(
        dbname=at["database"], autocommit=True, application_name="test", **where
    ) as session:
        yield session


def said(found: Any) -> list[str]:
    assert found.evidence is not None
    return list(found.evidence["statement"])


def test_the_statements_of_a_database_that_is_well_are_shown_with_their_plans(
    ops: Connection, app: Any
) -> None:
    app.execute(
        f"SELECT id FROM {REGISTRY} WHERE parent_id = %s", ["00000000-0000-0000-0000-000000000000"]
    )
    found = statements.check_statements(ops)
    assert found.evidence is not None
    assert {
        name: str(dtype) for name, dtype in found.evidence.dtypes.items()
    } == statements.STATEMENTS
    assert (found.worst, found.causes) == ("ok", set())
    by_parent = found.evidence[found.evidence["statement"].str.contains("WHERE parent_id")]
    assert by_parent["plan"].str.contains("universal_registry_parent").all()
    assert len(by_parent) >= 1


@pytest.mark.slow
def test_an_index_that_is_gone_is_named_with_its_table_and_columns(
    lab: PracticeLab, ops: Connection
) -> None:
    with lab.broken("slow-query", KEY):
        found = statements.check_statements(ops)
        blamed = [f for f in found if f.cause]
    assert found.causes == {"slow-query"}
    assert {(f.status, f.next) for f in blamed} == {("warn", "databases/query")}
    suggested = "CREATE INDEX CONCURRENTLY ON ledger.universal_registry (owner_id, at DESC)"
    assert len(blamed) == 1  # also for the statement that asks for a kind as well
    assert suggested in blamed[0].seen
    assert "owner_id = $1" in blamed[0].seen
    assert statements.check_statements(ops).causes == set()


@pytest.mark.slow
def test_that_index_serves_it(lab: PracticeLab, ops: Connection) -> None:
    with lab.broken("slow-query", KEY):
        [suggested] = {
            f.seen.partition("CREATE INDEX CONCURRENTLY ")[2].partition(". ")[0]
            for f in statements.check_statements(ops)
            if "(owner_id, at DESC)" in f.seen
        }
        sql.execute(ops, f"CREATE INDEX mended {suggested}", {}, -1)
        try:
            assert statements.check_statements(ops).causes == set()
        finally:
            sql.execute(ops, "DROP INDEX ledger.mended", {}, -1)


@pytest.mark.slow
def test_reports_over_everything_and_rare_ones_are_not_blamed(ops: Connection, app: Any) -> None:
    for _ in range(12):
        app.execute(REPORT).fetchall()
    for _ in range(statements._CALLS - 1):
        app.execute(RARE, ["nothing 1"]).fetchall()
    found = statements.check_statements(ops)
    assert any("GROUP BY entity_type" in text for text in said(found))
    rare = found.evidence["statement"].str.contains("WHERE name = $1", regex=False)
    assert (found.evidence[rare]["plan"] == "Seq Scan on universal_registry").all()
    assert rare.any()
    assert found.causes == set()


@pytest.mark.parametrize(
    ("calls", "per_hour", "rows", "kept", "index", "megabytes", "wasteful"),
    [
        (10, 6.0, 1.0, 10.0, "", 900.0, True),
        (9, 600.0, 1.0, 10.0, "", 900.0, False),  # too few to say so
        (5000, 5.0, 1.0, 10.0, "", 900.0, False),  # now and then
        (
            500,
            60.0,
            1.0,
            60_000.0,
            "",
            900.0,
            False,
        ),  # a twentieth of the rows and more: an index would not be used
        (500, 60.0, 1.0, 10.0, "", 7.0, False),  # small
        (
            500,
            60.0,
            20.0,
            40_000.0,
            "by_time",
            900.0,
            False,
        ),  # found after some 500 rows along the index
        (500, 60.0, 20.0, 100.0, "by_time", 900.0, True),
    ],
)
def test_what_is_wasteful(
    calls: int,
    per_hour: float,
    rows: float,
    kept: float,
    index: str,
    megabytes: float,
    wasteful: bool,
) -> None:
    scan = Scan("public.t", "t", "(t.owner = $1)", kept, index, ())
    table = Table("public.t", 1e6, megabytes, ["owner"])
    assert statements.Blamed(calls, per_hour, rows, scan, table).wasteful == wasteful


@pytest.mark.slow
def test_our_own_statements_are_not_shown_nor_blamed(ops: Connection) -> None:
    for number in range(15):
        sql.query(
            ops, f"SELECT 4711, count(*) FROM {REGISTRY} WHERE status = 'x' || :n", n=str(number)
        )
    found = statements.check_statements(ops)
    assert not [text for text in said(found) if "opslib" in text or "WHERE status = " in text]
    assert found.causes == set()


def test_a_small_table_may_be_read_from_end_to_end(ops: Connection, app: Any) -> None:
    for _ in range(30):
        app.execute(
            "SELECT applied_at FROM ledger.schema_migrations WHERE applied_at = now()"
        ).fetchall()
    found = statements.check_statements(ops)
    assert any("schema_migrations" in text for text in said(found))
    assert found.causes == set()


def test_a_statement_without_a_plan_is_told_and_blames_nobody(ops: Connection, app: Any) -> None:
    for _ in range(2):
        app.execute("SELECT interval '3 days' + now(), 'no plan'").fetchall()
    found = statements.check_statements(ops, top=30)
    assert found.evidence is not None
    assert any(plan.startswith("none: ") for plan in found.evidence["plan"])
    assert "could not be planned here" in found[0].seen
    assert found.causes == set()


def test_hostile_statements_do_not_garble_the_page(ops: Connection, app: Any) -> None:
    app.execute("SELECT /* \x1b[31m\u202e<b> */ 'hostile'::text, now()").fetchall()
    found = statements.check_statements(ops, top=30)
    shown = found._repr_mimebundle_()
    assert "\x1b" not in shown["text/html"] + shown["text/plain"]
    assert "<b>" not in shown["text/html"]


def test_without_the_extension_it_is_unknown_and_says_what_to_do(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "query", lambda *_: frame([{"schema": ""}], {"schema": "str"}))
    found = statements.check_statements(ops)
    assert ([f.status for f in found], found.causes) == (["unknown"], set())
    assert re.search(
        "shared_preload_libraries .*CREATE EXTENSION pg_stat_statements", found[0].seen
    )


def test_a_statement_that_cannot_be_planned_harms_none_after_it(ops: Connection) -> None:
    texts = ["SELECT FROM no_such_table WHERE id = $1", f"SELECT FROM {REGISTRY} WHERE id = $1"]
    plans = statements.explain_all(ops, texts * 2)
    assert [str(plan["Node Type"]).startswith("none: ") for plan in plans] == [True, False] * 2


def test_a_view_of_an_older_version_makes_it_unknown_and_says_what_to_do(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "_STATEMENTS_SQL", "SELECT stats_since FROM pg_class")
    found = statements.check_statements(ops)
    assert ([f.status for f in found], found.causes) == (["unknown"], set())
    assert "ALTER EXTENSION pg_stat_statements UPDATE" in found[0].seen


def test_texts_that_are_hidden_from_the_role_make_it_unknown(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        statements, "_most_expensive", lambda *_: (frame([], statements.STATEMENTS), 7)
    )
    found = statements.check_statements(ops)
    assert found[0].status == "unknown"
    assert "GRANT pg_read_all_stats" in found[0].seen


def test_a_database_that_takes_no_login_makes_it_unknown(lab: PracticeLab, ops: Connection) -> None:
    with lab.broken("database-unavailable", KEY):
        found = statements.check_statements(ops)
    assert ([f.status for f in found], found.causes) == (["unknown"], set())


def test_explaining_runs_nothing(lab: PracticeLab, ops: Connection) -> None:
    before = lab.state(KEY)["sql"]
    [plan] = statements.explain_all(
        ops, ["DELETE FROM ledger.schema_migrations WHERE version = $1"]
    )
    assert isinstance(plan, dict)
    assert plan["Node Type"] == "ModifyTable"
    assert lab.state(KEY)["sql"] == before


TABLE = Table("public.t", 1e6, 900.0, ["owner", "at", "kind", "This"])


@pytest.mark.parametrize(
    ("filter", "order", "columns"),
    [
        ("(t.owner = $1)", (), ("owner",)),
        (
            "((NOT t.gone) AND (t.owner = $1) AND ((t.kind)::text = $2))",
            ("at DESC",),
            ("owner", "kind", "at DESC"),
        ),
        ("((t.at > $1) AND (t.owner = $2))", ("kind",), ("owner", "at")),
        ("(t.at > $1)", (), ("at",)),
        ("($1 = t.owner)", (), ("owner",)),
        ('(t."This" = $1)', ("at",), ('"This"', "at")),
        ("(lower(t.kind) = $1)", ("at",), ()),
        ("(t.kind ~~ $1)", ("at",), ()),
        ("(t.owner = ANY ($1))", ("owner",), ("owner",)),
        ("(u.owner = $1)", (), ()),
    ],
)
def test_the_index_is_of_what_is_compared_and_then_of_the_order(
    filter: str, order: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    assert Scan("public.t", "t", filter, 10.0, "", ()).columns(TABLE, order) == columns


def test_only_scans_that_drop_rows_without_a_condition_count() -> None:
    def node(kind: str, **more: Any) -> dict[str, Any]:
        return {
            "Node Type": kind,
            "Relation Name": "t",
            "Schema": "s",
            "Alias": "t",
            "Plan Rows": 5,
            **more,
        }

    plan = {
        "Node Type": "Sort",
        "Sort Key": ["t.at DESC"],
        "Plans": [
            node("Seq Scan", Filter="(t.a = 1)"),
            node("Seq Scan"),
            node("Index Scan", **{"Index Cond": "x", "Filter": "y", "Index Name": "i"}),
            node("Index Scan", **{"Filter": "(t.b = 1)", "Index Name": "i"}),
        ],
    }
    found = query_plans.scans(plan)
    assert [(scan.filter, scan.index, scan.order) for scan in found] == [
        ("(t.a = 1)", "", ("at DESC",)),
        ("(t.b = 1)", "i", ("at DESC",)),
    ]
    assert query_plans.tables(plan) == {"s.t"}


@pytest.mark.parametrize("asked", [[], ["SELECT relname FROM pg_catalog.pg_class"]])
def test_where_the_app_has_asked_nothing_yet_nothing_is_wrong(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    numbers = dict.fromkeys(statements.STATEMENTS, 1) | {"plan": ""}
    rows = frame(({**numbers, "statement": each} for each in asked), statements.STATEMENTS)
    monkeypatch.setattr(statements, "_most_expensive", lambda *_: (rows, 0))
    found = statements.check_statements(ops)
    assert [(each.status, each.cause) for each in found] == [("ok", "")]
    assert "0 statements looked at" in found[0].seen
