"""What libpq takes from the operator's environment does not matter: the target's file counts."""

from __future__ import annotations

import os

import pytest

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
