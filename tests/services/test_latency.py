"""Latency of a service: each reason is found by its own evidence, and ruled out by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from opslib import connect
from opslib.core.checks import plots
from opslib.core.connections.connection import Connection
from opslib.core.tables import frame
from opslib.services import latencies, measures
from opslib.services.latencies import REVISION, TRAFFIC, Seen
from opslib.services.reasons import waits
from tests.conftest import PracticeLab
from tests.services.test_answers import HOUR, Deployed

PLACE = "image-caption-prod"


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{PLACE}")


def seen(ago: tuple[float, ...] = (), **given: Any) -> Seen:
    """A day as usual, and its last hour as given: a number for all of it, or one a period."""
    usual = dict.fromkeys(measures.MEASURES, 0.0)
    usual |= {"requests": 100.0, "of_all": 100.0, "p95_s": 1.0, "cpu": 30.0, "healthy": 2.0}
    times = pd.date_range(HOUR.start - timedelta(days=1), HOUR.end, freq="5min", inclusive="left")
    rows = [{"time": time} | usual for time in times]
    for at, row in enumerate(rows[-12:]):
        row.update({k: v[at] if isinstance(v, list) else v for k, v in given.items()})
    told = frame(rows, measures.COLUMNS).set_index("time")
    deployed = Deployed(*ago)
    return Seen(deployed, HOUR, told, 2.0, deployed.deployments(10))  # type: ignore[arg-type]


SLOW = [1.0] * 7 + [6.0] * 5  # from 11:35


def test_a_good_hour_rules_all_reasons_out(ops: Connection) -> None:
    found = latencies.check_latency(ops, "app")
    assert [each.status for each in found] == ["ok"] * 7
    assert not ops.findings.causes


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("drill", "cause", "follows"),
    [
        ("upstream-throttled", "upstream-throttled", "logs/throttling"),
        ("at-capacity", "at-capacity", "services/scale"),
        ("app-too-slow", "app-too-slow", "logs/query"),
    ],
)
def test_the_reason_is_named_and_no_other(
    lab: PracticeLab, ops: Connection, drill: str, cause: str, follows: str
) -> None:
    with lab.broken(drill, PLACE):
        found = latencies.check_latency(ops, "app")
    assert found.causes == {cause}
    assert follows in {each.next for each in found.troubles if each.cause == cause}


def test_what_none_explains_is_not_known() -> None:
    found = latencies._taken(seen(p95_s=SLOW), explained=False)
    assert (found.status, found.next) == ("warn", "logs/query")
    assert "not known" in found.seen


def test_single_slow_periods_of_a_day_are_none_and_three_near_each_other_are() -> None:
    times = pd.date_range(HOUR.start, periods=48, freq="5min")
    bad = pd.Series([at in (3, 20, 40) for at in range(48)], index=times)
    assert measures.together(bad).max() == 1
    apart = [6.0] + [1.0] * 10 + [6.0]
    assert latencies._taken(seen(p95_s=apart), explained=False).status == "ok"
    assert latencies._taken(seen(p95_s=[1.0, 6.0] * 6), explained=False).status == "warn"


def test_a_deployment_at_its_beginning_is_named() -> None:
    assert latencies._deployed(seen((27,), p95_s=SLOW)).cause == REVISION
    assert latencies._deployed(seen((27,), p95_s=SLOW)).status == "warn"
    assert latencies._deployed(seen((57,), p95_s=SLOW)).status == "ok"
    assert latencies._deployed(seen((27,))).status == "ok"  # deployed, and not slow


def test_more_requests_are_compared_with_the_same_times_of_the_day_before() -> None:
    many = latencies._asked(seen(p95_s=SLOW, requests=[100.0] * 7 + [300.0] * 5))
    assert (many.status, many.cause, many.next) == ("warn", TRAFFIC, "services/scale")
    assert latencies._asked(seen(p95_s=SLOW)).status == "ok"
    assert latencies._asked(seen(requests=300.0)).status == "ok"  # many, and not slow


def test_no_answer_in_the_window_is_unknown() -> None:
    assert latencies._taken(seen(p95_s=float("nan")), explained=False).status == "unknown"


def test_a_deployment_is_marked_in_the_pictures(lab: PracticeLab, ops: Connection) -> None:
    with lab.broken("app-throws", PLACE):
        found = latencies.check_latency(ops, "app")
        drawn = plots.draw(found)
    assert drawn.png
    assert "deployment: r6" in drawn.words


def test_denied_is_unknown_and_not_well(lab: PracticeLab, ops: Connection) -> None:
    with lab.denied("logs:FilterLogEvents", PLACE):
        found = {each.check: each.status for each in latencies.check_latency(ops, "app")}
    assert found["upstream of app"] == "unknown"


def idle(given: Seen, least: int | None = 0) -> Any:
    bounds = {} if least is None else {"MinCapacity": least}
    return waits.idle(given.service, given.now, given.slow_times, bounds)


def test_a_start_after_a_pause_is_cold_and_one_after_another_is_none() -> None:
    slow = [1.0, 6.0] * 6
    cold = idle(seen(p95_s=slow, healthy=[0.0, 2.0] * 6))
    assert (cold.status, cold.cause) == ("warn", "cold-start")
    assert "keep one, as the lower bound" in cold.seen
    assert idle(seen(p95_s=slow, requests=[0.0, 9.0] * 6), None).status == "warn"
    assert idle(seen(p95_s=slow)).status == "ok"  # slow, and never idle
    assert idle(seen(p95_s=6.0, healthy=[0.0, *[2.0] * 11])).status == "ok"  # slow all the time
    assert idle(seen(healthy=[0.0, 2.0] * 6)).status == "ok"  # idle, and not slow
    assert idle(seen(p95_s=slow, healthy=float("nan"))).status == "ok"  # not measured is not idle


STUDIO = "ai-studio-production"


def test_what_is_asked_explains_slow_answers_only(lab: PracticeLab) -> None:
    ops = connect(f"lab/{STUDIO}")
    with lab.broken("provider-slow", STUDIO):
        found = latencies.check_latency(ops, "gateway")
        # slow by a limit that nobody exceeds: the provider is slow, and explains nothing
        well = latencies.check_latency(ops, "gateway", slow_seconds=600)
    assert found.causes == {"provider-slow"}
    assert well.causes == set()


def test_a_metric_that_nobody_sends_is_unknown(
    lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = connect(f"lab/{STUDIO}")
    metric = ops.target.facts["metrics"]["openai-latency"]
    monkeypatch.setitem(metric, "dimensions", {"Provider": "nobody"})
    with lab.broken("provider-slow", STUDIO):
        found = {f.check: f for f in latencies.check_latency(ops, "gateway")}
    assert found["the provider of gateway"].status == "unknown"
    assert "openai-latency" in found["the provider of gateway"].seen


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("timeout set to 30 s", False),
        ('{"level": "INFO", "timeout": 30, "message": "starting"}', False),
        ("upstream request timed out", True),
        ("timeout: the model did not answer", True),
        ("Timeout of 30 s exceeded", True),
    ],
)
def test_a_time_out_that_is_a_setting_is_none_that_was_met(line: str, told: bool) -> None:
    assert any(sign.fits(line) for sign in waits.SIGNS[:-1]) == told
