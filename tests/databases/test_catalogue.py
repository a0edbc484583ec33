"""PostgreSQL's own catalogue: what is wrong in it is named, and what only looks so is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, OpsError, Unfinished
from opslib.core.findings import Finding
from opslib.core.strict_yaml import beside
from opslib.core.tables import frame
from opslib.databases import activity, catalogue

TARGET = "lab/bluemoxon-staging"
NOTHING = "CREATE FUNCTION probe.f() RETURNS trigger LANGUAGE plpgsql AS 'begin return null; end';"


@pytest.fixture(scope="module")
def owner(lab: Any) -> Iterator[psycopg.Connection[Any]]:
    """The app's role, in a schema of these tests' own."""
    from opslib import connect

    at = connect(TARGET).secret("bluemoxon-staging/database")
    names = {"user": "username", "host": "host", "port": "port", "dbname": "dbname"}
    where = {name: at[key] for name, key in names.items()} | {"password": at["password"]}
    with contextlib.closing(psycopg.connect(**where, autocommit=True)) as database:
        yield database


@pytest.fixture
def schema(owner: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    owner.execute("CREATE SCHEMA probe")
    yield owner
    owner.execute("DROP SCHEMA probe CASCADE")


def bad(ops: Connection) -> dict[str, Finding]:
    return {f.check: f for f in catalogue.check_catalogue(ops) if f.status != "ok"}


def test_a_healthy_database_has_one_line_that_says_what_was_asked(ops: Connection) -> None:
    found = catalogue.check_catalogue(ops)
    assert [f.status for f in found] == ["ok"]
    assert all(fact.asked.words in found[0].seen for fact in catalogue.facts().values())


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        ("CREATE TABLE probe.t (id serial); SELECT setval('probe.t_id_seq', 2000000000)", "93.1 %"),
        (  # an int4 column behind a sequence that knows no such end
            "CREATE SEQUENCE probe.s; CREATE TABLE probe.t (id int DEFAULT nextval('probe.s'));"
            "SELECT setval('probe.s', 2000000000)",
            "the end of its column probe.t.id",
        ),
        (
            "CREATE SEQUENCE probe.s INCREMENT -1 MINVALUE -100; SELECT setval('probe.s', -95)",
            "at -95 of -100",
        ),
        ("CREATE SEQUENCE probe.s AS smallint; SELECT setval('probe.s', 32000)", "97.7 %"),
    ],
)
def test_a_sequence_near_its_end_is_the_cause(
    ops: Connection, schema: Any, make: str, seen: str
) -> None:
    schema.execute(make)
    found = bad(ops)["sequences"]
    assert (found.status, found.cause) == ("critical", "sequence-near-end")
    assert seen in found.seen


@pytest.mark.parametrize(
    "make",
    [
        "CREATE TABLE probe.t (id bigserial); SELECT setval('probe.t_id_seq', 2000000000)",
        "CREATE SEQUENCE probe.s MAXVALUE 100 CYCLE; SELECT setval('probe.s', 99)",
        "CREATE SEQUENCE probe.s MAXVALUE 100; SELECT setval('probe.s', 60)",
    ],
)
def test_a_sequence_with_room_or_that_begins_again_is_well(
    ops: Connection, schema: Any, make: str
) -> None:
    schema.execute(make)
    assert bad(ops) == {}


def test_an_index_that_broke_off_while_it_was_made_is_the_cause(
    ops: Connection, schema: Any
) -> None:
    schema.execute("CREATE TABLE probe.t AS SELECT 1 AS a FROM generate_series(1, 2)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        schema.execute("CREATE UNIQUE INDEX CONCURRENTLY twice ON probe.t (a)")
    found = bad(ops)["invalid indexes"]
    assert (found.status, found.cause) == ("warn", "index-invalid")
    assert "probe.twice: on probe.t, unique: not held" in found.seen


def test_a_view_that_holds_nothing_yet_is_told(ops: Connection, schema: Any) -> None:
    schema.execute("CREATE MATERIALIZED VIEW probe.m AS SELECT 1 WITH NO DATA")
    found = bad(ops)["settings"]
    assert (found.status, "probe.m holds nothing yet" in found.seen) == ("warn", True)


@pytest.mark.parametrize(("room", "status"), [(1, "critical"), (500, None)])
def test_connections_that_near_the_limit_of_the_database_s_own_are_told(
    ops: Connection, owner: psycopg.Connection[Any], room: int, status: str | None
) -> None:
    taken = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    ((many,),) = owner.execute(taken).fetchall()
    limit = f'ALTER DATABASE "{owner.info.dbname}" CONNECTION LIMIT '
    owner.execute(f"{limit}{many + room}".encode())
    try:
        found = bad(ops).get("connections that a role or database may have")
    finally:
        owner.execute(f"{limit}-1".encode())
    assert (found and found.status) == status
    assert found is None or found.cause == "connections-near-limit"


def test_a_trigger_that_was_left_disabled_is_told(ops: Connection, schema: Any) -> None:
    schema.execute(
        "CREATE FUNCTION probe.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TABLE probe.t (a int);"
        "CREATE TRIGGER g AFTER INSERT ON probe.t EXECUTE FUNCTION probe.f();"
        "ALTER TABLE probe.t DISABLE TRIGGER g"
    )
    assert bad(ops)["triggers"].seen.startswith("probe.t: disabled: g")


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("does", "seen"),
    [
        (
            "CREATE RULE quiet AS ON INSERT TO probe.t DO INSTEAD NOTHING",
            "rule quiet answers each INSERT into probe.t with nothing",
        ),
        (
            "ALTER TABLE probe.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            "see a row of probe.t",
        ),
        (
            "ALTER TABLE probe.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY none ON probe.t USING (false);"
            "CREATE POLICY others ON probe.t TO pg_write_server_files USING (true);"
            "CREATE POLICY adds ON probe.t FOR INSERT WITH CHECK (true)",
            "see a row of probe.t",
        ),
        (
            f"{NOTHING}CREATE TRIGGER gulp BEFORE INSERT ON probe.t FOR EACH ROW "
            "EXECUTE FUNCTION probe.f()",
            "trigger gulp takes away each row of INSERT into probe.t",
        ),
        (
            f"{NOTHING}CREATE TRIGGER told AFTER INSERT ON probe.t FOR EACH ROW "
            "EXECUTE FUNCTION probe.f()",
            "",
        ),
        ("REVOKE INSERT ON probe.t FROM current_user", "may not add to probe.t: it was revoked"),
        (
            "CREATE SEQUENCE probe.s; REVOKE ALL ON SEQUENCE probe.s FROM current_user",
            "may not add to probe.s: it was revoked",
        ),
        ("REVOKE UPDATE, DELETE ON probe.t FROM current_user", ""),
        ("CREATE MATERIALIZED VIEW probe.m AS SELECT 1", ""),
        ("CREATE RULE kept AS ON DELETE TO probe.t DO INSTEAD NOTHING", ""),
        ("CREATE RULE few AS ON INSERT TO probe.t WHERE NEW.a < 0 DO INSTEAD NOTHING", ""),
        (
            "ALTER TABLE probe.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY own ON probe.t USING (true)",
            "",
        ),
    ],
)
def test_rows_that_are_swallowed_or_that_their_owner_cannot_see_or_add_are_critical(
    ops: Connection, schema: Any, does: str, seen: str
) -> None:
    schema.execute(f"CREATE TABLE probe.t (a int); {does}")
    found = bad(ops).get("settings")
    assert (found is not None) == bool(seen)
    assert found is None or (found.status == "critical" and seen in found.seen)


@pytest.mark.parametrize(
    ("does", "seen"),
    [
        (
            "ALTER TABLE probe.t ENABLE ROW LEVEL SECURITY",
            "whoever is not their owner sees no row of probe.t",
        ),
        ("ALTER TABLE probe.t SET UNLOGGED", "probe.t is UNLOGGED: empty after a crash"),
        ("ALTER TABLE probe.t DROP CONSTRAINT t_pkey", "probe.t has no unique index over its id"),
        (
            "ALTER TABLE probe.t ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY own ON probe.t USING (current_user = 'app')",
            "",
        ),
        ("ALTER TABLE probe.t DROP CONSTRAINT t_pkey, ADD UNIQUE (id)", ""),
        ("CREATE TABLE probe.log (at timestamptz, line text)", ""),
    ],
)
def test_a_table_whose_rows_are_not_kept_or_not_seen_as_others_are_is_a_warning(
    ops: Connection, schema: Any, does: str, seen: str
) -> None:
    schema.execute(
        f"CREATE TABLE probe.t (id int PRIMARY KEY); INSERT INTO probe.t VALUES (1); {does}"
    )
    found = bad(ops).get("settings")
    assert (found is not None) == bool(seen)
    assert found is None or (found.status == "warn" and seen in found.seen)


def test_a_database_that_was_set_to_refuse_writes_is_critical(
    ops: Connection, owner: psycopg.Connection[Any]
) -> None:
    name = owner.info.dbname
    owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
    try:
        found = bad(ops)["settings"]
    finally:
        owner.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
    assert found.status == "critical"
    assert "writes are refused" in found.seen


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("setting", "value", "seen"),
    [
        ("statement_timeout", "5ms", True),
        ("statement_timeout", "900", True),
        ("statement_timeout", "30s", False),
        ("lock_timeout", "1ms", True),
        ("lock_timeout", "5s", False),
        ("idle_in_transaction_session_timeout", "1s", True),
        ("idle_in_transaction_session_timeout", "60s", False),
        ("work_mem", "64kB", True),
        ("idle_session_timeout", "500ms", True),
        ("idle_session_timeout", "10min", False),
        ("synchronous_commit", "off", True),
        ("synchronous_commit", "local", False),
        ("work_mem", "16MB", False),
    ],
)
def test_a_time_out_that_cancels_ordinary_statements_is_a_warning(
    ops: Connection, owner: psycopg.Connection[Any], setting: str, value: str, seen: bool
) -> None:
    name = owner.info.dbname
    owner.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'".encode())
    try:
        found = bad(ops).get("settings")
    finally:
        owner.execute(f'ALTER DATABASE "{name}" RESET {setting}'.encode())
    assert (found is not None and setting in found.seen) == seen


def test_a_table_that_its_owner_may_not_read_any_more_is_critical(
    ops: Connection, schema: Any
) -> None:
    schema.execute("CREATE TABLE probe.t (a int); REVOKE SELECT ON probe.t FROM CURRENT_USER")
    found = bad(ops)["settings"]
    assert found.status == "critical"
    assert "may not read probe.t" in found.seen


def test_a_table_whose_autovacuum_is_off_is_told(ops: Connection, schema: Any) -> None:
    schema.execute("CREATE TABLE probe.t (a int) WITH (autovacuum_enabled = false)")
    assert "autovacuum: is off for probe.t" in bad(ops)["settings"].seen


def test_dead_rows_that_nobody_vacuums_are_a_warning_until_they_are_vacuumed(
    ops: Connection, schema: Any
) -> None:
    schema.execute(
        "CREATE TABLE probe.t (a int) WITH (autovacuum_enabled = false);"
        "INSERT INTO probe.t SELECT generate_series(1, 12000)"
    )
    schema.execute("DELETE FROM probe.t")
    schema.execute("SELECT pg_stat_force_next_flush()")
    schema.execute("SELECT 1")
    seen = bad(ops)["dead rows"].seen
    assert "probe.t: 12000 dead rows" in seen
    assert "autovacuum is off for it" in seen
    schema.execute("VACUUM probe.t")
    schema.execute("SELECT pg_stat_force_next_flush()")
    assert "dead rows" not in bad(ops)


@pytest.mark.parametrize(
    ("value", "warn", "critical", "status"),
    [
        (6e8, 5e8, 1e9, "warn"),
        (2e9, 5e8, 1e9, "critical"),
        (55, 5e8, 1e9, "ok"),
        (0, 0, 1e10, "warn"),  # a slot that nobody reads, however little it holds
        (1, None, 1, "critical"),
        (1e9, None, None, "ok"),
    ],
)
def test_a_value_is_judged_by_the_thresholds_that_its_query_gives(
    value: float, warn: float | None, critical: float | None, status: str
) -> None:
    columns = dict(
        zip(catalogue.CATALOGUE, ("xids", "app", value, warn, critical, "x"), strict=True)
    )
    rows = [*frame([columns], catalogue.CATALOGUE).itertuples()]
    assert catalogue._judged(catalogue.facts()["xids"], rows).status == status


def test_what_this_server_cannot_answer_is_unknown_and_the_rest_is_judged(
    ops: Connection, schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema.execute("CREATE SEQUENCE probe.s AS smallint; SELECT setval('probe.s', 32000)")
    slots = catalogue.facts()["slots"]._replace(sql="SELECT aurora_has_no_wal(), 1, 1, 1, ''")
    monkeypatch.setitem(catalogue.facts(), "slots", slots)
    found = bad(ops)
    assert {f.check: f.status for f in found.values()} == {
        "replication slots": "unknown",
        "sequences": "critical",
    }


def test_what_the_login_may_not_see_is_unknown_once(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    less = "SELECT 'app' AS login, false AS monitors, 2 AS hidden"
    monkeypatch.setitem(beside(catalogue.__file__, "catalogue"), "visible", less)
    found = bad(ops)
    assert {f.status for f in found.values()} == {"unknown"}
    assert len(found) == 1
    assert "lacks pg_monitor" in found[catalogue._SEEN.words].seen
    assert "SELECT on 2 sequences" in found[catalogue._SEEN.words].seen


@pytest.mark.parametrize("error", [Unfinished("No answer"), NotAllowed("does not accept")])
def test_a_database_that_does_not_answer_is_unknown_once(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, error: OpsError
) -> None:
    def silent(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(catalogue, "ask", silent)
    assert [f.status for f in catalogue.check_catalogue(ops)] == ["unknown"]


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("/* nightly */ VACUUM", "ok"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON probe.t (a)", "ok"),
        ("SELECT 1 /* vacuum */", "warn"),
    ],
)
def test_maintenance_that_takes_long_is_well_while_nobody_waits(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, statement: str, status: str
) -> None:
    known = activity._ACTIVITY_SQL
    running = "(SELECT 7 AS pid, 'psql' AS application_name, 'active' AS state, now() - interval "
    running += "'66 s' AS query_start, now() - interval '66 s' AS xact_start, now() AS "
    running += "backend_start, current_database() AS datname, NULL AS wait_event, "
    running += "NULL AS wait_event_type, 'client backend' AS backend_type, "
    running += f"'{statement}'::text AS query) a"
    changed = known.replace("FROM pg_stat_activity a", f"FROM {running}")
    monkeypatch.setattr(activity, "_ACTIVITY_SQL", changed)
    assert activity.check_activity(ops).worst == status


def test_sessions_of_one_client_that_nobody_uses_are_counted(
    ops: Connection, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = owner.info
    given = {"host": at.host, "port": at.port, "dbname": at.dbname, "user": at.user}
    with contextlib.ExitStack() as held:
        for _ in range(6):
            made = psycopg.connect(**given, password=at.password, application_name="leak")
            held.callback(made.close)
            made.execute("SELECT 1")  # and never commits
        assert "sessions that nobody uses" not in bad(ops), "nor is a transaction just begun"
        fact = catalogue.facts()["unused"]
        soon = fact._replace(sql=fact.sql.replace("5 minutes", "0 minutes"))
        monkeypatch.setattr(catalogue, "facts", lambda: {"unused": soon})
        found = bad(ops)["sessions that nobody uses"]
    assert (found.status, found.cause, found.next) == (
        "warn",
        "connections-near-limit",
        "databases/sessions",
    )
    assert f"leak of {at.user}: 6 sessions idle in transaction at " in found.seen
