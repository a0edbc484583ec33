"""Databases.

Reads that cannot write, changes that affect what was planned, and whether the database serves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jmespath
import pytest

from opslib import OpsError, Refused, UsageError
from opslib.core.connections import addresses, sessions, sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.errors import LoginRefused, NotAllowed, NotFound, Unfinished
from opslib.core.reads import metrics
from opslib.core.tables import frame
from opslib.databases import activity, health
from tests import notebooks
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"
NEAR = "connections-near-limit"


def with_secret(ops: Connection, monkeypatch: pytest.MonkeyPatch, secret: Any) -> Connection:
    monkeypatch.setattr(ops, "secret", lambda name: secret)
    return ops


def login(ops: Connection) -> dict[str, Any]:
    found: dict[str, Any] = ops.secret(ops.target["database"]["secret"])
    return found


def test_a_query_answers_a_table_with_declared_columns_also_when_empty(ops: Connection) -> None:
    columns = {"id": "int64", "created_at": "datetime64[us, UTC]"}
    found = sql.query(
        ops, "SELECT id, created_at FROM books WHERE id < :id ORDER BY id", columns, id=473
    )
    assert list(found["id"]) == [470, 471, 472]
    assert str(found["created_at"].dtype) == "datetime64[us, UTC]"
    empty = sql.query(ops, "SELECT id, created_at FROM books WHERE id < :id", columns, id=0)
    assert {name: str(dtype) for name, dtype in empty.dtypes.items()} == columns


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM books RETURNING id",
        "UPDATE books SET title = 'x' RETURNING id",
        "WITH gone AS (DELETE FROM listings RETURNING id) SELECT * FROM gone",
        "SELECT nextval(pg_get_serial_sequence('users', 'id'))",
    ],
)
def test_the_database_itself_refuses_a_write_in_a_read(
    ops: Connection, lab: PracticeLab, statement: str
) -> None:
    before = lab.state()["sql"]
    with pytest.raises(Refused, match=r"read-only.*Nothing was changed"):
        sql.query(ops, statement)
    assert lab.state()["sql"] == before


@pytest.mark.parametrize("statement", ["COMMIT; DELETE FROM listings", "SELECT 1; SELECT 2"])
def test_a_read_is_one_statement(ops: Connection, lab: PracticeLab, statement: str) -> None:
    before = lab.state()["sql"]
    with pytest.raises(UsageError, match="One statement at a time"):
        sql.query(ops, statement)
    assert lab.state()["sql"] == before


def test_the_session_cannot_be_made_writable_for_the_next_one(ops: Connection) -> None:
    sql.query(ops, "SELECT set_config('default_transaction_read_only', 'off', false)")
    with pytest.raises(Refused):
        sql.query(ops, "DELETE FROM listings RETURNING id")


def test_more_rows_than_the_limit_are_said(
    ops: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(sql.query(ops, "SELECT * FROM generate_series(1, 10001)")) == sql.ROW_LIMIT
    assert "Only the first 10,000 rows are shown" in capsys.readouterr().out


def test_a_session_says_who_asks(ops: Connection) -> None:
    assert sql.value(ops, "SHOW application_name") == "opslib/operator"
    assert sql.value(ops, "SHOW statement_timeout") == "1min"


@pytest.mark.parametrize(
    "scheme", ["postgresql+asyncpg", "postgres", "postgresql", "postgresql+psycopg2"]
)
def test_a_secret_that_is_a_url_of_any_flavour_is_understood(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    at = login(ops)
    text = f"{scheme}://{at['username']}:{at['password']}@{at['host']}:{at['port']}/{at['dbname']}?prepared_statement_cache_size=0"
    assert sql.value(with_secret(ops, monkeypatch, text), "SELECT 1") == 1
    assert sql.value(with_secret(ops, monkeypatch, {"DATABASE_URL": text}), "SELECT 1") == 1


def test_a_connection_that_leaves_the_machine_is_encrypted() -> None:
    assert (
        addresses.url("postgresql+asyncpg://u:p@db.example.com/app", "s").query["sslmode"]
        == "require"
    )
    assert "sslmode" not in addresses.url("postgres://u:p@127.0.0.1:5432/app", "s").query


@pytest.mark.parametrize("secret", [{"host": "127.0.0.1"}, "mysql://u:hunter22@h/d"])
def test_a_secret_that_is_no_database_is_named_but_not_shown(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, secret: Any
) -> None:
    with pytest.raises(
        OpsError, match="Secret 'bluemoxon-staging/database' does not describe a PostgreSQL"
    ) as error:
        sql.query(with_secret(ops, monkeypatch, secret), "SELECT 1")
    assert "hunter22" not in str(error.value)
    assert [f.status for f in health.check_connections(ops)] == ["unknown"]  # the rest goes on


def test_practice_never_asks_another_machine(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = login(ops) | {"host": "bluemoxon-staging.cluster-x.us-west-2.rds.amazonaws.com"}
    with pytest.raises(Refused, match="is practice"):
        sql.query(with_secret(ops, monkeypatch, elsewhere), "SELECT 1")


@pytest.mark.parametrize(
    ("instead", "error", "says"),
    [
        ({"port": 1}, Unfinished, r"127.0.0.1:1.*outside its network"),
        ({"password": "wrong-password"}, LoginRefused, "Was the password rotated"),
        ({"dbname": "nowhere"}, NotFound, "database: in parameters/targets/"),
    ],
)
def test_why_there_is_no_session_is_told_apart(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    instead: dict[str, Any],
    error: type[OpsError],
    says: str,
) -> None:
    with pytest.raises(error, match=says) as raised:
        sql.query(with_secret(ops, monkeypatch, login(ops) | instead), "SELECT 1")
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT * FROM pamphlets", NotFound),
        ("SELECT pagecount FROM books", UsageError),
        ("SELEC 1", UsageError),
        ("SELECT rolpassword FROM pg_authid", NotAllowed),
        ("COMMIT", UsageError),
    ],
)
def test_what_the_database_says_no_to_is_told_apart(
    ops: Connection, statement: str, error: type[OpsError]
) -> None:
    with pytest.raises(error) as raised:
        sql.query(ops, statement)
    assert type(raised.value) is error


def test_a_query_that_takes_too_long_is_cancelled(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "STATEMENT_SECONDS", 1)
    with pytest.raises(Unfinished, match="longer than 1 s and was cancelled"):
        sql.query(ops, "SELECT pg_sleep(5)")


def test_a_change_of_another_number_of_rows_is_rolled_back(
    ops: Connection, lab: PracticeLab
) -> None:
    before = lab.state()["sql"]
    with pytest.raises(OpsError, match=r"3 rows would have been changed instead of 2.*rolled back"):
        sql.execute(ops, "UPDATE books SET title = 'x' WHERE id < :id", {"id": 473}, 2)
    assert lab.state()["sql"] == before


def test_a_change_of_the_expected_rows_is_committed(ops: Connection, lab: PracticeLab) -> None:
    before = lab.state()["sql"]
    sets = [{"id": 470, "by": 1}, {"id": 471, "by": 1}]
    statement = "UPDATE books SET value_cents = value_cents + :by WHERE id = :id"
    assert sql.execute(ops, statement, sets, 2) == {"rows": 2}
    assert lab.state()["sql"] != before
    sql.execute(ops, statement, [each | {"by": -1} for each in sets], 2)
    assert lab.state()["sql"] == before


def test_every_query_is_recorded_without_its_values(ops: Connection) -> None:
    sql.query(ops, "SELECT id FROM users WHERE email = :email", email="someone@example.com")
    calls = [e for e in ops.journal.events if e.get("service") == "postgresql"]
    assert calls[-1]["operation"] == "SELECT id FROM users WHERE email = :email"
    assert "someone@example.com" not in json.dumps(calls)


def test_a_database_that_is_well_names_no_cause(ops: Connection) -> None:
    left = notebooks.run("databases/health")
    assert (left["ops"].findings.worst, left["ops"].findings.causes) == ("ok", set())


@pytest.mark.slow
def test_connections_near_the_limit_are_found_with_who_holds_them(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken(NEAR):
        found = health.check_connections(ops)
        assert (found.worst, found.causes) == ("critical", {NEAR})
        assert "86 of 100 (86 %); 86 are idle and held by bluemoxon-api" in found[0].seen
        assert list(found.evidence.columns) == list(health.SESSIONS)
        assert notebooks.run("databases/health")["ops"].findings.causes == {NEAR}
    assert health.check_connections(ops).causes == set()


def test_being_turned_away_for_want_of_a_connection_is_the_same_cause(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise Unfinished("No connection is free for …: FATAL:  sorry, too many clients already")

    monkeypatch.setattr(sql, "query", full)
    found = health.check_connections(ops)
    assert (found.worst, found.causes) == ("critical", {NEAR})


def test_an_unreachable_database_is_unknown_and_names_no_cause(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secret(ops, monkeypatch, login(ops) | {"port": 1})
    for check in (health.check_connections, activity.check_activity):
        found = check(ops)
        assert ([f.status for f in found], found.causes) == (["unknown"], set())


def with_status(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, status: str, **more: Any
) -> Connection:
    """RDS describes the cluster's instance with this status."""
    call, pages = ops.call, ops.pages

    def answer(service: str, operation: str, /, **given: Any) -> Any:
        said = call(service, operation, **given)
        return (
            {"DBClusters": [said["DBClusters"][0] | {"Status": status}]}
            if operation == "describe_db_clusters"
            else said
        )

    def listed(service: str, operation: str, key: str, /, **given: Any) -> list[Any]:
        if operation == "describe_pending_maintenance_actions":
            said = {"PendingMaintenanceActions": more.get("maintenance", [])}
            return list(jmespath.search(key, said))
        return [
            each | {"PendingModifiedValues": more.get("pending", {})}
            for each in pages(service, operation, key, **given)
        ]

    monkeypatch.setattr(ops, "call", answer)
    monkeypatch.setattr(ops, "pages", listed)
    return ops


