"""Queries that say how many rows are well; and jobs that no queue and no function works on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opslib import databases
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.jobs import jobs
from tests.conftest import PracticeLab

TARGET = "lab/ai-studio-production"
_USER = "'5e5a0000-0000-4000-8000-000000000003'"
_ID = "5b0c0000-0000-4000-8000-000000000001"
_FAILED = f"""INSERT INTO jobs (id, user_id, kind, model, status, attempts, error) VALUES
('{_ID}', {_USER}, 'video', 'veo-3', 'failed', 12, 'PermissionDenied: 403')"""


@pytest.fixture
def broken(lab: PracticeLab, ops: Connection) -> Iterator[Connection]:
    def done(*statements: str) -> None:
        with sessions.session(ops, "a fault", write=True) as session:
            for statement in statements:
                sessions.run(session, statement)
            session.commit()

    late = "UPDATE subscriptions SET renews_at = renews_at - interval '20 days'"
    done(_FAILED, late)
    yield ops
    done(f"DELETE FROM jobs WHERE id = '{_ID}'", late.replace("- interval", "+ interval"))


def test_more_rows_than_are_well_are_a_warning_that_leads_on(broken: Connection) -> None:
    found = databases.check_expected(broken)
    bad = {f.source: f for f in found if f.status != "ok"}
    assert set(bad) == {f"database.queries.{n}" for n in ("late-renewals", "jobs-again-and-again")}
    assert {f.status for f in bad.values()} == {"warn"}
    assert bad["database.queries.late-renewals"].next == "ai-studio/payment-logs"
    assert "12" in bad["database.queries.jobs-again-and-again"].seen


def test_as_many_rows_as_are_well_are_no_finding(ops: Connection) -> None:
    assert {f.status for f in databases.check_expected(ops)} == {"ok"}
    assert len(databases.check_expected(ops)) == 6


def test_a_job_that_failed_leads_to_no_function_where_there_is_none(broken: Connection) -> None:
    [found] = jobs.check_jobs(broken, "jobs").troubles
    assert (found.status, found.next) == ("warn", "logs/errors")
