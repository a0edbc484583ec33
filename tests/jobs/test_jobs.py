"""Jobs: how they are, which hang, and starting those again."""

from __future__ import annotations

from typing import Any

import pytest

from opslib import apply
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError
from opslib.jobs import jobs
from tests import notebooks

TARGET = "lab/bluemoxon-staging"
STALE = "stale-jobs"

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


@pytest.mark.parametrize("kind", ["analysis", "eval-runbook"])
def test_jobs_that_are_done_name_no_cause(ops: Connection, kind: str) -> None:
    for found in (jobs.check_jobs(ops, kind), jobs.check_stale(ops, kind)):
        assert (found.worst, found.causes) == ("ok", set())
        assert list(found.evidence.columns) == [
            name for name in jobs.JOBS if name not in ("created", "job")
        ]


def test_the_job_of_one_item_and_the_lines_that_name_it(ops: Connection) -> None:
    latest = jobs.list_jobs(ops, "analysis").iloc[0]
    found = jobs.check_jobs(ops, "analysis", latest["item"])
    assert set(found.evidence["item"]) == {latest["item"]}
    lines = jobs.check_worker(ops, "analysis", latest["item"])
    assert lines.worst == "ok"
    assert lines.evidence["message"].str.contains(latest["job"]).all()
    assert lines.evidence["message"].str.contains("job completed").any()


def test_a_worker_is_silent_where_no_job_was_made_and_not_where_one_waits(
    ops: Connection, lab: Any
) -> None:
    assert jobs.check_worker(ops, "analysis", minutes=0.01).worst == "ok"
    with lab.broken(STALE):
        assert jobs.check_worker(ops, "analysis", minutes=0.01).worst == "warn"


def test_an_item_without_a_job_is_unknown_and_not_ok(ops: Connection) -> None:
    assert jobs.check_jobs(ops, "analysis", "999999").worst == "unknown"
    assert jobs.check_worker(ops, "analysis", "999999").worst == "unknown"


def test_an_unknown_kind_offers_those_that_are(ops: Connection) -> None:
    with pytest.raises(UsageError, match=r"Unknown jobs 'analysys'.*'analysis'"):
        jobs.check_jobs(ops, "analysys")


def test_failed_jobs_are_grouped_by_what_failed_them(ops: Connection, lab: Any) -> None:
    with lab.broken("dead-letter-backlog"):
        found = jobs.check_jobs(ops, "analysis")
    assert [f.next for f in found] == ["queues/dead-letters"]
    assert "failed (" in found[0].seen
    assert found.causes == set()


HUNG = """
UPDATE analysis_jobs SET status = 'running', finished_at = NULL,
       started_at = now() - interval '40 days', created_at = now() - interval '40 days'
WHERE id = (SELECT id FROM analysis_jobs ORDER BY created_at LIMIT 1)
"""


def test_how_jobs_are_doing_tells_also_one_that_hangs_since_long_ago(
    ops: Connection, lab: Any
) -> None:
    assert notebooks.run("jobs/status", target=TARGET)["ops"].findings.worst == "ok"
    with sessions.session(ops, "hung", write=True) as session:
        sessions.run(session, HUNG)
        session.commit()
    try:
        assert STALE in notebooks.run("jobs/status", target=TARGET)["ops"].findings.causes
    finally:
        lab.reset()


@pytest.mark.parametrize(("kind", "count"), [("analysis", 3), ("eval-runbook", 1)])
def test_jobs_that_run_for_too_long_are_stale(
    ops: Connection, lab: Any, kind: str, count: int
) -> None:
    with lab.broken(STALE):
        found = jobs.check_stale(ops, kind)
        status = jobs.check_jobs(ops, kind)
    assert (found.worst, found.causes, len(found.evidence)) == ("critical", {STALE}, count)
    assert (found.evidence["running_minutes"] > 15).all()
    assert status.causes == set()
    assert {f.next for f in status} == {"jobs/stale"}


def test_looking_does_not_mark_stale_jobs_as_failed(ops: Connection, lab: Any) -> None:
    with lab.broken(STALE):
        before = lab.state()
        notebooks.run("jobs/status", item=jobs.find_stale(ops, "analysis")["item"].iloc[0])
        assert not notebooks.run("jobs/stale")["applied"].changed
        assert len(jobs.find_stale(ops, "analysis")) == 3
        assert lab.state() == before


@pytest.mark.slow
def test_stale_jobs_are_started_again_and_come_to_their_end(ops: Connection, lab: Any) -> None:
    with lab.broken(STALE):
        old = jobs.find_stale(ops, "analysis")
        others = jobs.find_stale(ops, "eval-runbook")
        applied = apply(ops, jobs.plan_again(ops, "analysis"), "now")
        found = applied.verify(jobs.check_completed, "analysis", list(old["item"]), 60)
        assert [f.status for f in found] == ["ok"] * 3
        assert {f.status for f in ops.findings if f.verifies} == {"ok"}
        assert jobs.find_stale(ops, "analysis").empty
        new = jobs.find_latest(ops, "analysis", list(old["item"]))
        assert set(new["job"]).isdisjoint(old["job"])
        assert dict(zip(new["item"], new["model"], strict=True)) == dict(
            zip(old["item"], old["model"], strict=True)
        )
        assert next(iter(jobs.find_errors(ops, "analysis", old["job"]).values())).startswith(
            "Stale"
        )
        assert list(jobs.find_stale(ops, "eval-runbook")["job"]) == list(others["job"])


def test_a_plan_for_jobs_that_are_done_by_now_is_refused(ops: Connection, lab: Any) -> None:
    with lab.broken(STALE):
        approved = jobs.plan_again(ops, "analysis").id
        ops.http(
            "POST",
            f"/books/{jobs.find_stale(ops, 'analysis')['item'].iloc[0]}/analysis/generate-async",
            {},
            auth=True,
        )
        with pytest.raises(Refused, match="not what would be done now"):
            apply(ops, jobs.plan_again(ops, "analysis"), approved)
        assert len(jobs.find_stale(ops, "analysis")) == 2


def test_a_job_that_does_not_end_in_time_is_unknown(ops: Connection, lab: Any) -> None:
    with lab.broken(STALE):
        item = jobs.find_stale(ops, "analysis")["item"].iloc[0]
        found = jobs.check_completed(ops, "analysis", [item], timeout_seconds=0)
    assert [(f.status, f.next) for f in found] == [("unknown", "jobs/status")]


def test_logs_that_are_denied_leave_the_jobs_checked(lab: Any) -> None:
    with lab.denied("logs:FilterLogEvents"):
        left = notebooks.run("jobs/status")
    # the jobs, those that hang, their states, and the worker's lines
    assert [f.status for f in left["ops"].findings] == ["ok", "ok", "ok", "unknown"]
