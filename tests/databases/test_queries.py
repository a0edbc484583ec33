"""Queries.

What a target's file names or an operator writes, asked read-only, shown with its plan and its rows.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from opslib import NotFound, OpsError, Refused, UsageError
from opslib.core.checks import plots
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import execute, query, value
from opslib.databases.data import queries
from tests import notebooks
from tests.conftest import PracticeLab

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
REGISTRY = "ledger.universal_registry"


@pytest.fixture
def writing_function(ops: Connection) -> Iterator[str]:
    """A function that deletes a row, as an app may have one; DDL says that it affects -1 rows."""
    body = "DELETE FROM ledger.schema_migrations WHERE version = '0001'"
    execute(
        ops, f"CREATE FUNCTION ledger.clean_up() RETURNS void LANGUAGE sql AS $$ {body} $$", {}, -1
    )
    yield "ledger.clean_up"
    execute(ops, "DROP FUNCTION ledger.clean_up()", {}, -1)


@pytest.fixture
def acting_functions(ops: Connection) -> Iterator[None]:
    """Functions that extensions bring and that act outside of the transaction.

    Here they do nothing.
    """
    made = {
        "aws_lambda.invoke(text, text)": "text LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "public.dblink(text, text)": "SETOF record LANGUAGE plpgsql AS 'BEGIN RETURN; END'",
    }
    execute(ops, "CREATE SCHEMA aws_lambda", {}, -1)
    for name, body in made.items():
        execute(ops, f"CREATE FUNCTION {name} RETURNS {body}", {}, -1)
    yield
    for name in made:
        execute(ops, f"DROP FUNCTION {name}", {}, -1)
    execute(ops, "DROP SCHEMA aws_lambda", {}, -1)


def evidence(found: Any) -> Any:
    assert found.evidence is not None
    return found.evidence


def test_without_a_query_the_named_ones_are_listed_with_their_titles(lab: PracticeLab) -> None:
    left = notebooks.run("databases/query")
    assert list(evidence(left["found"])["query"]) == [
        "spans-by-type",
        "recent-activity",
        "failed-executions",
        "quota-by-tenant",
    ]
    assert "Give one of these names" in left["found"].note
    assert "failed-executions" in left["ops"].findings[0].seen


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "query", ["spans-by-type", "recent-activity", "failed-executions", "quota-by-tenant"]
)
def test_each_named_query_answers_rows_with_its_plan_and_changes_nothing(
    lab: PracticeLab, ops: Connection, query: str
) -> None:
    before = lab.state(KEY)["sql"]
    left = notebooks.run("databases/query", query=query)
    assert (left["ops"].findings.worst, left["ops"].findings.causes) == ("ok", set())
    assert "universal_registry" in queries.explain_query(ops, query)
    assert lab.state(KEY)["sql"] == before


def test_the_answer_is_what_the_database_says(ops: Connection) -> None:
    found = queries.check_query(ops, "spans-by-type")
    said = dict(zip(evidence(found)["entity_type"], evidence(found)["spans"], strict=True))
    assert sum(said.values()) == value(ops, f"SELECT count(*) FROM {REGISTRY} WHERE NOT is_deleted")
    first = next(iter(said.items()))
    assert found[0].seen.startswith(
        f"{len(said)} rows: entity_type, spans: {first[0]}, {first[1]};"
    )


def test_a_query_that_asks_for_a_plot_is_drawn_as_bars(ops: Connection) -> None:
    found = queries.check_query(ops, "spans-by-type")
    picture = queries.plot_query(found)
    assert picture.png.startswith(b"\x89PNG")
    assert picture.words.startswith("Spans by type (spans): execution ")
    assert queries.plot_query(queries.check_query(ops, "recent-activity")).png == b""


def test_bars_without_rows_and_with_too_many_are_told() -> None:
    assert "no row" in plots.bars("Empty", "rows", [], []).words
    many = plots.bars(
        "Many", "rows", [f"$x_{n}$" for n in range(60)], [float(n) for n in range(60)]
    )
    assert many.words.endswith("20 more are not drawn")


@pytest.mark.some(6)
@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT ledger.clean_up()", Refused),
        (
            "WITH gone AS (DELETE FROM ledger.universal_registry RETURNING id) SELECT * FROM gone",
            Refused,
        ),
        ("SELECT id FROM ledger.universal_registry FOR UPDATE", Refused),
        ("SELECT set_config('transaction_read_only', 'off', false)", Refused),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", Refused),
        ('SELECT pg_catalog."pg_terminate_backend"(1)', Refused),
        ('SELECT U&"pg\\005fterminate_backend"(1)', Refused),
        ("SELECT lo_import /* x */ ('/etc/passwd')", Refused),
        ("SELECT 1 ORDER BY pg_promote()", Refused),
        ("SELECT 1 LIMIT pg_terminate_backend(1)::int", Refused),
        ("VALUES (1), (pg_terminate_backend(2)::int)", Refused),
        ("SELECT pg_stat_statements_reset()", Refused),
        ("SELECT 1 LIMIT pg_cancel_backend/* /* */ */(0)::int", Refused),
        ('SELECT 1 LIMIT U&"pg\\005fcancel_backend"(0)::int', Refused),
        ("SELECT * FROM ts_stat('SELECT to_tsvector(pg_terminate_backend(0)::text)')", Refused),
        ("SELECT query_to_xml('SELECT pg_terminate_backend(0)', true, true, '')", Refused),
        ("SELECT * FROM dblink('dbname=x', 'DELETE FROM y') AS t(a int)", Refused),
        ("SELECT aws_lambda.invoke('f', '{}')", Refused),
        ("SELECT * INTO copied FROM ledger.universal_registry", UsageError),
        ("SELECT 1; DELETE FROM ledger.universal_registry", UsageError),
        ("SELECT 1; COMMIT; DELETE FROM ledger.universal_registry", UsageError),
        ("SET transaction_read_only = off", UsageError),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; UPDATE "
            "ledger.universal_registry SET seq = 1",
            UsageError,
        ),
        ("INSERT INTO ledger.schema_migrations VALUES ('9999')", UsageError),
        ("UPDATE ledger.universal_registry SET is_deleted = true", UsageError),
        ("DELETE FROM ledger.universal_registry", UsageError),
        ("DROP TABLE ledger.universal_registry", UsageError),
        ("TRUNCATE ledger.schema_migrations", UsageError),
        ("COPY (SELECT 1) TO PROGRAM 'id'", UsageError),
        ("EXPLAIN ANALYZE DELETE FROM ledger.schema_migrations", UsageError),
        ("VACUUM ledger.universal_registry", UsageError),
    ],
)
@pytest.mark.usefixtures("writing_function", "acting_functions")
def test_what_would_change_something_is_refused(
    ops: Connection, lab: PracticeLab, query: str, error: type[Exception]
) -> None:
    before = lab.state(KEY)["sql"]
    with pytest.raises(error):
        queries.check_query(ops, query)
    assert lab.state(KEY)["sql"] == before


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger.schema_migrations RETURNING version",
        "UPDATE ledger.schema_migrations SET applied_at = now() RETURNING version",
        "INSERT INTO ledger.schema_migrations VALUES ('9999') RETURNING version",
        "CREATE TABLE ledger.copied AS SELECT 1",
        "SELECT ledger.clean_up()",
    ],
)
def test_it_is_the_database_that_refuses_to_write(
    ops: Connection, lab: PracticeLab, writing_function: str, statement: str
) -> None:
    before = lab.state(KEY)["sql"]
    with pytest.raises(Refused, match=r"read-only.*Nothing was changed"):
        query(ops, statement)
    assert lab.state(KEY)["sql"] == before


def test_a_session_that_is_talked_out_of_read_only_still_cannot_write(ops: Connection) -> None:
    with pytest.raises(Exception, match="read-write mode"):
        query(ops, "SELECT set_config('transaction_read_only', 'off', true)")


def test_words_of_a_change_in_a_literal_or_a_name_are_no_change(ops: Connection) -> None:
    found = queries.check_query(
        ops, "SELECT 'pg_terminate_backend(1); DELETE' AS said, 1 AS \"update\" -- drop;"
    )
    assert list(evidence(found).iloc[0]) == ["pg_terminate_backend(1); DELETE", 1]


@pytest.mark.parametrize(
    "query",
    [
        "select 1",
        "-- delete\n/* update */ (WITH x AS (SELECT 1) TABLE x)",
        "SELECT $$pg_terminate_backend(1)$$, $x$ pg_reload_conf() $x$, E'it\\'s pg_promote()'",
        'SELECT 1 AS "pg_promote()" ORDER BY "pg_promote()"',
    ],
)
def test_what_only_looks_like_a_change_is_asked(ops: Connection, query: str) -> None:
    assert queries.check_query(ops, query)[0].seen.startswith("1 row: ")


def test_colons_and_percent_signs_are_the_operators_own(ops: Connection) -> None:
    found = queries.check_query(ops, "SELECT ' :name 12:30 %s 100%' AS said, '1'::int AS number")
    assert list(evidence(found).iloc[0]) == [" :name 12:30 %s 100%", 1]


def test_an_empty_answer_keeps_its_columns(ops: Connection) -> None:
    found = queries.check_query(ops, f"SELECT id, at FROM {REGISTRY} WHERE false")
    assert (found[0].status, found[0].seen) == ("ok", "no row")
    assert list(evidence(found).columns) == ["id", "at"]


def test_what_is_null_is_nothing_and_no_number(ops: Connection) -> None:
    found = queries.check_query(ops, "SELECT NULL::text, NULL::int, 0, 'nan', NULL::timestamptz")
    assert found[0].seen.endswith(": , , 0, nan, ")


def test_more_rows_than_the_limit_are_told(ops: Connection) -> None:
    found = queries.check_query(ops, f"SELECT id FROM {REGISTRY}", 5)
    assert len(evidence(found)) == 5
    assert "the first 5 rows; there are more (limit = 5)" in found[0].seen
    said = queries.check_query(ops, "SELECT generate_series(1, 5) AS n", 5)[0].seen
    assert said == "5 rows: n: 1; 2; 3; 4; 5"
    with pytest.raises(UsageError, match="at least 1 row"):
        queries.check_query(ops, "SELECT 1", 0)


def test_of_a_large_answer_only_the_first_rows_leave_the_server(ops: Connection) -> None:
    # all of them would take half an hour, and be cancelled
    slowly = f"SELECT id, pg_sleep(0.01) FROM {REGISTRY}"
    assert queries.check_query(ops, slowly, 5)[0].status == "ok"


def test_what_the_server_is_is_asked_once_for_sessions_that_are_alike(ops: Connection) -> None:
    mark = f"alike_{id(ops)}"
    for _ in range(3):
        query(ops, f"SELECT 1 AS {mark}")
    version = (
        "SELECT sum(calls) FROM pg_stat_statements WHERE query ILIKE 'select pg_catalog.version%'"
    )
    before = value(ops, version)
    for _ in range(3):
        query(ops, f"SELECT 1 AS {mark}")
    assert value(ops, version) == before


def test_a_statement_that_is_too_slow_is_cancelled_and_unknown(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "STATEMENT_SECONDS", 1)
    found = queries.check_query(ops, "SELECT pg_sleep(20)")
    assert (found[0].status, found.causes) == ("unknown", set())
    assert "longer than 1 s and was cancelled" in found[0].seen


def test_a_wrong_column_is_told_in_the_databases_own_words(ops: Connection) -> None:
    for ask in (queries.explain_query, queries.check_query):
        with pytest.raises(UsageError, match='column "pagecount" does not exist'):
            ask(ops, f"SELECT pagecount FROM {REGISTRY}")


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ("SELECT 1 WHERE seq = $1", 'column "seq" does not exist'),
        (f"SELECT name FROM {REGISTRY} WHERE seq = $1", "Put a value where each \\$1 stands"),
        (f"SELECT name FROM {REGISTRY} LIMIT $2", "Put a value where each"),
        ("SELECT $1", "Put a value where each"),
        ("SELECT 1 FROM ledger.universal_registri", "Did you mean 'ledger.universal_registry'"),
        (f"SELECT 1 FROM {REGISTRY} WHERE id = 0e98c7e2-1111-4222-8333-444455556666", "quotes"),
        (f"SELECT 1 FROM {REGISTRY} WHERE name = ?", "where a placeholder"),
        (f"SELECT nam FROM {REGISTRY}", "Perhaps you meant .* the column .*name"),
        (f"DELETE FROM {REGISTRY} WHERE seq = 1", "procedure databases/execute"),
    ],
)
def test_a_slip_is_a_usage_error_with_its_remedy(ops: Connection, slip: str, said: str) -> None:
    """Not *unknown*, and no database that may be down."""
    with pytest.raises(UsageError, match=said):
        queries.check_query(ops, slip)


def test_a_table_that_the_targets_own_query_names_and_is_gone_is_a_finding(
    ops: Connection,
) -> None:
    gone = {"title": "Gone", "sql": "SELECT 1 FROM ledger.gone"}
    ops.target.facts["database"]["queries"]["gone"] = gone
    found = queries.check_query(ops, "gone")
    assert (found.worst, found[0].source) == ("unknown", "NotFound")


def test_a_wrong_name_offers_the_nearest(ops: Connection) -> None:
    with pytest.raises(UsageError, match="Did you mean 'spans-by-type'"):
        queries.check_query(ops, "spans-by-typ")


def test_a_plot_of_a_column_that_is_not_answered_is_told(ops: Connection) -> None:
    found = queries.check_query(ops, "spans-by-type")
    evidence(found).attrs["query"] = queries.Query("q", "Q", "SELECT 1", ("entity_type", "spams"))
    with pytest.raises(UsageError, match="no column spams"):
        queries.plot_query(found)


def test_every_kind_of_value_is_shown_and_null_is_empty(ops: Connection) -> None:
    found = queries.check_query(
        ops,
        "SELECT 1 AS a, 2 AS a, gen_random_uuid() AS id, '{\"k\": [1, null]}'::jsonb AS json, "
        "ARRAY[1, 2] AS list, "
        "'\\xff00'::bytea AS bytes, NULL AS nothing, interval '3 days' AS span, 1.50::numeric AS "
        "price, 'NaN'::float8 AS nan, "
        "int4range(1, 5) AS range, ROW(1, 'x') AS row, now() AS at, repeat('x', 100000) AS long, "
        "true AS yes",
    )
    row = evidence(found).iloc[0]
    assert list(row.index[:2]) == ["a", "a (2)"]
    assert (row["a"], row["a (2)"], row["json"], row["list"]) == (
        1,
        2,
        '{"k": [1, null]}',
        "[1, 2]",
    )
    assert (row["bytes"], row["nothing"], row["span"]) == (
        "\\xff00 (2 bytes)",
        None,
        "3 days, 0:00:00",
    )
    assert len(row["id"]) == 36
    assert len(row["long"]) < 2100
    assert row["long"].endswith("… (100,000 characters)")
    assert str(evidence(found)["at"].dtype) == "datetime64[us, UTC]"


def test_whole_numbers_stay_whole_beside_null(ops: Connection) -> None:
    found = queries.check_query(
        ops, "SELECT CASE WHEN n > 1 THEN n END AS n FROM generate_series(1, 3) AS n"
    )
    assert str(evidence(found)["n"].dtype) == "Int64"
    assert "2.0" not in repr(found)


def test_hostile_rows_garble_neither_page_nor_terminal(ops: Connection) -> None:
    found = queries.check_query(
        ops,
        "SELECT chr(27) || '[31m<script>alert(1)</script>' || chr(8238) || E'\\r\\nend' || "
        'chr(155) AS said, 1 AS "<b>"',
    )
    shown = found._repr_mimebundle_()
    assert evidence(found)["said"][0] == "\\x1b[31m<script>alert(1)</script>\\u202e\\r\\nend\\x9b"
    for text in (shown["text/html"], shown["text/plain"]):
        assert not set(text) & {"\x1b", "\u202e", "\r", "\x9b"}
    assert "<script>" not in shown["text/html"]
    assert "<b>" not in shown["text/html"]


def test_a_time_that_python_has_not_is_told_apart_from_no_answer(ops: Connection) -> None:
    with pytest.raises(UsageError, match="Cast it to text"):
        queries.check_query(ops, "SELECT 'infinity'::timestamptz")
    assert queries.check_query(ops, "SELECT 'infinity'::timestamptz::text")[0].status == "ok"


def test_a_database_that_takes_no_login_is_unknown(lab: PracticeLab, ops: Connection) -> None:
    with lab.broken("database-unavailable", KEY):
        left = notebooks.run("databases/query", query="spans-by-type")
        assert "No plan: No answer from database" in queries.explain_query(ops, "spans-by-type")
    assert ([f.status for f in left["ops"].findings], left["ops"].findings.causes) == (
        ["unknown"],
        set(),
    )


def test_the_login_is_in_no_output(ops: Connection) -> None:
    password = ops.secret(ops.target["database"]["secret"])["password"]
    found = queries.check_query(ops, "SELECT * FROM pg_stat_activity")
    with contextlib.suppress(NotFound):
        assert password not in repr(found) + repr(ops.journal.events)


@pytest.fixture
def reader(ops: Connection) -> Iterator[str]:
    """The lab's login that may only read, named by the target's file."""
    facts = ops.target["database"]
    at = ops.secret(facts["secret"])
    login = f"{at['username']}_reader"
    made = {"Name": "practice/reader", "SecretString": json.dumps({**at, "username": login})}
    ops.call("secretsmanager", "create_secret", **made)
    facts["reader_secret"] = "practice/reader"
    yield login
    del facts["reader_secret"]
    gone = {"SecretId": "practice/reader", "ForceDeleteWithoutRecovery": True}
    ops.call("secretsmanager", "delete_secret", **gone)


@pytest.mark.parametrize(
    "act",
    [
        "pg_terminate_backend({0})",
        'U&"pg_\\0074erminate_backend"({0})',
        "(SELECT ndoc FROM ts_stat('SELECT to_tsvector(pg_terminate_backend({0})::text)'))",
        "1 LIMIT pg_terminate_backend/* /* */ */({0})::int",
        "set_config('role', 'postgres', true), pg_terminate_backend({0})",
        "pg_read_file('postgresql.conf')",
        "lo_export(1, '/tmp/never')",
        "pg_reload_conf()",
        "nextval('ledger.practice')",
    ],
)
@pytest.mark.usefixtures("reader")
def test_a_login_for_reads_is_refused_by_the_server_whatever_the_words(
    ops: Connection, act: str
) -> None:
    """Not by a list: the session that would be ended is still there afterwards."""
    with sessions.session(ops, "a session of the application", write=True) as other:
        pid = sessions.run(other, "SELECT pg_backend_pid()").scalar_one()
        asked = f"SELECT {act.format(pid)}"
        try:
            statuses = {found.status for found in queries.check_query(ops, asked)}
        except OpsError as exc:
            statuses = {type(exc).__name__}
        assert statuses <= {"unknown", "NotAllowed", "Refused", "NotFound", "UsageError"}
        assert sessions.run(other, "SELECT 1").scalar_one() == 1


def test_a_login_for_reads_answers_and_cannot_end_the_applications_sessions(
    ops: Connection, reader: str
) -> None:
    found = queries.check_query(ops, f"SELECT count(*) FROM {REGISTRY}")
    assert (found[0].status, found.note) == ("ok", "")
    assert value(ops, "SELECT current_user") == reader


def test_without_a_login_for_reads_it_is_said_what_the_server_does_not_refuse(
    ops: Connection,
) -> None:
    note = queries.check_query(ops, "SELECT 1").note
    assert "does not hold back what login" in note
    assert "end or cancel" in note or "superuser" in note
    assert "database.reader_secret" in note
