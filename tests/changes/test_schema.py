"""A database's own schema is remembered: what is changed by hand, not what a migration does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from opslib import changes, connect, databases
from opslib.changes import resources
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from tests.changes.test_configuration import after, kept, remembering  # noqa: F401, the fixture
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"
BY_HAND = {
    "DROP INDEX book_images_book": "database index book_images_book",
    "ALTER TABLE analysis_jobs DROP CONSTRAINT analysis_jobs_status_check": (
        "database table analysis_jobs"
    ),
    "ALTER TABLE listings ALTER price_cents DROP NOT NULL": "database table listings",
    "ALTER TABLE users ALTER id DROP IDENTITY": "database table users",
    "ALTER ROLE CURRENT_USER SET lock_timeout = '1s'": "database role bluemoxon_staging",
}
ROLES = {"admin": 25, "viewer": 50, "editor": 25}


@pytest.fixture
def owner(lab: PracticeLab, records_folder: Any) -> Iterator[psycopg.Connection[Any]]:
    at = connect(TARGET).secret("bluemoxon-staging/database")
    names = {"user": "username", "host": "host", "port": "port", "dbname": "dbname"}
    where = {name: at[key] for name, key in names.items()} | {"password": at["password"]}
    with psycopg.connect(**where, autocommit=True) as database:
        yield database
    lab.reset()


@pytest.fixture
def before(owner: Any, ops: Connection, remembering: None) -> dict[str, Any]:  # noqa: F811
    """What is remembered of it as it is."""
    changes.check_configuration(ops)
    return kept(ops)


@pytest.mark.slow
def test_what_is_changed_by_hand_is_named_and_what_a_migration_changes_is_told(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert after(ops, before, monkeypatch).troubles == []
    for more in (
        "CREATE INDEX by_title ON books (title)",
        "CREATE TABLE exports (id integer)",
        "ALTER TABLE books ADD shelf text, ADD is_lent boolean NOT NULL DEFAULT false",
    ):
        owner.execute(more)
    assert after(ops, before, monkeypatch).troubles == [], "one more takes nothing away"
    owner.execute("ALTER TABLE exports ADD asked_by integer NOT NULL")
    assert after(ops, before, monkeypatch).troubles == [], "all of it is new"
    owner.execute("ALTER TABLE books ADD x int NOT NULL DEFAULT 0")
    owner.execute("ALTER TABLE books ALTER x DROP DEFAULT")
    [one] = after(ops, before, monkeypatch).troubles
    assert "columns.x: was not set, now integer not null" in one.seen, "inserts fail"
    owner.execute("ALTER TABLE books DROP x")
    for statement in BY_HAND:
        owner.execute(statement)
    found = {f.check: f for f in after(ops, before, monkeypatch).troubles}
    assert set(found) == {f"configuration of {name}" for name in BY_HAND.values()}
    assert found["configuration of database index book_images_book"].status == "critical"
    owner.execute("UPDATE alembic_version SET version_num = 'f00d'")
    left = [f.check for f in after(ops, before, monkeypatch).troubles]
    assert left == ["configuration of database role bluemoxon_staging"]
    owner.execute("INSERT INTO alembic_version VALUES ('beef')")
    two = kept(ops)
    owner.execute("DELETE FROM alembic_version WHERE version_num = 'beef'")
    changes.check_configuration(ops)
    assert "migrations" not in str(after(ops, two, monkeypatch).troubles), "heads are merged"
    owner.execute("GRANT SELECT ON books TO PUBLIC")
    owner.execute("DELETE FROM alembic_version")
    found = {f.check: f for f in after(ops, before, monkeypatch).troubles}
    lost = found["configuration of migrations alembic_version"]
    assert lost.seen.startswith("rows: was 1, now 0")
    assert (
        "privileges.PUBLIC: was not set, now SELECT"
        in found["configuration of database table books"].seen
    )
    assert found.keys() >= {f"configuration of {name}" for name in BY_HAND.values()}


@pytest.mark.slow
def test_a_database_that_cannot_be_asked_is_not_compared_and_no_table_is_gone(
    owner: Any,
    ops: Connection,
    lab: PracticeLab,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with lab.denied("secretsmanager:GetSecretValue"):
        found = after(connect(TARGET), before, monkeypatch).troubles
    assert [(f.check, f.status) for f in found] == [("configuration by SQL", "unknown")]


@pytest.mark.slow
def test_rows_that_were_deleted_or_turned_are_told_without_statistics_of_them(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert after(ops, before, monkeypatch).troubles == []
    newest = "SELECT id FROM listings ORDER BY created_at DESC LIMIT 20"
    owner.execute(f"DELETE FROM listings WHERE id IN ({newest})")
    owner.execute("TRUNCATE eval_runbook_jobs")
    owner.execute("UPDATE users SET role = 'admin'")
    rows, values = after(ops, before, monkeypatch).troubles
    assert rows.check == "configuration of database rows bluemoxon-staging/database"
    assert rows.seen.startswith("of.eval_runbook_jobs: was 37, now 0; of.listings: was 48, now 28")
    assert "of.users.role.admin: was 25, now 100" in values.seen


@pytest.mark.slow
def test_rows_that_went_to_an_archive_are_not_gone(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("CREATE TABLE archived_listings AS SELECT * FROM listings ORDER BY id LIMIT 30")
    owner.execute("DELETE FROM listings WHERE id IN (SELECT id FROM archived_listings)")
    assert after(ops, before, monkeypatch).troubles == []
    owner.execute("DELETE FROM archived_listings WHERE id % 2 = 0")
    [found] = after(ops, before, monkeypatch).troubles
    assert found.seen.startswith("of.listings: was 48, now 18")


@pytest.mark.slow
def test_the_oldest_rows_may_go_and_as_many_of_all_ages_may_not(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY created_at) FROM listings"
    owner.execute("BEGIN")
    owner.execute(f"DELETE FROM listings WHERE created_at < ({half})")
    owner.execute("COMMIT")
    assert after(ops, before, monkeypatch).troubles == []
    owner.execute("DELETE FROM listings WHERE id % 2 = 0")
    [found] = after(ops, before, monkeypatch).troubles
    assert found.seen.startswith("of.listings: was 48, now 1")


@pytest.mark.slow
def test_a_column_that_is_alike_in_all_rows_numbers_below_nought_and_another_encoding_are_told(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("UPDATE book_images SET book_id = (SELECT min(id) FROM books)")
    owner.execute("UPDATE books SET value_cents = -value_cents, title = title || '\u00c3\u00a9'")
    found = after(ops, before, monkeypatch).troubles
    said = {f.check.removesuffix(" bluemoxon-staging/database"): f.seen for f in found}
    one = "values.book_images.book_id: was several, now one in all rows"
    assert one in said["configuration of database rows"]
    newest = said["configuration of database columns"]
    assert "of.books.title is of two encodings: was 0, now 100" in newest
    assert "of.books.value_cents is below nought or NaN: was 0, now" in newest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE books SET title = E'\\ufffd' || title WHERE id IN ({newest} 7)", "title is of"),
        ("UPDATE books SET title = title || 'Â£' WHERE id IN ({newest} 7)", "title is of two"),
        ("UPDATE books SET value_cents = -1 WHERE id IN ({newest} 7)", "value_cents is below"),
        ("UPDATE priced SET price = 'NaN' WHERE id IN ({newest} 9)", "is below nought or NaN"),
        ("UPDATE priced SET body = to_jsonb(body::text)", "body is packed twice"),
        ("UPDATE tiers SET allowed = 1", "allowed in the middle"),
    ],
)
def test_some_of_the_newest_rows_that_are_broken_are_told(
    owner: Any,
    ops: Connection,
    remembering: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    said: str,
) -> None:
    """A tenth is enough of what never is so; a table of settings has few rows."""
    of = "id, created_at, 1.5 AS price, json_build_object('a', 1)::jsonb AS body"
    owner.execute(f"CREATE TABLE priced AS SELECT {of} FROM books")
    six = "SELECT n AS id, 2000 AS allowed FROM generate_series(1, 6) n"
    owner.execute(f"CREATE TABLE tiers AS {six}")
    changes.check_configuration(ops)
    known = kept(ops)
    owner.execute(statement.format(newest="SELECT id FROM books ORDER BY created_at DESC LIMIT"))
    [found] = [f for f in after(ops, known, monkeypatch).troubles if "columns" in f.check]
    assert said in found.seen


@pytest.mark.slow
def test_rows_that_something_works_on_need_not_be_filled_yet(
    owner: Any, ops: Connection, before: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch comes at once: all the newest rows wait."""
    owner.execute(
        "INSERT INTO analysis_jobs (id, book_id, status, model, created_at) "
        "SELECT gen_random_uuid(), id, 'queued', 'm', now() FROM books LIMIT 60"
    )
    assert "columns" not in str(after(ops, before, monkeypatch).troubles)


