"""What libpq takes from the operator's environment does not matter: the target's file counts.

Nor do the settings of the database and its role, nor what stands in between.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib import connect
from opslib.core import Connection
from opslib.core.connections import sessions
from opslib.core.connections.sql import execute, query

TARGET = "lab/bluemoxon-staging"
HOSTILE = {
    "PGHOST": "db.example.com",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGSERVICE": "nowhere",
    "PGOPTIONS": "-c nonsense=1",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGDATESTYLE": "German",
    "PGTZ": "Asia/Tokyo",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/no/such/file",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREAUTH": "none",
}


def test_the_environment_of_libpq_does_not_matter(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    sql = "SELECT 'né' AS text, date '2026-11-22' AS day, current_setting('TimeZone') AS zone"
    [found] = query(ops, sql).to_dict("records")
    assert (found["text"], str(found["day"]), found["zone"]) == ("né", "2026-11-22", "UTC")
    assert "PGHOSTADDR" not in os.environ


@pytest.fixture
def role_of_elsewhere(ops: Connection) -> Iterator[None]:
    """A role whose sessions write dates as people in Germany do."""
    settings = {
        "datestyle": "'German, DMY'",
        "intervalstyle": "'iso_8601'",
        "timezone": "'Asia/Tokyo'",
    }
    for name, value in settings.items():
        execute(ops, f"ALTER ROLE CURRENT_USER SET {name} = {value}", {}, -1)
    yield
    for name in settings:
        execute(ops, f"ALTER ROLE CURRENT_USER RESET {name}", {}, -1)


@pytest.mark.usefixtures("role_of_elsewhere")
def test_values_are_read_however_the_role_would_write_them(ops: Connection) -> None:
    sql = "SELECT timestamptz '2026-11-22 03:04Z' AS time, interval '1 day 2 hours' AS long"
    [found] = query(ops, sql).to_dict("records")
    assert (str(found["time"]), str(found["long"])) == (
        "2026-11-22 03:04:00+00:00",
        "1 days 02:00:00",
    )


def test_a_session_takes_no_settings_at_its_start_and_keeps_none(ops: Connection) -> None:
    """A pooler (RDS Proxy, PgBouncer) refuses those, and gives the session to others."""
    ask = "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')"
    with sessions.session(ops, "what it is set to") as session:
        raw = session.connection.driver_connection
        assert "options" not in raw.info.get_parameters()
        assert tuple(sessions.run(session, ask).one()) == ("on", "1min")
        session.rollback()
        assert raw.execute(ask).fetchone() == ("off", "0")
        raw.rollback()
        assert tuple(sessions.run(session, ask).one()) == ("on", "1min")


def test_the_lab_is_reached_whatever_the_operator_has_set(
    ops: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile nobody\n")
    hostile = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "nobody",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "NO_PROXY": "",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    reached = connect(TARGET)
    assert reached.identity == ops.identity
    assert reached.call("sqs", "list_queues")["QueueUrls"]
    assert reached.http("GET", "/health/live").ok
