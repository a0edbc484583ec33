"""The ledger's database in the lab: its rows and rules, and what PostgreSQL itself says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opslib.lab.estates.loglineos import SYSTEM, application
from opslib.lab.places import Place
from opslib.lab.resources.databases import rds
from opslib.lab.server import opened
from opslib.lab.snapshots import state
from opslib.lab.world import World

TABLE = "ledger.universal_registry"
ROWS = 200_000
DATABASE = SYSTEM.data("production").database
TEXTS = SYSTEM.texts("production")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A lab in this process, with the targets of the repository."""
    with opened(Path(tmp_path_factory.mktemp("lab"))) as world:
        yield world


@pytest.fixture
def place(ledger: World) -> Place:
    found = ledger.place("loglineos-production")
    ledger.use(found)
    return found


@pytest.fixture
def app(place: Place) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the app's, in a transaction that is rolled back."""
    with rds.connect(place, "a test") as connection, connection.transaction(force_rollback=True):
        yield connection


def one(connection: psycopg.Connection[Any], query: Any, *parameters: Any) -> Any:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


@pytest.mark.slow
def test_the_rows_of_thirty_days_are_there(app: psycopg.Connection[Any], place: Place) -> None:
    rows, first, last = one(app, f"SELECT count(*), min(at), max(at) FROM {TABLE}")
    start = place.world.started
    assert rows == ROWS
    assert start - timedelta(days=30, minutes=1) < first < start - timedelta(days=29)
    assert start - timedelta(minutes=5) < last <= start
    kinds = dict(app.execute(f"SELECT entity_type, count(*) FROM {TABLE} GROUP BY 1").fetchall())
    assert max(kinds, key=lambda kind: kinds[kind]) == "execution"
    assert {"span", "file", "function", "policy", "agent"} < set(kinds)
    failed = one(
        app, f"SELECT count(*) FROM {TABLE} WHERE entity_type = 'execution' AND status = 'error'"
    )
    assert 0 < failed < kinds["execution"] / 50
    assert one(app, f"SELECT count(DISTINCT tenant_id) FROM {TABLE}") == 12


@pytest.mark.slow
def test_the_timeline_shows_what_is_not_deleted(app: psycopg.Connection[Any]) -> None:
    shown, deleted = one(
        app,
        f"SELECT (SELECT count(*) FROM ledger.visible_timeline), (SELECT count(*) FROM {TABLE} "
        "WHERE is_deleted)",
    )
    assert shown + deleted == ROWS
    assert deleted > 0
    row = one(app, "SELECT id FROM ledger.visible_timeline ORDER BY at DESC LIMIT 1")
    assert app.execute(f"UPDATE {TABLE} SET is_deleted = true WHERE id = %s", [row]).rowcount == 1
    assert one(app, "SELECT count(*) FROM ledger.visible_timeline WHERE id = %s", row) == 0


@pytest.mark.parametrize(
    "statement",
    [
        f"DELETE FROM {TABLE} WHERE entity_type = 'policy'",
        f"UPDATE {TABLE} SET who = 'somebody else' WHERE entity_type = 'policy'",
        f"UPDATE {TABLE} SET is_deleted = true, payload = NULL WHERE entity_type = 'policy'",
        f"TRUNCATE {TABLE}",
    ],
)
def test_the_database_itself_refuses_to_change_what_was_written(
    app: psycopg.Connection[Any], statement: str
) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match=r"^ledger is append-only: "):
        app.execute(statement)


def test_an_index_serves_each_statement_of_the_app(app: psycopg.Connection[Any]) -> None:
    owner, found = one(app, f"SELECT owner_id, id FROM {TABLE} WHERE NOT is_deleted LIMIT 1")
    asked = {
        TEXTS.statements["spans_of_owner"]: ("universal_registry_owner_at", [owner, 20]),
        TEXTS.statements["spans_of_owner_and_type"]: (
            "universal_registry_owner_at",
            [owner, "execution", 20],
        ),
        TEXTS.statements["span_of_owner"]: ("universal_registry_", [owner, found]),
        TEXTS.statements["children"]: ("universal_registry_parent", [found]),
    }
    for statement, (index, parameters) in asked.items():
        plan = json.dumps(one(app, f"EXPLAIN (FORMAT json) {statement}", *parameters))
        assert f'"Index Name": "{index}' in plan, plan
        assert "Seq Scan" not in plan
    app.execute("DROP INDEX ledger.universal_registry_owner_at")
    of_owner = TEXTS.statements["spans_of_owner"]
    plan = json.dumps(one(app, f"EXPLAIN (FORMAT json) {of_owner}", owner, 20))
    assert "Seq Scan" in plan


