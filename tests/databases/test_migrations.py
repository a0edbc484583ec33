"""Migrations: pending ones are found, staging has them first, a snapshot goes before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, Refused, Unfinished, UsageError, apply, connect
from opslib.core.actions.lambdas import Invoke
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.databases import migrations
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

STAGING, PRODUCTION = "lab/bluemoxon-staging", "lab/bluemoxon-production"
LEDGER = "lab/loglineos-production"
PENDING = "migration-pending"


@pytest.fixture(autouse=True)
def healthy_again(lab: PracticeLab, records_folder: Path) -> Iterator[None]:
    before = lab.state(), lab.state("bluemoxon-production")
    yield
    if (lab.state(), lab.state("bluemoxon-production")) != before:
        lab.reset()


@pytest.fixture
def ops(lab: PracticeLab) -> Connection:
    return connect(STAGING)


def test_a_database_that_is_as_its_code_needs_it_names_no_cause(ops: Connection) -> None:
    found = migrations.check_migrations(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert migrations.plan_migration(ops).steps == ()


def test_a_pending_migration_is_found_applied_and_verified(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken(PENDING):
        before = lab.state()
        preview = notebooks.run("databases/migrate")
        assert preview["ops"].findings.causes == {PENDING}
        assert lab.state() == before
        left = notebooks.run("databases/migrate", approved="now")
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        changed = differences(before, lab.state())
        assert {path.split(".")[0] for path in changed} == {"rds", "sql"}
        assert {path.split(".")[3] for path in changed if path.startswith("sql")} <= {
            "alembic_version",
            "books",
        }
        assert migrations.find_state(ops).has == migrations.find_state(ops).needs


def test_without_a_snapshot_it_is_said_that_there_is_less_of_a_way_back(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken(PENDING):
        plan = migrations.plan_migration(ops, snapshot=False)
        assert len(plan.steps) == 1
        assert not plan.reversible
        assert "No snapshot is taken" in plan.notes[-1]


@pytest.mark.slow
def test_production_is_refused_until_staging_has_had_it(lab: PracticeLab) -> None:
    with lab.broken(PENDING, "bluemoxon-production"):
        production = connect(PRODUCTION)
        before = lab.state("bluemoxon-production")
        found = migrations.check_migrations(production)
        assert found.causes == {PENDING}
        assert [f.status for f in found] == ["critical", "warn"]
        with pytest.raises(
            Refused, match=r"lab/bluemoxon-staging has not had d4a6c8e0f168.*Run it there first"
        ):
            migrations.plan_migration(production)
        assert lab.state("bluemoxon-production") == before
        with lab.broken(PENDING):
            staging = connect(STAGING)
            apply(staging, migrations.plan_migration(staging), "now")
            plan = migrations.plan_migration(production)
            assert len(plan.steps) == 3
            with pytest.raises(Refused, match="is production"):
                apply(production, plan, plan.id)


def test_production_goes_on_when_staging_cannot_be_asked_but_says_unknown(lab: PracticeLab) -> None:
    production = connect(PRODUCTION)
    with lab.denied("secretsmanager:GetSecretValue"):
        assert [f.status for f in migrations.check_migrations(production)] == ["ok", "unknown"]


def test_an_api_that_does_not_answer_makes_it_unknown(ops: Connection, lab: PracticeLab) -> None:
    for drill in ("api-html", "api-404"):
        with lab.broken(drill):
            found: Any = migrations.check_migrations(ops)
            assert ([f.status for f in found], found.causes) == (["unknown"], set())


# By a Lambda function: loglineos


@pytest.fixture
def ledger(lab: PracticeLab) -> Iterator[Connection]:
    before = lab.state("loglineos-production")
    yield connect(LEDGER)
    if lab.state("loglineos-production") != before:
        lab.reset()


@pytest.mark.slow
def test_a_migration_is_run_by_its_function_and_the_table_says_so(
    ledger: Connection, lab: PracticeLab
) -> None:
    assert migrations.check_migrations(ledger).causes == set()
    with lab.broken(PENDING, "loglineos-production"):
        before = lab.state("loglineos-production")
        preview = notebooks.run("databases/migrate", target=LEDGER)
        assert preview["ops"].findings.causes == {PENDING}
        assert lab.state("loglineos-production") == before
        left = notebooks.run("databases/migrate", target=LEDGER, approved="now", confirm=LEDGER)
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        changed = differences(before, lab.state("loglineos-production"))
        assert {path.split(".")[0] for path in changed} == {"rds", "sql"}
        assert migrations.find_state(ledger).has == migrations.find_state(ledger).needs


def with_database(ops: Connection, monkeypatch: pytest.MonkeyPatch, **facts: Any) -> Connection:
    """The same connection, its target's `database:` described otherwise."""
    described = ops.target["database"].plain() | facts
    monkeypatch.setitem(ops.target.facts, "database", Facts(described, "a file"))
    return ops


