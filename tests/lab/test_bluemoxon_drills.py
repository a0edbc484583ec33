"""Each drill does what it says, is told apart from the others,
and leaves nothing behind when it is mended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from opslib import connect
from opslib import lab as practice
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import value as sql_value
from opslib.core.reads import logs
from opslib.core.times import Window

STAGING = "bluemoxon-staging"


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{STAGING}")


def _eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.3)


def _alarms(ops: Connection) -> set[str]:
    found = ops.pages("cloudwatch", "describe_alarms", "MetricAlarms[]", StateValue="ALARM")
    return {alarm["AlarmName"].removeprefix("bluemoxon-staging-") for alarm in found}


def _lines(ops: Connection, function: str, pattern: str, minutes: float = 300) -> list[str]:
    within = Window(ops.now() - timedelta(minutes=minutes), ops.now())
    return list(logs.search(ops, function, pattern, within)["message"])


def _count(ops: Connection, sql: str) -> int:
    return int(sql_value(ops, f"SELECT count(*) FROM {sql}") or 0)


def test_without_the_endpoint_deep_health_waits_and_the_list_still_comes(
    lab: Any, ops: Connection
) -> None:
    with lab.broken("vpc-endpoint-missing"):
        deep, shallow = ops.http("GET", "/health/deep"), ops.http("GET", "/books?limit=1")
    assert (deep.status, deep.body) == (503, {"message": "Service Unavailable"})
    assert deep.seconds > 0.9
    assert shallow.status == 200


def test_without_the_bucket_deep_health_says_so(lab: Any, ops: Connection) -> None:
    with lab.broken("bucket-missing"):
        deep = ops.http("GET", "/health/deep")
    assert deep.status == 503
    assert deep.body["checks"]["s3"]["reason"].startswith("NoSuchBucket")
    assert deep.body["checks"]["database"]["status"] == "ok"


def test_a_bucket_made_again_meanwhile_gives_way_to_the_one_that_was(
    lab: Any, ops: Connection
) -> None:
    before = lab.state()
    with lab.broken("bucket-missing"):
        ops.call(
            "s3",
            "create_bucket",
            Bucket="bluemoxon-staging-images",
            CreateBucketConfiguration={"LocationConstraint": "us-west-2"},
        )
        assert ops.http("GET", "/health/deep").status == 200
    assert lab.state() == before


def test_throttled_jobs_gave_up_after_three_attempts_with_waits_between(
    lab: Any, ops: Connection
) -> None:
    with lab.broken("bedrock-throttling"):
        lines = [
            json.loads(line) for line in _lines(ops, "analysis-worker", "ThrottlingException", 60)
        ]
        failed = _count(
            ops,
            "analysis_jobs WHERE status = 'failed' AND error_message LIKE 'ThrottlingException%'",
        )
        stale = _count(ops, "analysis_jobs WHERE status = 'running'")
    gave_up = [line for line in lines if "giving up after 3 attempts" in line["message"]]
    assert len(gave_up) == failed == 7
    assert {line["attempt"] for line in lines} == {1, 2, 3}
    assert all(line["wait_s"] >= 5 for line in lines if line["attempt"] < 3)
    assert stale == 0


def test_a_quoted_pattern_finds_the_blocked_scraper_and_nothing_in_a_healthy_log(
    lab: Any, ops: Connection
) -> None:
    assert _lines(ops, "scraper", '"Rate limited"') == []
    assert _lines(ops, "scraper", "Rate limited"), "both words stand in harmless lines"
    with lab.broken("scraper-blocked"):
        assert len(_lines(ops, "scraper", '"Rate limited"', 60)) == 10


def test_dead_letters_are_of_three_causes_and_ring(lab: Any, ops: Connection) -> None:
    with lab.broken("dead-letter-backlog"):
        messages = lab.state()["sqs"]["bluemoxon-staging-analysis-dlq"]["messages"]
        assert _alarms(ops) == {"analysis-dlq"}
    errors = [json.loads(body)["error"].split(":")[0] for body in messages if body.endswith("}")]
    assert (errors.count("ThrottlingException"), errors.count("ValidationException")) == (14, 6)
    assert len(messages) - len(errors) == 4


@pytest.mark.slow
def test_of_redriven_dead_letters_what_can_be_done_is_done(lab: Any, ops: Connection) -> None:
    before = lab.state()
    with lab.broken("dead-letter-backlog"):
        queue = "arn:aws:sqs:us-west-2:111122223333:bluemoxon-staging-analysis-dlq"
        ops.call("sqs", "start_message_move_task", SourceArn=queue)
        # What nobody can read stays in flight, until it has been tried three times.
        _eventually(lambda: len(lab.state()["sqs"]["bluemoxon-staging-analysis"]["messages"]) == 4)
        assert _count(ops, "analysis_jobs WHERE status <> 'completed'") == 0
    assert lab.state() == before


def test_asking_for_a_stale_job_marks_it_as_failed(lab: Any, ops: Connection) -> None:
    with lab.broken("stale-jobs"):
        book = sql_value(ops, "SELECT min(book_id) FROM analysis_jobs WHERE status = 'running'")
        assert ops.http("GET", f"/books/{book}").body["analysis_job_status"] == "running"
        answer = ops.http("GET", f"/books/{book}/analysis/status").body
    assert (answer["status"], answer["error_message"]) == (
        "failed",
        "Stale: running for more than 15 minutes",
    )


@pytest.mark.slow
def test_photographs_are_too_much_for_one_request_and_fail_again(lab: Any, ops: Connection) -> None:
    with lab.broken("images-too-large"):
        book = sql_value(ops, "SELECT book_id FROM analysis_jobs WHERE status = 'failed' LIMIT 1")
        images = ops.http("GET", f"/books/{book}/images").body
        assert len(images) == 19
        assert sum((image["bytes"] + 2) // 3 * 4 for image in images) > 20_000_000
        assert (
            ops.http("POST", f"/books/{book}/analysis/generate-async", {"model": "opus"}).status
            == 202
        )
        path = f"/books/{book}/analysis/status"
        _eventually(lambda: ops.http("GET", path).body["status"] == "failed")
        assert "Input is too long" in ops.http("GET", path).body["error_message"]


def test_a_bad_version_fails_since_it_is_live_and_not_before(lab: Any, ops: Connection) -> None:
    with lab.broken("bad-version"):
        codes = [ops.http("GET", "/health/ready").status for _ in range(4)]
        assert _alarms(ops) == {"api-errors"}
        found = logs.search(
            ops,
            "api",
            '"[ERROR] AttributeError"',
            Window(ops.now() - timedelta(hours=3), ops.now()),
        )
        live = ops.call("lambda", "get_alias", FunctionName="bluemoxon-staging-api", Name="live")[
            "FunctionVersion"
        ]
        rolled = {
            "FunctionName": "bluemoxon-staging-api",
            "Name": "live",
            "FunctionVersion": str(int(live) - 1),
        }
        ops.call("lambda", "update_alias", **rolled)
        assert [ops.http("GET", "/health/ready").status for _ in range(4)] == [200] * 4
    assert codes == [200, 500, 200, 200]
    assert 100 < len(found) < 300
    assert found["stream"].str.contains(f"[{live}]", regex=False).all()
    assert ops.now() - found["time"].min() < timedelta(minutes=62)


def test_two_deployments_are_taken_back_in_any_order(lab: Any) -> None:
    before = lab.state()
    practice.break_drill("bad-version", STAGING)
    practice.break_drill("migration-pending", STAGING)
    practice.mend("bad-version", STAGING)
    practice.mend("migration-pending", STAGING)
    assert lab.state() == before


def test_a_migration_that_was_run_is_taken_back_with_the_drill(lab: Any, ops: Connection) -> None:
    before = lab.state()
    with lab.broken("migration-pending"):
        needs = ops.http("GET", "/health/version").body["migration_head"]
        answer = ops.http("POST", "/health/migrate").body
        assert (answer["status"], answer["current"], answer["applied"]) == (
            "success",
            needs,
            [needs],
        )
        assert "provenance" in ops.http("GET", "/books/515").body
    assert lab.state() == before


@pytest.mark.slow
def test_the_connections_are_really_open_and_ring(lab: Any, ops: Connection) -> None:
    idle = (
        "pg_stat_activity WHERE application_name = 'bluemoxon-api' AND datname = current_database()"
    )
    with lab.broken("connections-near-limit"):
        assert _count(ops, idle) == 86
        assert _alarms(ops) == {"rds-connections"}


@pytest.mark.parametrize(
    ("name", "status", "start"),
    [("api-html", 200, "<!doctype html>"), ("api-404", 404, '{"message')],
)
def test_an_api_that_is_not_there_answers_something_else(
    lab: Any, ops: Connection, name: str, status: int, start: str
) -> None:
    with lab.broken(name):
        answer = ops.http("GET", "/health/live")
    assert (answer.status, answer.text[: len(start)]) == (status, start)
