"""Each drill in the ledger's functions does what it says,
and leaves nothing behind when it is mended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from opslib import connect
from opslib import lab as practice
from opslib.core.connections.connection import Connection
from opslib.core.reads import logs
from opslib.core.times import Window

PLACE = "loglineos-production"
LOADER = "loglineos-stage0-loader-production"
METRICS = {
    "Invocations": "Sum",
    "Errors": "Sum",
    "Throttles": "Sum",
    "Duration": "Maximum",
    "ConcurrentExecutions": "Maximum",
}


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{PLACE}")


@pytest.fixture
def past() -> Window:
    """A window that is over, so that nothing happens in it any more."""
    end = datetime.now().astimezone() - timedelta(minutes=2)
    return Window(end - timedelta(hours=2), end)


def lines(ops: Connection, within: Window, pattern: str = "") -> list[str]:
    return sorted(logs.search(ops, "loader", pattern, within)["message"])


def metric(ops: Connection, name: str, within: Window) -> list[float]:
    found = ops.call(
        "cloudwatch",
        "get_metric_statistics",
        Namespace="AWS/Lambda",
        MetricName=name,
        StartTime=within.start,
        EndTime=within.end,
        Period=300,
        Statistics=[METRICS[name]],
        Dimensions=[{"Name": "FunctionName", "Value": LOADER}],
    )["Datapoints"]
    return [point[METRICS[name]] for point in sorted(found, key=lambda point: point["Timestamp"])]


def test_cold_starts_are_in_the_report_lines_and_not_in_the_duration(
    lab: Any, ops: Connection, past: Window
) -> None:
    usual = max(metric(ops, "Duration", past))
    with lab.broken("cold-start", PLACE):
        reports = lines(ops, past, '"Init Duration"')
        assert (
            sum("Init Duration: 2" in line or "Init Duration: 3" in line for line in reports) > 30
        )
        assert max(metric(ops, "Duration", past)) == usual


def test_time_outs_come_with_runs_that_nearly_were(lab: Any, ops: Connection, past: Window) -> None:
    with lab.broken("timeout-too-low", PLACE):
        assert len(lines(ops, past, '"Task timed out after 30.00 seconds"')) >= 3
        assert max(metric(ops, "Duration", past)) == 30_000
        assert sum(metric(ops, "Errors", past)) >= 3


def test_what_is_throttled_never_ran(lab: Any, ops: Connection, past: Window) -> None:
    usual = sum(metric(ops, "Invocations", past))
    with lab.broken("function-throttled", PLACE):
        away = sum(metric(ops, "Throttles", past))
        assert away > 20
        assert sum(metric(ops, "Invocations", past)) == usual - away
        assert metric(ops, "ConcurrentExecutions", past)[-1] == 2


def test_mending_takes_away_whatever_was_reserved_meanwhile(lab: Any, ops: Connection) -> None:
    with lab.broken("function-throttled", PLACE):
        ops.call(
            "lambda",
            "put_function_concurrency",
            FunctionName=LOADER,
            ReservedConcurrentExecutions=50,
        )
        assert lab.state(PLACE)["lambda"][LOADER]["concurrency"] == 50
    assert lab.state(PLACE)["lambda"][LOADER]["concurrency"] is None


def test_malformed_requests_are_all_of_one_user(lab: Any, ops: Connection, past: Window) -> None:
    ordinary = len(lines(ops, past, '"Validation failed"'))
    with lab.broken("malformed-requests", PLACE):
        found = lines(ops, past, '"Validation failed"')
        assert len([line for line in found if "user-6202" in line]) == len(found) - ordinary > 30


@pytest.mark.slow
def test_two_drills_at_once_are_mended_one_by_one(lab: Any, ops: Connection, past: Window) -> None:
    before = lab.state(PLACE), lines(ops, past)
    practice.break_drill("configuration-drift", PLACE)
    practice.break_drill("bad-version", PLACE)
    practice.mend("configuration-drift", PLACE)
    practice.mend("bad-version", PLACE)
    assert (lab.state(PLACE), lines(ops, past)) == before
