"""The lab's PostgreSQL: copies and recoveries hold what they should."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from opslib.core.errors import OpsError
from opslib.lab.postgres.postgres import Postgres
from opslib.lab.world import World


@pytest.fixture
def postgres(world: World) -> Iterator[Postgres]:
    """With a database `shop`, owned by `keeper`, that holds three orders."""
    server = world.postgres
    server.create_role("keeper", "a-password")
    server.create_database("shop", "keeper")
    with psycopg.connect(server.url("shop", "keeper", "a-password")) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, what text)")
        connection.execute("INSERT INTO orders SELECT n, 'book' FROM generate_series(1, 3) n")
    yield server
    server.clear()


def orders(postgres: Postgres, name: str) -> Any:
    with psycopg.connect(postgres.url(name, "keeper", "a-password")) as connection:
        return connection.execute("SELECT count(*) FROM orders").fetchone()[0]  # type: ignore[index]


def test_a_copy_is_made_while_others_are_connected(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("shop", "keeper", "a-password")) as other:
        postgres.copy_database("shop", "shop_copy", "keeper")
        other.execute("DELETE FROM orders")
    assert (orders(postgres, "shop"), orders(postgres, "shop_copy")) == (0, 3)


@pytest.mark.slow
def test_a_recovery_brings_back_what_was_deleted(postgres: Postgres) -> None:
    time.sleep(0.01)
    before = datetime.now(UTC)
    time.sleep(0.01)
    with psycopg.connect(postgres.url("shop", "keeper", "a-password")) as connection:
        connection.execute("DELETE FROM orders WHERE id > 1")
    between = datetime.now(UTC)
    postgres.drop_database("shop")
    postgres.recover_database("shop", before, "shop_before", "keeper")
    postgres.recover_database("shop", between, "shop_between", "keeper")
    assert (orders(postgres, "shop_before"), orders(postgres, "shop_between")) == (3, 1)
    assert "shop" not in postgres.databases()


@pytest.mark.slow
def test_a_recovery_to_this_moment_holds_the_last_commit(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url("shop", "keeper", "a-password")) as connection:
        connection.execute("INSERT INTO orders VALUES (4, 'map')")
    postgres.recover_database("shop", datetime.now(UTC), "shop_now", "keeper")
    assert orders(postgres, "shop_now") == 4


@pytest.mark.slow
def test_a_recovery_of_what_was_not_there_leaves_nothing(postgres: Postgres) -> None:
    with pytest.raises(OpsError, match="did not exist at"):
        postgres.recover_database("store", datetime.now(UTC), "store_now", "keeper")
    assert "store_now" not in postgres.databases()
    assert not list(postgres.home.glob("recovery-*"))


def test_a_closed_database_refuses_logins(postgres: Postgres) -> None:
    postgres.allow_connections("shop", False)
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        orders(postgres, "shop")
    postgres.allow_connections("shop", True)
    assert orders(postgres, "shop") == 3
