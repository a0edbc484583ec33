"""Jobs in states that nobody foresaw, that wait for no message, or are done in no time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from opslib import connect
from opslib.core.checks.series import overdue
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding
from opslib.core.tables import frame
from opslib.jobs import jobs, states
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def rows(*told: tuple[Any, ...]) -> Any:
    """A state, what it means, jobs of the day, of four weeks, and the seconds of both."""
    names = ("state", "means", "jobs", "earlier", "seconds", "seconds_earlier")
    made = [dict(zip(names, row, strict=False)) | {"late": 0, "newest": NOW} for row in told]
    return frame(made, states.STATES)


def statuses(found: Iterator[Finding]) -> list[str]:
    return [f.status for f in found]


DONE = ("completed", "completed", 40, 400, 41.0, 43.0)


@pytest.mark.parametrize(
    ("jobs_so", "expected"),
    [((), []), ((1,), ["warn"]), ((4,), ["warn"]), ((9,), ["unknown"]), ((0,), [])],
)
def test_a_state_that_nobody_foresaw_is_counted(jobs_so: Any, expected: list[str]) -> None:
    found = list(states._unknown("report", rows(DONE, *(("stuck", "", n, 3) for n in jobs_so))))
    assert statuses(iter(found)) == expected
    assert all("of" in f.seen and "'stuck'" in f.check for f in found)


@pytest.mark.parametrize(
    ("left", "before", "expected"),
    [
        (14, 0, ["warn"]),
        (14, 40, ["warn"]),
        (14, 200, []),  # as ever
        (4, 0, []),  # a few give it up each day
        (9, 0, []),  # of 49
    ],
)
def test_more_than_ever_that_nobody_works_on(left: int, before: int, expected: list[str]) -> None:
    found = states._left("report", rows(DONE, ("uploading", "other", left, before)))
    assert statuses(found) == expected


@pytest.mark.parametrize(
    ("failed", "done", "expected"),
    [
        (4, 0, ["critical"]),  # four of four
        (2, 0, []),  # one item's latest is check_jobs'
        (3, 3, ["critical"]),
        (6, 20, ["warn"]),
        (6, 100, []),
        (0, 0, []),
    ],
)
def test_what_failed_is_a_share_of_what_ended(failed: int, done: int, expected: list[str]) -> None:
    told = rows(("error", "failed", failed, 0), ("completed", "completed", done, 9, 41.0, 43.0))
    found = list(states._failed("report", told))
    assert statuses(iter(found)) == expected
    assert all(f"({100 * failed / (failed + done):.0f} %)" in f.seen for f in found)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("completed", "completed", 20, 300, 0.1, 41.0), ["warn"]),
        (("completed", "completed", 20, 300, 30.0, 41.0), []),
        (("completed", "completed", 20, 300, 540.0, 41.0), ["warn"]),
        (("completed", "completed", 20, 300, 120.0, 41.0), []),
        (("completed", "completed", 3, 300, 540.0, 41.0), []),
        (("completed", "completed", 3, 300, 0.1, 41.0), []),  # few
        (("completed", "completed", 20, 0, 0.1, None), []),  # a new system
        (("completed", "completed", 20, 300, 0.02, 0.4), []),  # they always were so quick
        (("failed", "failed", 20, 300, 0.1, 41.0), []),
    ],
)
def test_jobs_done_in_no_time_or_far_more_slowly_are_doubted(row: Any, expected: list[str]) -> None:
    assert statuses(states._as_long("report", rows(row))) == expected


def at(*hours_ago: float) -> Any:
    return pd.Series([NOW - timedelta(hours=h) for h in hours_ago])


@pytest.mark.parametrize(
    ("moments", "since"),
    [
        pytest.param(at(*range(43, 43 + 24 * 20, 24)), 43, id="a night without the nightly job"),
        pytest.param(at(*range(7, 7 + 24 * 20, 24)), None, id="as each night"),
        pytest.param(at(*range(30, 30 + 24 * 4, 24)), None, id="a new system"),
        pytest.param(at(60, 300, 400, 500), None, id="a job that seldom runs"),
        pytest.param(at(*(h for h in range(50, 600, 2) if h % 168 > 60)), None, id="a weekend"),
        pytest.param(at(), None, id="none at all"),
    ],
)
def test_what_began_regularly_and_begins_no_more(moments: Any, since: float | None) -> None:
    found = overdue(NOW, moments)
    assert (found and found.since) == (since and NOW - timedelta(hours=since))


ODD = """
INSERT INTO odd_jobs (id, book_id, status, model, attempts, created_at, started_at)
SELECT gen_random_uuid(), (SELECT min(id) FROM books), :status, 'odd', 1,
       now() - interval '3 hours', NULL FROM generate_series(1, :count)