def test_the_statistics_count_what_the_app_asks_in_its_own_words(place: Place) -> None:
    counted = (
        "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements WHERE query LIKE "
        "'%%owner_id = $1 ORDER BY at%%'"
    )
    with place.database("loglineos_production") as connection:
        before = one(connection, counted)
        place.memory.pop("statements at", None)
        application.tick(place, place.now())
        assert one(connection, counted) > before
        busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        assert one(connection, busy, DATABASE.application) == DATABASE.pool


def test_ticking_and_reading_the_state_change_nothing(place: Place) -> None:
    before = state(place)
    place.memory.pop("statements at", None)
    application.tick(place, place.now())
    assert state(place) == before
    assert before["sql"]["loglineos_production"][TABLE][0] == ROWS


@pytest.mark.slow
def test_a_changed_row_shows_in_the_state(place: Place) -> None:
    before = state(place)
    with rds.connect(place) as connection:
        flag = (
            f"UPDATE {TABLE} SET is_deleted = NOT is_deleted WHERE id = (SELECT id FROM "
            f"{TABLE} ORDER BY at LIMIT 1)"
        )
        connection.execute(flag)
        after = state(place)
        assert after["sql"]["loglineos_production"][TABLE][0] == ROWS
        assert after["sql"] != before["sql"]
        connection.execute(flag)
        assert state(place) == before
        connection.execute(f"ALTER TABLE {TABLE} ADD COLUMN more integer DEFAULT 1")
        assert state(place)["sql"] != before["sql"]
        connection.execute(f"ALTER TABLE {TABLE} DROP COLUMN more")
    assert state(place) == before


def test_a_migration_comes_and_goes(place: Place) -> None:
    before = state(place)
    with rds.connect(place) as connection:
        migrations = TEXTS.migrations
        assert migrations is not None
        assert migrations.current(connection) == migrations.head == "0007"
        assert [each.name for each in migrations.pending(connection, migrations.next)] == ["0008"]
        assert migrations.upgrade(connection, migrations.next) == ("0007", "0008")
        assert migrations.pending(connection, migrations.next) == []
        migrations.downgrade(connection, migrations.head)
        migrations = TEXTS.migrations
        assert migrations is not None
        assert migrations.current(connection) == "0007"
    assert state(place) == before


def test_sessions_beyond_the_limit_are_turned_away(place: Place) -> None:
    free = place.facts["database"]["max_connections"] - DATABASE.pool
    held = [rds.connect(place, "a test") for _ in range(free)]
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        rds.connect(place, "a test")
    for connection in held:
        connection.close()


def test_the_instance_and_its_secret_are_as_the_target_says(place: Place) -> None:
    facts, rds = place.facts["database"], place.client("rds")
    found = rds.describe_db_instances(DBInstanceIdentifier=facts["instance"])["DBInstances"][0]
    assert (found["DBInstanceClass"], found["MultiAZ"], found["StorageType"]) == (
        "db.r6g.xlarge",
        True,
        "gp3",
    )
    assert (found["BackupRetentionPeriod"], found["DeletionProtection"]) == (
        facts["backup_days"],
        True,
    )
    assert found["PreferredMaintenanceWindow"] == "sun:06:00-sun:06:30"
    snapshots = rds.describe_db_snapshots(DBInstanceIdentifier=facts["instance"])["DBSnapshots"]
    assert len(snapshots) == facts["backup_days"]
    value = place.client("secretsmanager").get_secret_value(SecretId=facts["secret"])[
        "SecretString"
    ]
    assert set(json.loads(value)) == {"host", "port", "username", "password", "database"}