@pytest.mark.slow
def test_a_function_that_fails_says_why_and_how_its_log_ends(
    ledger: Connection, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.broken(PENDING, "loglineos-production"):
        with_database(
            ledger, monkeypatch, migrate={"function": "db-migration", "payload": {"dry": True}}
        )
        before = lab.state("loglineos-production")
        plan = migrations.plan_migration(ledger, snapshot=False)
        with pytest.raises(
            OpsError, match=r"Step 1 of 1 .* ValueError: Unknown options: dry\n    Its log ends:"
        ) as failed:
            apply(ledger, plan, "now", LEDGER)
        assert "Applied before it: 0" in str(failed.value)
        assert lab.state("loglineos-production") == before
        assert migrations.find_state(ledger).pending


def test_the_end_of_a_log_is_shown_without_secrets(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = ledger.secret("loglineos-db-production")
    with_database(
        ledger, monkeypatch, migrate={"function": "db-migration", "payload": {login["password"]: 1}}
    )
    with pytest.raises(OpsError, match=r"Its log ends:[\s\S]*\[secret [^\]]+\]"):
        Invoke("loglineos-db-migration-production", {login["password"]: 1}, 30).perform(ledger)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("answered", "said"),
    [
        ({"statusCode": 500, "body": "no such table"}, "500: no such table"),
        ({"status": "failed", "error": "lock timeout"}, "lock timeout"),
        ({"success": False, "message": "half done"}, "half done"),
        ({"status": "success", "applied": []}, ""),
        ({"statusCode": 200}, ""),
        ({"statusCode": "502", "body": "bad gateway"}, "502: bad gateway"),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, "1 of the batch's items"),
        ({"batchItemFailures": []}, ""),
        ({"ok": False}, '{"ok": false}'),
        ({"success": False, "errors": ["row 3"]}, r"\['row 3'\]"),
        ({"error": "lock timeout"}, "lock timeout"),
        ({"errorType": "E", "errorMessage": "caught"}, "caught"),
        ({"Status": "FAILED", "reason": "no room"}, "no room"),
        ({"status": 503}, "503: "),
        ('{"statusCode": 500, "body": "sent as text"}', "500: sent as text"),
        ({"processed": 9, "errors": 0, "error": None}, ""),
        ({"status": "success", "errors": ["a row was skipped"]}, ""),
        ({"success": 0, "failed": 0}, ""),
        ("ERROR is a word here", ""),
        (None, ""),
    ],
)
def test_a_well_formed_answer_may_tell_of_a_failure(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch, answered: Any, said: str
) -> None:
    monkeypatch.setattr(ledger, "call_once", lambda *_, **__: {"Payload": answered})
    if not said:
        assert Invoke("f", {}, 1).perform(ledger) == answered
        return
    with pytest.raises(OpsError, match=f"f answered that it failed: {said}"):
        Invoke("f", {}, 1).perform(ledger)


@pytest.mark.slow
def test_a_function_that_does_not_answer_is_called_once_and_may_still_run(
    ledger: Connection,
) -> None:
    asked = []

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            time.sleep(3)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ledger._access = replace(ledger._access, endpoint=f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(
        Unfinished,
        match=r"may still be running. It is not called again. Look: opslib run logs/search",
    ):
        Invoke("f", {}, -14.5).perform(ledger)  # it waits fifteen seconds longer than that
    time.sleep(0.5)
    server.shutdown()
    assert len(asked) == 1


def test_a_function_is_waited_for_longer_than_it_may_run(
    ledger: Connection, lab: PracticeLab
) -> None:
    with lab.broken(PENDING, "loglineos-production"):
        plan = migrations.plan_migration(ledger, snapshot=False)
    assert plan.steps[0].do["timeout_seconds"] == 300


def test_a_database_ahead_of_its_code_has_nothing_pending() -> None:
    behind, ahead = (migrations.State("t", has, "0007", ordered=True) for has in ("0006", "0008"))
    assert (behind.pending, behind.ahead, ahead.pending, ahead.ahead) == (True, False, False, True)
    assert migrations.State("t", "9", "10", ordered=True).pending
    assert migrations.State("t", "b2e4", "a1c3").pending  # Alembic's names have no order
    found = migrations.compare(ahead)
    assert found.status == "ok"
    assert "ahead" in found.seen


@pytest.mark.slow
def test_tables_of_which_no_migration_is_kept_are_stamped_and_not_migrated(
    ops: Connection, lab: PracticeLab
) -> None:
    with sessions.session(ops, "a test", write=True) as session:
        sessions.run(session, "DELETE FROM alembic_version")
        session.commit()
    try:
        found = migrations.check_migrations(ops)
        assert (found.worst, found.causes) == ("critical", set())
        assert (found[0].next, "alembic stamp" in found[0].seen) == ("databases/execute", True)
        with pytest.raises(Refused, match=r"would be made again.*Nothing was changed"):
            migrations.plan_migration(ops)
    finally:
        lab.reset()


def test_nothing_that_says_what_is_needed_is_unknown(
    ledger: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_database(
        ledger, monkeypatch, migrations_head={"function": "db-migration", "variable": "GONE"}
    )
    assert migrations.check_migrations(ledger).worst == "unknown"
    with pytest.raises(UsageError, match=r"describe database\.migrations_head"):
        migrations.plan_migration(ledger)