@pytest.mark.slow
def test_newest_rows_that_lack_something_come_twice_or_end_before_they_begin_are_told(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("UPDATE books SET publisher = NULL WHERE id % 5 = 0")
    assert after(ops, before, monkeypatch).troubles == [], "a few"
    owner.execute("UPDATE books SET binding = ' '")
    owner.execute("UPDATE analysis_jobs SET started_at = finished_at, finished_at = started_at")
    owner.execute(
        "INSERT INTO analysis_jobs SELECT gen_random_uuid(), book_id, status, model, attempts, "
        "created_at + interval '1 second', started_at, finished_at FROM analysis_jobs"
    )
    [found] = [f for f in after(ops, before, monkeypatch).troubles if "columns" in f.check]
    for said in ("analysis_jobs.comes once", "started_at is before finished_at", "books.binding"):
        assert said in found.seen
    owner.execute("UPDATE alembic_version SET version_num = 'f00d'")
    assert "columns" not in str(after(ops, before, monkeypatch).troubles), "as a migration does"


@pytest.mark.slow
def test_a_sequence_that_gives_what_is_there_already_is_told(
    owner: Any,
    ops: Connection,
    remembering: None,  # noqa: F811
) -> None:
    assert not [f for f in changes.check_configuration(ops) if "sequences" in f.check]
    owner.execute("SELECT setval('users_id_seq', 3)")
    [found] = [f for f in changes.check_configuration(ops) if "sequences" in f.check]
    assert found.status == "critical"
    assert found.seen.startswith("users_id_seq gives 4 next, and users.id is at 8")


@pytest.mark.slow
def test_values_that_were_lost_or_grew_and_rows_that_went_to_another_are_told(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("UPDATE listings SET source = 'etsy', price_cents = price_cents * 100")
    owner.execute("UPDATE books SET publisher = NULL WHERE id % 2 = 0")
    found = {f.check.split()[3]: f.seen for f in after(ops, before, monkeypatch).troubles}
    assert "of.listings.source.ebay: was 100, now not set" in found["values"]
    assert re.search("empty.books.publisher: was 0, now [45]", found["rows"])
    assert "of.listings.price_cents in the middle: was " in found["columns"]


@pytest.mark.slow
def test_a_kind_of_rows_that_comes_no_more_while_others_do_is_told(
    owner: Any, ops: Connection
) -> None:
    owner.execute(
        "CREATE TABLE visits AS SELECT now() - n * interval '3 hours' AS at, kind "
        "FROM generate_series(0, 200) n, unnest(ARRAY['web', 'phone']) kind"
    )
    assert not [f for f in changes.check_configuration(ops) if "silent" in f.check]
    owner.execute("DELETE FROM visits WHERE kind = 'phone' AND at > now() - interval '5 hours'")
    assert not [f for f in changes.check_configuration(ops) if "silent" in f.check], "a pause"
    owner.execute("DELETE FROM visits WHERE kind = 'phone' AND at > now() - interval '9 hours'")
    [found] = [f for f in changes.check_configuration(ops) if "silent" in f.check]
    assert found.status == "warn"
    assert found.seen.startswith("visits.kind phone: none after ")
    assert "two were never more than 3 h apart" in found.seen


@pytest.mark.slow
def test_no_table_is_gone_that_a_login_s_search_path_leaves_out(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE ON TABLES TO PUBLIC")
    owner.execute("ALTER ROLE CURRENT_USER SET search_path = staging")
    try:
        found = {f.check: f for f in after(ops, before, monkeypatch).troubles}
        settings = {f.check: f for f in databases.check_catalogue(ops)}["settings"]
    finally:
        owner.execute("ALTER ROLE CURRENT_USER RESET search_path")
    assert "search_path=staging" in found["configuration of database role bluemoxon_staging"].seen
    made = found["configuration of database bluemoxon-staging/database"]
    assert "what is made later: was not set" in made.seen
    assert not [name for name in found if " table " in name or " index " in name]
    assert settings.status == "critical"
    assert "leave out public: their tables are there, and not found" in settings.seen


@pytest.mark.slow
def test_times_in_the_future_are_told_by_column(owner: Any, ops: Connection) -> None:
    """Of what was: what is planned is ahead by its nature."""
    planned = "starts_at timestamptz DEFAULT now() + interval '9 days'"
    owner.execute(f"ALTER TABLE listings ADD {planned}, ADD delete_{planned[7:]}")
    owner.execute("UPDATE analysis_jobs SET started_at = now() + interval '50 minutes'")
    assert not [f for f in changes.check_configuration(ops) if "future" in f.check]
    owner.execute("UPDATE analysis_jobs SET started_at = now() + interval '3 hours'")
    [found] = [f for f in changes.check_configuration(ops) if "future" in f.check]
    assert found.status == "warn"
    assert re.match("analysis_jobs.started_at up to 20.*: a clock or a writer is wrong", found.seen)


@pytest.mark.slow
def test_of_what_is_large_or_locked_the_statistics_are_read(owner: Any, ops: Connection) -> None:
    for kind in ("rows", "values", "times"):
        said = resources.table()[f"database {kind}"]["first"][1]
        text = said.replace("256e6", "0").format()
        asked = owner.execute(text).fetchone()[0]
        owner.execute("ANALYZE")
        owner.execute("BEGIN; LOCK users IN ACCESS EXCLUSIVE MODE")
        try:
            assert "users" not in owner.execute(said.format()).fetchone()[0].split("FROM ")
            of = sql.query(ops, asked).iloc[0, 0]
        finally:
            owner.execute("ROLLBACK")
        if kind != "times":
            assert of["users"] == (8 if kind == "rows" else {"role": ROLES})


@pytest.mark.slow
def test_rows_whose_parent_is_gone_and_persons_with_two_rows_are_told(
    owner: Any,
    ops: Connection,
    before: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.execute("ALTER TABLE book_images DROP CONSTRAINT book_images_book_id_fkey")
    some = "SELECT book_id FROM book_images GROUP BY book_id ORDER BY book_id"
    owner.execute(f"DELETE FROM books WHERE id IN ({some} LIMIT 1 OFFSET 9)")
    told = [f.check for f in after(ops, before, monkeypatch).troubles]
    assert told == ["configuration of database table book_images"], "a few"
    owner.execute(f"DELETE FROM books WHERE id IN ({some} LIMIT 12)")
    owner.execute(
        "INSERT INTO users (cognito_sub, email, created_at) "
        "SELECT gen_random_uuid(), upper(email), now() FROM users LIMIT 1"
    )
    found = {f.check: f.seen for f in after(ops, before, monkeypatch).troubles}
    orphans = found["configuration of database orphans bluemoxon-staging/database"]
    assert orphans.startswith("of.book_images.book_id: was not set, now ")
    twins = found["alike of database twins bluemoxon-staging/database"]
    assert twins.startswith("1 of users.email differ in capitals only")


@pytest.mark.slow
def test_a_time_out_of_a_login_that_owns_nothing_is_told(owner: Any, ops: Connection) -> None:
    at = connect(TARGET).secret("bluemoxon-staging/database")
    reader = {"user": f"{at['username']}_reader", "password": at["password"]}
    where = {"host": at["host"], "port": at["port"], "dbname": at["dbname"]}
    with psycopg.connect(**where, **reader, autocommit=True) as session:
        session.execute("SET default_transaction_read_only = off")
        session.execute("ALTER ROLE CURRENT_USER SET statement_timeout = 50")
        try:
            told = {f.check: f for f in databases.check_catalogue(ops)}["settings"]
        finally:
            session.execute("ALTER ROLE CURRENT_USER RESET statement_timeout")
    said = "statement_timeout: under a second for role bluemoxon_staging_reader"
    assert (told.status, said in told.seen) == ("warn", True)
