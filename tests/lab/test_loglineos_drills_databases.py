"""The drills of the ledger's database.

Each is found where it should be, does what it says, and leaves nothing behind.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from opslib import connect
from opslib import lab as practice
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import value as sql_value
from opslib.core.reads import logs
from opslib.core.times import Window, window
from opslib.databases import activity, health
from opslib.databases.data import statements
from opslib.reports import reports

TARGET = "loglineos-production"


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{TARGET}")


def _lines(ops: Connection, pattern: str, minutes: float = 90) -> list[str]:
    return list(
        logs.search(
            ops, "loader", pattern, Window(ops.now() - timedelta(minutes=minutes), ops.now())
        )["message"]
    )


def _latest(ops: Connection, metric: str) -> float:
    from opslib.core.reads import metrics

    return float(metrics.read(ops, window(ops, 30), [metric])["value"].iloc[-1])


def _sessions(ops: Connection, application: str) -> int:
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND state <> "
        "'idle in transaction'"
    )
    return int(sql_value(ops, sql, {"name": application}) or 0)


@pytest.mark.parametrize("name", ["connections-near-limit", "database-cpu-high"])
def test_a_mended_drill_leaves_no_session(lab: Any, ops: Connection, name: str) -> None:
    held = _sessions(ops, "loglineos-stage0-loader")
    with lab.broken(name, TARGET):
        assert _sessions(ops, "nightly-export") + _sessions(ops, "loglineos-stage0-loader") > held
    assert _sessions(ops, "nightly-export") == 0
    assert _sessions(ops, "loglineos-stage0-loader") == held


def test_the_connections_are_really_open_and_some_requests_get_none(
    lab: Any, ops: Connection
) -> None:
    with lab.broken("connections-near-limit", TARGET):
        assert _sessions(ops, "loglineos-stage0-loader") == 57
        assert _latest(ops, "database-connections") == 57
        assert any(
            "Database connection failed: FATAL: remaining connection slots" in line
            for line in _lines(ops, "ERROR", 15)
        )


def test_the_export_is_at_work_and_named_with_what_it_does(lab: Any, ops: Connection) -> None:
    with lab.broken("database-cpu-high", TARGET):
        found = health.check_load(ops)
        assert _sessions(ops, "nightly-export") == 3
    assert found.evidence is not None
    assert list(found.evidence["application"]) == ["nightly-export"]
    assert "3 sessions at work, 3 of nightly-export" in found[0].seen
    assert found[0].next == "databases/query"


def test_a_full_storage_refuses_logins_and_makes_requests_fail_or_hang(
    lab: Any, ops: Connection
) -> None:
    with lab.broken("database-unavailable", TARGET):
        answer = ops.http("GET", "/health")
        refused, hung = (
            _lines(ops, '"connection refused"', 20),
            _lines(ops, '"Task timed out after 30.00 seconds"', 20),
        )
        checks = (health.check_connections, activity.check_activity, statements.check_statements)
        assert [check(ops).worst for check in checks] == ["unknown"] * 3
        status = health.check_status(ops)
    assert (answer.status, answer.body["database"]) == (503, "disconnected")
    assert refused
    assert hung
    assert "storage-full: its storage is full" in status[0].seen
    assert status[0].next == "databases/storage"


@pytest.mark.slow
def test_without_the_index_a_users_spans_take_seconds(lab: Any, ops: Connection) -> None:
    def slowest() -> float:
        import json

        lines = [
            json.loads(line)
            for line in _lines(ops, '{ $.path = "/spans" && $.method = "GET" }', 30)
        ]
        return float(sorted(line["duration_ms"] for line in lines)[len(lines) // 2])

    usual = slowest()
    with lab.broken("slow-query", TARGET):
        assert 10 * usual < slowest() < 10_000
        assert _latest(ops, "read-latency") > ops.target["metrics"]["read-latency"]["warn"]
        assert _lines(ops, '"Task timed out"', 30) == []


@pytest.mark.slow
def test_the_daily_report_says_which_state_is_denied(
    lab: Any, ops: Connection, records_folder: Any
) -> None:
    with lab.broken("access-denied", TARGET):
        assert reports.daily(ops).findings.causes == {"access-denied"}
    assert practice.status()["broken"] == []