@pytest.mark.parametrize(
    ("status", "worst", "says", "follows"),
    [
        ("storage-full", "critical", "give it more", "databases/storage"),
        ("stopped", "critical", "start-db-cluster", ""),
        ("failed", "critical", "restore it beside", "databases/restore"),
        ("incompatible-parameters", "critical", "parameter group", "databases/scale"),
        ("inaccessible-encryption-credentials-recoverable", "critical", "within 7 days", ""),
        ("never-heard-of", "unknown", "not a state that is known here", ""),
        ("maintenance", "warn", "ends by itself", ""),
        ("failing-over", "warn", "ends by itself", ""),
        ("available", "ok", "available", ""),
        ("backing-up", "ok", "backing-up", ""),  # each night
    ],
)
def test_what_a_state_asks_for_is_said(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    worst: str,
    says: str,
    follows: str,
) -> None:
    first = health.check_status(with_status(ops, monkeypatch, status))[0]
    assert (first.status, first.cause) == (
        worst,
        "database-unavailable" if worst == "critical" else "",
    )
    assert (says in first.seen, first.next) == (True, follows)


def test_what_waits_for_the_window_is_shown(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = "arn:aws:rds:us-west-2:111122223333:"
    soon = datetime(2026, 12, 1, tzinfo=UTC)
    maintenance = [
        {
            "ResourceIdentifier": arn + "db:bluemoxon-staging-1",
            "PendingMaintenanceActionDetails": [
                {"Action": "system-update", "Description": "New OS", "ForcedApplyDate": soon}
            ],
        },
        {
            "ResourceIdentifier": arn + "db:another",
            "PendingMaintenanceActionDetails": [{"Action": "db-upgrade"}],
        },
    ]
    found = health.check_status(
        with_status(
            ops,
            monkeypatch,
            "available",
            pending={"DBInstanceClass": "db.r6g.large"},
            maintenance=maintenance,
        )
    )
    assert found.worst == "ok"
    assert found.evidence is not None
    assert list(found.evidence["change"]) == [
        "DBInstanceClass to db.r6g.large",
        "system-update: New OS",
    ]
    assert found.evidence["when"].iloc[0].startswith("in the maintenance window, ")
    assert found.evidence["by"].iloc[1] == soon


def test_denied_maintenance_is_told_and_the_state_is_still_judged(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.denied("rds:DescribePendingMaintenanceActions"):
        found = health.check_status(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert found.evidence is not None
    assert found.evidence["change"].iloc[0].startswith("unknown: Denied")


def with_cpu(ops: Connection, monkeypatch: pytest.MonkeyPatch, *values: float) -> Connection:
    times = [ops.now() - timedelta(minutes=5 * at) for at in range(len(values), 0, -1)]
    rows = [
        {"time": t, "metric": "database-cpu", "value": v}
        for t, v in zip(times, values, strict=True)
    ]
    monkeypatch.setattr(metrics, "answered", lambda *_, **__: frame(rows, metrics.POINTS))
    return ops


@pytest.mark.parametrize(
    ("values", "worst", "causes"),
    [
        ((95, 95, 20, 20, 20), "ok", set()),
        ((20, 20, 20, 75, 75), "warn", set()),
        ((20, 20, 20, 75, 91), "critical", {"database-cpu-high"}),
        ((), "unknown", set()),
    ],
)
def test_only_a_cpu_above_its_critical_threshold_now_is_the_cause(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    values: tuple[float, ...],
    worst: str,
    causes: set[str],
) -> None:
    found = health.check_load(with_cpu(ops, monkeypatch, *values))
    assert (found.worst, found.causes) == (worst, causes)


@pytest.mark.parametrize(("value", "worst"), [(80.0, "ok"), (93.0, "warn")])
def test_a_cpu_that_the_file_does_not_describe_has_the_threshold_that_aws_recommends(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, value: float, worst: str
) -> None:
    facts = {"database": ops.target["database"]}
    ops.target = dataclasses.replace(ops.target, facts=Facts(facts, "a file"))
    found = health.check_load(with_cpu(ops, monkeypatch, value))
    assert (found.worst, found[0].threshold) == (worst, "warn above 90 %")


def test_a_high_cpu_is_found_also_when_the_database_takes_no_login(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secret(with_cpu(ops, monkeypatch, 95, 95), monkeypatch, login(ops) | {"port": 1})
    found = health.check_load(ops)
    assert (found.worst, found.causes) == ("critical", {"database-cpu-high"})
    assert "who is at work is unknown" in found[0].seen


def test_who_is_at_work_is_shown_with_what_and_not_ourselves(ops: Connection) -> None:
    import psycopg

    at = login(ops)
    names = {
        "user": "username",
        "host": "host",
        "port": "port",
        "dbname": "dbname",
        "password": "password",
    }
    where = {name: at[key] for name, key in names.items()}
    with contextlib.closing(psycopg.connect(application_name="nightly\x1b[31m", **where)) as worker:
        worker.pgconn.send_query(b"SELECT pg_sleep(30), '\n\x1b[31m'")
        time.sleep(0.2)
        found = health.check_load(ops)
        worker.cancel()
    assert found.evidence is not None
    assert list(found.evidence.columns) == list(health.LOAD)
    assert list(found.evidence["statement"]) == ["SELECT pg_sleep(30), ' [31m'"]
    assert found.evidence["waits_for"].iloc[0] == "Timeout PgSleep"


def test_who_waits_for_whom_is_shown(ops: Connection) -> None:
    import psycopg

    at = login(ops)
    names = {
        "user": "username",
        "host": "host",
        "port": "port",
        "dbname": "dbname",
        "password": "password",
    }
    where = {name: at[key] for name, key in names.items()}
    with (
        contextlib.closing(psycopg.connect(**where)) as holder,
        contextlib.closing(psycopg.connect(**where)) as waiter,
    ):
        holder.execute("SELECT * FROM books WHERE id = 470 FOR UPDATE")
        waiter.pgconn.send_query(b"UPDATE books SET title = title WHERE id = 470")
        time.sleep(0.2)
        found = activity.check_activity(ops, 0)
        blocked = found.evidence[found.evidence["blocked_by"] != ""]
        pid = holder.info.backend_pid
        assert list(blocked["blocked_by"]) == [str(pid)]
    assert (found.worst, found.causes) == ("critical", {activity.BLOCKED})
    assert "1 session waiting for a lock" in found[0].seen
    assert f"held by {pid}, no name (idle in transaction)" in found[0].seen
    assert "SELECT * FROM books WHERE id = 470 FOR UPDATE" in found[0].seen


def test_the_limit_of_connections_is_the_databases_where_that_is_lower_than_the_files(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops.target.facts["database"]["max_connections"] = 40
    assert health.connection_limit(ops) == 40
    del ops.target.facts["database"]["max_connections"]
    allowed = health.connection_limit(ops)
    assert 40 < allowed < 1000
    ops.target.facts["database"]["max_connections"] = 5000
    assert health.connection_limit(ops) == allowed
    monkeypatch.setattr(sql, "value", lambda *_: 9)
    found = health.check_connections(ops)[0]
    assert found.status == "critical"
    assert "of 9 (" in found.seen
    assert "the target's file says 5000, the database allows no more than 9" in found.seen