"""


@pytest.fixture
def odd(ops: Connection, lab: PracticeLab) -> Iterator[None]:
    """Rows that a system may well have, three hours old, none of them begun.

    The queue is empty, also of what an earlier test has under way.
    """
    lab.reset()
    told = {"stuck_in_review": 12, "error": 4, "RUNNING": 1, "queued": 8, "processing": 2}
    ops.target.facts["jobs"]["analysis"]["table"] = "odd_jobs"
    with sessions.session(ops, "odd", write=True) as session:
        sessions.run(session, "CREATE TABLE odd_jobs (LIKE analysis_jobs)")  # without constraints
        for status, count in told.items():
            sessions.run(session, ODD, {"status": status, "count": count})
        session.commit()
    yield
    with sessions.session(ops, "odd", write=True) as session:
        sessions.run(session, "DROP TABLE odd_jobs")
        session.commit()


def test_all_states_of_a_table_are_seen_whatever_they_are_called(
    ops: Connection, odd: None
) -> None:
    found = states.check_states(ops, "analysis")
    said = {f.check: (f.status, f.seen) for f in found}
    assert said["analysis jobs in state 'stuck_in_review'"][0] == "unknown"
    assert said["analysis jobs that wait"][0] == "critical"
    assert "0 messages in bluemoxon-staging-analysis" in said["analysis jobs that wait"][1]
    assert said["analysis jobs that are processing"][0] == "critical"
    assert found.causes == {states.LOST, states.LOOP}
    stale = jobs.check_stale(ops, "analysis")
    assert (stale.worst, len(stale.evidence)) == ("critical", 1)
    assert stale.evidence["running_minutes"].iloc[0] >= 180
    assert jobs.plan_again(ops, "analysis").steps, "one that never began can be started again"


LOOP = """
INSERT INTO odd_jobs (id, book_id, status, model, attempts, created_at, started_at, finished_at)
SELECT gen_random_uuid(), (SELECT min(id) FROM books), 'completed', 'odd', 1,
       began, began, began + interval '1 minute'
FROM generate_series(1, :count), (SELECT now() - :age * interval '1 hour' AS began) AS once
"""


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("told", "warned"),
    [
        pytest.param([], True, id="one item over and over"),  # all that is odd is of one book
        pytest.param([(30, 5), (1, 60)], True, id="far more than ever"),
        pytest.param([(30, 10)], False, id="as it always was"),
    ],
)
def test_one_item_that_is_started_again_and_again(
    ops: Connection, odd: None, told: list[tuple[int, int]], warned: bool
) -> None:
    with sessions.session(ops, "odd", write=True) as session:
        for age, count in told:
            sessions.run(session, LOOP, {"age": age, "count": count})
        session.commit()
    found = {f.check: f for f in states.check_states(ops, "analysis")}
    loop = found.get("analysis jobs of one item")
    assert (loop is not None) == warned
    if loop:
        assert (loop.status, loop.cause) == ("warn", states.LOOP)


def test_jobs_that_are_well_are_counted_and_nothing_else(ops: Connection) -> None:
    for kind in ops.target["jobs"]:
        found = states.check_states(ops, kind)
        assert [f.status for f in found] == ["ok"]
        assert "completed" in found[0].seen


TOOK = """
INSERT INTO odd_jobs (id, book_id, status, model, attempts, created_at, started_at, finished_at)
SELECT gen_random_uuid(), n, 'completed', 'odd', 1, made, {started},
       made + :minutes * interval '1 minute'
FROM generate_series(1, :count) AS n, (SELECT now() - :age * interval '1 hour' AS made) AS once
"""


@pytest.mark.some(4)
@pytest.mark.parametrize("started", ["made", "NULL"])  # some tables do not say when it began
@pytest.mark.parametrize(("minutes", "told"), [(6, True), (1, False)])
def test_what_takes_longer_for_hours_is_not_lost_in_a_day(
    ops: Connection, odd: None, minutes: int, told: bool, started: str
) -> None:
    with sessions.session(ops, "odd", write=True) as session:
        for age, count, took in ((50, 40, 1), (12, 40, 1), (3, 9, minutes)):
            given = {"age": age, "count": count, "minutes": took}
            sessions.run(session, TOOK.format(started=started), given)
        session.commit()
    found = {f.check: f for f in states.check_states(ops, "analysis")}
    assert ("how long analysis jobs take" in found) == told


@pytest.mark.parametrize("name", ["ai-studio-production", "bluemoxon-staging", "dms-dev"])
def test_in_a_lab_that_is_left_alone_for_a_day_no_job_is_overdue(
    lab: PracticeLab, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    ops = connect(f"lab/{name}")
    tomorrow = ops.now() + timedelta(days=1)
    monkeypatch.setattr(ops, "now", lambda: tomorrow)
    assert [found for kind in ops.target["jobs"] for found in states._overdue(ops, kind)] == []
