"""Latency: cold starts, a time-out that is too low, a hang and a slow statement are told apart.

A good day names none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from opslib import connect
from opslib.core.checks import plots
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding
from opslib.core.reads.functions import Function
from opslib.core.tables import frame
from opslib.databases.data import statements
from opslib.functions import latencies
from opslib.functions import requests as _requests
from opslib.functions.requests import Requests
from tests import notebooks

TARGET, PLACE = "lab/loglineos-production", "loglineos-production"
COLD, TOO_LOW, SLOW = "cold-start", "timeout-too-low", "slow-query"


def requests(
    count: int = 500, starts: int = 5, timeouts: int = 0, slow: Any = (), **given: Any
) -> Requests:
    """Requests with 1,500 ms as slow and 30 s as time-out.

    `slow`: (duration, initialisation) of each that is.
    """
    rows = [
        {"total_ms": d + i, "duration_ms": d, "init_ms": i, "route": "GET /x", "request": "r"}
        for d, i in slow
    ]
    told = {
        "p50_ms": 80.0,
        "p95_ms": 400.0,
        "longest_ms": 900.0,
        "slow_ms": 1500.0,
        "limit_ms": 30_000.0,
    } | given
    series = frame([], _requests.SERIES)
    return Requests(
        ended=count,
        starts=starts,
        timeouts=timeouts,
        slow=frame(rows, _requests.SLOW),
        series=series,
        **told,
    )


def stopped(ops: Connection, found: Requests, well: bool = True, seconds: int = 30) -> Finding:
    return latencies._stopped(Function(ops, "loader"), seconds, found, well)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("target", "function"),
    [(TARGET, "loader"), ("lab/bluemoxon-staging", "api"), ("lab/bluemoxon-production", "api")],
)
def test_a_good_day_names_no_cause(lab: Any, target: str, function: str) -> None:
    ops = connect(target)
    found = [*latencies.check_latency(ops, function), *statements.check_statements(ops)]
    assert not ops.findings.causes
    assert [
        f.status for f in found if f.check.startswith(("how long", "initial", "time-outs"))
    ] == ["ok"] * 3


def test_what_is_slow_before_the_function_is_looked_for_there(lab: Any) -> None:
    with lab.broken("api-slow", "bluemoxon-staging"):
        found = latencies.check_latency(connect("lab/bluemoxon-staging"), "api")
    assert (found.worst, found.causes) == ("ok", set())
    assert "health/quick" in found.note


@pytest.mark.parametrize("function", ["analysis-worker", "scraper"])
def test_a_worker_may_take_half_its_time_out(lab: Any, function: str) -> None:
    ops = connect("lab/bluemoxon-staging")
    found = latencies.check_latency(ops, function, 180)
    assert found.worst == "ok"
    assert (
        f"Slow: over {500 * ops.target['functions'][function]['timeout_seconds']:,} ms"
        in found.note
    )


@pytest.mark.slow
def test_starts_that_make_requests_slow_are_the_cause(ops: Connection, lab: Any) -> None:
    with lab.broken(COLD, PLACE):
        found = latencies.check_latency(ops, "loader")
    assert found.causes == {COLD}
    named = next(f for f in found if f.cause == COLD)
    assert named.next == "functions/scale"
    assert "of 5" in named.seen  # requests of an hour
    assert (found.evidence["with_start"] == found.evidence["slow"]).all()


@pytest.mark.slow
def test_what_callers_wait_for_shows_a_start(ops: Connection, lab: Any) -> None:
    with lab.broken(COLD, PLACE):
        found = latencies.check_latency(ops, "loader")
    assert isinstance(found, plots.Plotted)
    waits = next(line for line in found.panels[0].lines if line.label == "p95_ms")
    assert max(waits.values) > 1500


def test_a_tail_that_is_cut_is_the_cause_and_the_limit_of_the_gateway_is_said(
    ops: Connection, lab: Any
) -> None:
    with lab.broken(TOO_LOW, PLACE):
        found = latencies.check_latency(ops, "loader")
    assert (found.worst, found.causes) == ("critical", {TOO_LOW})
    named = next(f for f in found if f.cause)
    assert "database is well" in named.seen
    assert "API Gateway waits no longer" in named.seen
    assert "29 s (REST" in found.note
    assert "900 s" in found.note
    assert list(found.evidence["route"]) == ["POST /executions"]


def test_a_hang_is_no_time_out_that_is_too_low(ops: Connection, lab: Any) -> None:
    with lab.broken("database-unavailable", PLACE):
        found = latencies.check_latency(ops, "loader")
    assert (found.worst, found.causes) == ("critical", set())
    hang = next(f for f in found if f.check == "time-outs of loader")
    assert "something that does not answer" in hang.seen
    assert hang.next == "databases/health"


@pytest.mark.slow
def test_a_statement_without_its_index_is_the_cause(ops: Connection, lab: Any) -> None:
    with lab.broken(SLOW, PLACE):
        found = latencies.check_latency(ops, "loader")
        asked = statements.check_statements(ops)
    assert (found.causes, asked.causes) == (set(), {SLOW})
    taken = next(f for f in found if f.check.startswith("how long"))
    assert (taken.status, taken.next) == ("warn", "databases/health")
    assert "GET /spans" in taken.seen


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "drill",
    [
        "connections-near-limit",
        "database-cpu-high",
        "function-throttled",
        "malformed-requests",
        "bad-version",
        "configuration-drift",
        "access-denied",
    ],
)
def test_another_trouble_is_not_called_latency(ops: Connection, lab: Any, drill: str) -> None:
    with lab.broken(drill, PLACE):
        latencies.check_latency(ops, "loader")
        statements.check_statements(ops)
    assert not ops.findings.causes


def test_a_tail_runs_up_to_the_limit_and_a_hang_leaves_nothing_between() -> None:

    def shape(ended: list[int], timeouts: int, slow_ms: float = 1500.0) -> str:
        slow = [(duration, 0) for duration in ended]
        return requests(slow=slow, timeouts=timeouts, slow_ms=slow_ms).shape

    tail = [2_000, 4_000, 9_000, 12_000, 16_000, 19_000, 22_000, 27_000]
    assert shape(tail, 4) == "cut"
    assert shape([1_600, 1_700, 2_000], 20) == "hang"
    assert shape([], 5) == "hang"
    assert shape([2_000, 16_000, 18_000], 5) == ""  # neither: nothing in the last stretch
    assert shape(tail, 0) == ""
    assert shape(tail, 4, 30_000.0) == ""


def test_few_requests_at_night_prove_nothing() -> None:
    quiet = requests(count=6, starts=4, slow=[(400, 2_800)] * 4, p95_ms=3_200.0)
    assert not quiet.are_slow
    assert not quiet.start_cold
    assert not requests(count=60, timeouts=2).time_out
    assert requests(count=60, timeouts=3).time_out
    assert not requests(count=1000, timeouts=3).time_out


def test_requests_that_would_be_slow_anyway_are_not_blamed_on_their_start() -> None:
    assert requests(starts=60, slow=[(300, 2_800)] * 40).start_cold
    assert not requests(starts=60, slow=[(4_000, 700)] * 40).start_cold
    assert not requests(starts=20, slow=[(300, 2_800)] * 20).start_cold  # starts are rare
    assert not requests(
        starts=60, slow=[(300, 2_800)] * 20 + [(4_000, 0)] * 40
    ).start_cold  # and not what most wait for


def test_a_time_out_that_somebody_lowered_leads_to_the_configuration(ops: Connection) -> None:
    tail = requests(
        timeouts=5, slow=[(each, 0) for each in range(1_600, 9_900, 400)], limit_ms=10_000.0
    )
    found = stopped(ops, tail, seconds=10)
    assert (found.status, found.cause, found.next) == ("critical", "", "functions/configuration")
    assert "target's file says 30 s" in found.seen


def test_a_database_that_is_not_well_comes_first(ops: Connection) -> None:
    tail = requests(timeouts=5, slow=[(each, 0) for each in range(1_600, 29_900, 900)])
    assert stopped(ops, tail).cause == TOO_LOW
    found = stopped(ops, tail, well=False)
    assert (found.status, found.cause, found.next) == ("critical", "", "databases/health")


@pytest.mark.usefixtures("uncalled")
def test_a_function_that_was_not_called_is_unknown_and_has_a_picture(ops: Connection) -> None:
    found = latencies.check_latency(ops, "db-migration")
    assert [f.status for f in found if f.check.startswith("how long")] == ["unknown"]
    assert plots.draw(found).png


@pytest.mark.parametrize("operation", ["logs:StartQuery", "lambda:GetFunctionConfiguration"])
def test_what_is_denied_is_unknown(ops: Connection, lab: Any, operation: str) -> None:
    with lab.denied(operation, PLACE):
        found = latencies.check_latency(ops, "loader")
    assert {f.status for f in found} == {"unknown"}
    assert found.causes == {"access-denied"}


def test_without_metrics_the_log_still_tells_but_not_that_the_database_is_well(
    ops: Connection, lab: Any
) -> None:
    with lab.broken(TOO_LOW, PLACE), lab.denied("cloudwatch:GetMetricData", PLACE):
        found = latencies.check_latency(ops, "loader")
    assert found.causes == {"access-denied"}
    assert "or not known to be" in next(f.seen for f in found if f.status == "critical")


@pytest.fixture
def state(lab: Any) -> Iterator[None]:
    before = lab.state(PLACE)
    yield
    assert lab.state(PLACE) == before


def test_the_notebook_reads_only(lab: Any, state: None) -> None:
    left = notebooks.run("functions/latency")
    assert not left["ops"].findings.causes
    assert isinstance(left["found"].evidence, pd.DataFrame)
