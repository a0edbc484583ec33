"""Services in the lab: what their tasks write and what is counted are the same requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from opslib import connect
from opslib.core.connections.connection import Connection
from opslib.core.reads import logs
from opslib.core.times import Window
from opslib.services import measures
from opslib.services.reading import Service
from tests.conftest import PracticeLab

PLACE = "image-caption-prod"


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{PLACE}")


def hour(ops: Connection) -> Window:
    """Whole periods of five minutes."""
    end = ops.now().replace(second=0, microsecond=0)
    end -= timedelta(minutes=end.minute % 5)
    return Window(end - timedelta(hours=1), end)


def counted(ops: Connection) -> Any:
    service = Service(ops, "app")
    within = hour(ops)
    seen = measures.read(service, measures.groups(service)[0], within)
    return seen[seen.index < within.end]


def lines(ops: Connection, pattern: str = "") -> Any:
    found = logs.search(ops, "app", pattern, hour(ops))
    return found[found["time"] < hour(ops).end]


def test_each_request_that_a_task_answered_is_a_line_in_the_stream_of_a_task(
    ops: Connection,
) -> None:
    tasks = {each["taskArn"].rpartition("/")[2] for each in Service(ops, "app").tasks("RUNNING")}
    found = lines(ops)
    assert set(found["stream"]) == {f"app/app/{task}" for task in tasks}
    assert len(found) == counted(ops)["requests"].sum()


def test_without_a_healthy_target_the_load_balancer_answers_and_no_task_writes(
    lab: PracticeLab, ops: Connection
) -> None:
    before = len(lines(ops))
    with lab.broken("targets-unhealthy", PLACE):
        seen = counted(ops)
        assert seen["elb_503"].sum() == seen["elb_5xx"].sum() > 0
        assert seen["target_5xx"].sum() == 0
        assert seen["requests"].sum() + seen["elb_503"].sum() == before
        assert len(lines(ops)) == seen["requests"].sum()
    assert len(lines(ops)) == before


def test_what_the_load_balancer_does_not_wait_for_is_in_no_response_time_and_yet_a_line(
    lab: PracticeLab, ops: Connection
) -> None:
    with lab.broken("app-too-slow", PLACE):
        seen = counted(ops)
        assert seen["elb_504"].sum() > 0
        assert seen["p99_s"].max() < 60
        slow = lines(ops, "{ $.duration_ms > 60000 }")
        assert len(slow) == seen["elb_504"].sum()


def test_more_tasks_have_less_cpu_each(lab: PracticeLab, ops: Connection) -> None:
    usual = counted(ops)["cpu"].median()
    with lab.broken("at-capacity", PLACE):
        assert counted(ops)["cpu"].iloc[-1] > 99
        assert len(Service(ops, "app").tasks("RUNNING")) == 10
    assert counted(ops)["cpu"].median() == pytest.approx(usual, rel=0.05)


def test_a_rollback_ends_what_a_deployment_brought(lab: PracticeLab, ops: Connection) -> None:
    with lab.broken("app-throws", PLACE):
        assert counted(ops)["target_5xx"].sum() > 10
    assert counted(ops)["target_5xx"].sum() == 0
