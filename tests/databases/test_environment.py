"""What libpq takes from the operator's environment does not matter: the target's file counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from opslib import connect
from opslib.core import Connection
from opslib.core.connections.sql import query

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
