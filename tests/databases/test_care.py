"""Sessions ended, instances restarted, tables looked after."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from opslib import Refused, UsageError, apply, connect, databases
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from tests import notebooks
from tests.conftest import PracticeLab

KEY, TARGET = "bluemoxon-staging", "lab/bluemoxon-staging"
SERVER = "SELECT min(backend_start) FROM pg_stat_activity WHERE datname = current_database()"


def client(application: str) -> psycopg.Connection[Any]:
    """A session of another client, as the app's login."""
    from opslib.core.connections import addresses

    where = addresses.find(connect(TARGET), "", {})
    return psycopg.connect(
        host=where.host,
        port=where.port,
        dbname=where.database,
        user=where.username,
        password=str(where.password),
        application_name=application,
    )


@pytest.mark.slow
def test_who_holds_the_lock_is_ended_and_who_waited_goes_on(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken("locks-held"):
        left = notebooks.run("databases/sessions", approved="now")
        assert len(left["plan"].steps) == 1
        assert "price-import" in left["plan"].steps[0].title
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        assert databases.check_activity(ops).worst == "ok"


def test_without_a_lock_nobody_is_ended(ops: Connection, lab: PracticeLab) -> None:
    plan = databases.plan_end(ops)
    assert not plan.steps
    assert "Nobody waits" in plan.notes[0]


def test_only_the_session_that_was_shown_is_ended(ops: Connection, lab: PracticeLab) -> None:
    first = client("import")
    pid = str(first.info.backend_pid)
    plan = databases.plan_end(ops, pid)
    assert "import" in plan.steps[0].title
    first.close()
    with pytest.raises(UsageError, match=f"No session {pid}"):
        apply(ops, plan, "now")


def test_a_statement_is_cancelled_and_its_session_stays(ops: Connection, lab: PracticeLab) -> None:
    with client("report") as session:
        pid = str(session.info.backend_pid)
        session.execute("SELECT 1")
        with pytest.raises(UsageError, match="runs nothing now"):
            databases.plan_end(ops, pid, "cancel")
        session.pgconn.send_query(b"SELECT pg_sleep(600)")
        apply(ops, databases.plan_end(ops, pid, "cancel"), "now")
        session.pgconn.get_result()
        session.pgconn.get_result()
        session.rollback()
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("sessions", "how", "said"),
    [
        ("12,x", "terminate", "'x' is no pid"),
        ("0", "terminate", "No session 0"),
        ("1", "kill", "kill"),
    ],
)
def test_what_is_no_session_is_refused_before_anything_happens(
    ops: Connection, lab: PracticeLab, sessions: str, how: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        databases.plan_end(ops, sessions, how)


def test_a_session_of_the_server_itself_is_left_alone(ops: Connection, lab: PracticeLab) -> None:
    listed = databases.list_backends(ops)
    listed.loc[len(listed)] = [99, "", "", "walsender", "active", 1.0, 0, False, "", "", "START"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opslib.databases.backends.list_backends", lambda _: listed)
        with pytest.raises(Refused, match="walsender"):
            databases.plan_end(ops, "99")


@pytest.mark.slow
def test_after_a_restart_every_session_is_younger_and_the_app_is_back(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    before = sql.value(ops, SERVER)
    left = notebooks.run("databases/restart", target=TARGET, approved="now")
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert sql.value(ops, SERVER) > before
    assert lab.state(KEY) == clean
    since = ops.now()
    assert databases.check_restarted(ops, since.replace(year=since.year - 1)).worst == "ok"


def test_a_restart_that_did_not_happen_is_told(
    ops: Connection, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opslib.databases.instances.restarts._SETTLE_SECONDS", 0)
    assert databases.check_restarted(ops, ops.now()).worst == "critical"


def test_nothing_takes_over_where_there_is_no_other(ops: Connection, lab: PracticeLab) -> None:
    with pytest.raises(Refused, match="add a reader first"):
        databases.plan_restart(ops, failover=True)
    pair = connect("lab/loglineos-production")  # Multi-AZ
    assert "its standby takes over" in databases.plan_restart(pair, failover=True).summary
    with pytest.raises(UsageError, match="instance 'nope'"):
        databases.plan_restart(ops, "nope")


@pytest.mark.some(3)
@pytest.mark.parametrize("work", ["vacuum", "analyze", "reindex"])
def test_a_table_is_looked_after_and_the_server_says_so(
    ops: Connection, lab: PracticeLab, work: str
) -> None:
    left = notebooks.run("databases/upkeep", work=work, approved="now")
    assert [f.status for f in left["ops"].findings if f.verifies] == ["ok"]


def test_without_a_table_the_one_with_the_most_dead_rows_is_looked_after(
    ops: Connection, lab: PracticeLab
) -> None:
    for target in (TARGET, "lab/dms-dev"):
        left = notebooks.run("databases/upkeep", target=target)
        assert left["plan"].steps[0].title.startswith("VACUUM (ANALYZE) ")


def test_a_table_that_was_passed_over_is_told(ops: Connection, lab: PracticeLab) -> None:
    assert databases.check_upkeep(ops, "books", "vacuum", ops.now()).worst == "critical"
    with pytest.raises(UsageError, match="nope"):
        databases.plan_upkeep(ops, "nope")
    with pytest.raises(UsageError, match="full"):
        databases.plan_upkeep(ops, "books", "full")
