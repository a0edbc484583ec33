"""What always was and is not; what comes to its limit; and healthy variations that are neither."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from opslib import services
from opslib.core import Findings, Target, frame
from opslib.core.checks.series import WEEK, Silence, hours_left, silence
from opslib.core.connections.targets import Facts
from opslib.core.reads import metrics
from opslib.metrics import expectations

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday, at noon


def counted(per_period: float, until: float = 0, weeks: int = 0) -> pd.Series:
    """What was seen every five minutes of three hours, up to so many minutes ago."""
    end = NOW - weeks * WEEK
    times = pd.date_range(end - timedelta(hours=3), end, freq="5min", inclusive="left")
    kept = times[times < end - timedelta(minutes=until)]
    return pd.Series(per_period, index=kept) if per_period else pd.Series(0.0, index=kept[:0])


def before(*rates: float) -> list[pd.Series]:
    return [counted(rate, 0, week) for week, rate in enumerate(rates, 1)]


def silent(present: pd.Series, earlier: list[pd.Series]) -> Silence | None:
    return silence(NOW, present, earlier)


def test_traffic_that_falls_silent_at_noon_is_told_by_what_it_was_each_week() -> None:
    found = silent(counted(30, until=60), before(28, 33, 25))
    assert found is not None
    assert (found.minutes, found.usual) == (60, 12 * 25)


def test_a_metric_without_a_point_in_the_whole_window_is_told_too() -> None:
    found = silent(counted(0), before(5, 5, 5))
    assert found is not None
    assert (found.since, found.minutes, found.usual) == (None, 180, 36 * 5)


def test_traffic_that_falls_to_a_twentieth_is_told_and_a_quiet_hour_is_not() -> None:
    fallen = counted(30)
    fallen.iloc[-12:] = 1
    found = silent(fallen, before(28, 33, 25))
    assert found is not None
    assert (found.seen, found.minutes, found.usual) == (12, 60, 300)
    quieter = counted(30)
    quieter.iloc[-12:] = 8
    assert silent(quieter, before(28, 33, 25)).minutes < 15


def test_zeros_are_as_silent_as_nothing() -> None:
    zeros = counted(30)
    zeros.iloc[-20:] = 0
    assert silent(zeros, before(30, 30, 30)).usual >= 20 * 30


@pytest.mark.parametrize(
    ("present", "earlier"),
    [
        pytest.param(counted(30), before(30, 30, 30), id="busy as ever"),
        pytest.param(counted(0), before(0, 0, 0), id="a quiet night, as each"),
        pytest.param(counted(0), before(30, 0, 30), id="one of the weeks was as quiet"),
        pytest.param(counted(0), before(30, 0, 0), id="a new system"),
        pytest.param(counted(0), [], id="without a past"),
        pytest.param(counted(0), before(0.1, 0.2, 0.1), id="a job that seldom runs"),
        pytest.param(counted(30, until=10), before(30, 30, 30), id="CloudWatch is late"),
        pytest.param(counted(300), before(30, 30, 30), id="a burst"),
    ],
)
def test_what_is_healthy_is_not_silent(present: pd.Series, earlier: list[pd.Series]) -> None:
    found = silent(present, earlier)
    assert found is None or found.usual < 20 or found.minutes < 15


def weeks(value: Callable[[float], float], days: float = 14, seed: int = 7) -> pd.Series:
    """Every quarter of an hour: `value` of the hours before now, with a hundredth of noise."""
    times = pd.date_range(NOW - timedelta(days=days), NOW, freq="15min")
    ago = [(NOW - time) / timedelta(hours=1) for time in times]
    noise = random.Random(seed)
    return pd.Series([value(h) * noise.uniform(0.99, 1.01) for h in ago], index=times)


def rhythm(low: float, high: float) -> Callable[[float], float]:
    """A day's: lowest at night, highest at 16:00; steepest now."""
    return lambda ago: low + (high - low) * (0.5 + 0.5 * math.cos((ago + 4) * math.pi / 12))


GB = 1e9


@pytest.mark.parametrize(
    ("value", "limit", "low", "high"),
    [
        pytest.param(lambda ago: (120 - 12 * max(0, 5 - ago)) * GB, 0, 4, 6, id="12 GB an hour"),
        pytest.param(lambda ago: (60 - 12 * max(0, 2 - ago)) * GB, 0, 2, 4, id="since two hours"),
        pytest.param(lambda ago: (30 + 6 * ago / 24) * GB, 0, 96, 144, id="6 GB a day"),
        pytest.param(lambda ago: 20 + 10 * max(0, 6 - ago), 100, 1, 3, id="connections leak"),
        pytest.param(
            lambda ago: rhythm(20, 40)(ago) + 8 * (14 - ago / 24) / 2, 100, 30, 168, id="more a day"
        ),
        pytest.param(lambda ago: 3600 * max(0, 40 - ago), 345_600, 50, 60, id="a stuck message"),
    ],
)
def test_when_something_meets_its_limit(
    value: Callable[[float], float], limit: float, low: float, high: float
) -> None:
    left = hours_left(weeks(value), limit)
    assert left is not None
    assert low <= left <= high


def twice(since: float) -> Callable[[float], float]:
    """A day's rhythm, with twice the traffic since some hours, from the middle of a quarter on."""
    return lambda ago: rhythm(8, 20)(ago) * (1 + min(1.0, max(0.0, 2 * (since - ago))))


def burst(ago: float) -> float:
    return 20 + (30 if 0.5 < ago < 1 else 0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("value", "limit", "days"),
    [
        pytest.param(rhythm(20, 60), 100, 14, id="connections of every day, at their steepest"),
        pytest.param(rhythm(5, 45), 50, 14, id="near its limit each afternoon"),
        pytest.param(twice(8), 60, 14, id="twice the traffic since the night"),
        pytest.param(twice(5), 60, 14, id="twice the traffic since five hours"),
        pytest.param(twice(2.1), 60, 14, id="twice the traffic since two hours"),
        pytest.param(lambda _: 64 * GB, 0, 14, id="storage that stays"),
        pytest.param(rhythm(50 * GB, 60 * GB), 0, 14, id="temporary files by day"),
        pytest.param(burst, 100, 14, id="a small burst"),
        pytest.param(lambda ago: 45.0 if ago < 1 else 20.0, 100, 14, id="a step, by a deployment"),
        pytest.param(lambda ago: 20 + 10 * max(0, 2 - ago), 100, 0.5, id="a new system"),
        pytest.param(lambda ago: (60 - ago % 168 / 24) * GB, 0, 14, id="cleaned every week"),
        pytest.param(lambda ago: 20 + (16 if ago % 24 < 3 else 0), 100, 14, id="a batch each day"),
        pytest.param(lambda _: 0.0, 345_600, 14, id="an empty queue"),
        pytest.param(lambda ago: 900 * max(0, 1 - abs(ago - 3)), 345_600, 14, id="a queue's batch"),
        pytest.param(lambda ago: 40.0 if (ago // 24 + 2) % 7 < 2 else 60.0, 100, 14, id="weekends"),
    ],
)
def test_what_is_healthy_does_not_come_to_its_limit(
    value: Callable[[float], float], limit: float, days: float, seed: int
) -> None:
    left = hours_left(weeks(value, days, seed), limit)
    assert left is None or left > 168


class Recorded:
    """A target whose metrics are these, by the week they are of."""

    def __init__(self, **series: list[pd.Series]) -> None:
        facts: Any = {
            "functions": {"api": {"name": "shop-api"}},
            "metrics": {"cpu": {"title": "CPU", **_CPU}},
        }
        self.target = Described(Facts(facts, "a file"))
        self.series, self.findings, self.changed = series, Findings(), False
        self.journal = SimpleNamespace(write=lambda *_, **__: None)

    def now(self) -> datetime:
        return NOW

    def each(self, read: Callable[[Any], Any], names: Any) -> dict[Any, Any]:
        return {name: read(name) for name in names}

    def query(self, _: Any, queries: Any, within: Any) -> pd.DataFrame:
        week = round((NOW - within.end) / WEEK) if within.minutes < 20 * 1440 else -1
        rows = [
            {"time": time, "id": query["Id"], "label": "", "value": value}
            for query in queries
            for time, value in self._series(query)[week].items()
        ]
        return frame(rows, metrics.SERIES)

    def _series(self, query: Any) -> list[pd.Series]:
        name = query["MetricStat"]["Metric"]["MetricName"]
        return self.series.get(name, [counted(0)] * 4)


class Described(SimpleNamespace):
    at = Target.at

    def __init__(self, facts: Any) -> None:
        super().__init__(facts=facts)

    def __getitem__(self, key: str) -> Any:
        return self.facts[key]

    def get(self, key: str) -> Any:
        return self.facts.get(key, {})


_CPU = {
    "namespace": "AWS/RDS",
    "metric": "CPUUtilization",
    "statistic": "Average",
    "dimensions": {"DBInstanceIdentifier": "shop"},
}


@pytest.mark.parametrize(
    ("invocations", "cpu", "expected"),
    [
        (counted(30), counted(5), [("ok", "")]),
        (counted(30, until=90), counted(5), [("critical", "AWS/Lambda shop-api")]),
        (counted(30), counted(5, until=120), [("unknown", "AWS/RDS shop")]),
        (counted(0.1), counted(5), [("warn", "AWS/Lambda shop-api")]),
    ],
)
def test_what_is_silent_is_named_by_what_it_is_of(
    monkeypatch: pytest.MonkeyPatch, invocations: Any, cpu: Any, expected: list[Any]
) -> None:
    ops: Any = Recorded(
        Invocations=[invocations, *before(20, 25, 30)], CPUUtilization=[cpu, *before(5, 5, 5)]
    )
    monkeypatch.setattr(metrics, "query", ops.query)
    found = expectations.check_silence(ops)
    for finding, (status, of) in zip(found, expected, strict=True):
        assert finding.status == status
        assert of in finding.check
        assert (finding.cause == expectations.SILENT) is (status != "ok")


def test_less_traffic_is_one_finding_however_many_count_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ops: Any = Recorded(
        Invocations=[counted(0.1), *before(20, 25, 30)],
        CPUUtilization=[counted(5), *before(5, 5, 5)],
    )
    ops.target.facts["functions"]["worker"] = {"name": "shop-worker"}
    monkeypatch.setattr(metrics, "query", ops.query)
    assert [f.status for f in expectations.check_silence(ops)] == ["warn"]
    ops.series["Invocations"][0] = counted(30, until=90)
    assert [f.status for f in expectations.check_silence(ops)] == ["critical", "critical"]


@pytest.mark.parametrize(
    ("metric", "now", "weeks", "far"),
    [
        ("WriteLatency", 0.35, (0.002, 0.003, 0.002), True),
        ("WriteLatency", 0.018, (0.001, 0.001, 0.001), False),  # ten times, and quick still
        ("WriteLatency", 0.35, (0.002, 0.3, 0.002), False),  # as on that day a fortnight ago
        ("FreeableMemory", 1.5e8, (2.4e9, 2.5e9, 2.4e9), True),
        ("FreeableMemory", 1.5e8, (2e8, 1.6e8, 1.7e8), False),  # it always is so
        ("FreeableMemory", 6e9, (4e10, 4e10, 4e10), False),
        ("SwapUsage", 3e9, (0, 0, 0), True),
        ("SwapUsage", 3e9, (0,), None),  # too young to have a habit: nothing is said
    ],
)
def test_a_database_far_from_its_other_weeks_is_told(
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
    now: float,
    weeks: tuple[float, ...],
    far: bool | None,
) -> None:
    said = [counted(value or 1e-9, 0, week) for week, value in enumerate((now, *weeks))]
    said += [counted(0)] * (3 - len(weeks))
    ops: Any = Recorded(**{metric: said})
    ops.target.facts["database"] = {"instance": "shop"}
    monkeypatch.setattr(metrics, "query", ops.query)
    found = expectations.check_levels(ops)
    assert [f.status for f in found] == {True: ["warn"], False: ["ok"], None: []}[far]
    assert any(metric in f.seen for f in found) is bool(far)


@pytest.mark.parametrize(
    ("metric", "now", "weeks", "far"),
    [
        ("Duration", 900, (70, 80, 75), True),
        ("Duration", 280, (12, 13, 12), False),  # many times, and quick still
        ("Duration", 900, (70, 80, 300), False),
        ("Invocations", 4000, (25, 30, 28), True),  # something calls it again and again
        ("Invocations", 90, (25, 30, 28), False),
        ("Invocations", 4000, (0, 30, 28), None),  # not always called: nothing is said
    ],
)
def test_a_function_that_got_slow_below_its_threshold_or_is_called_in_a_loop_is_told(
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
    now: float,
    weeks: tuple[float, ...],
    far: bool | None,
) -> None:
    ops: Any = Recorded(**{metric: [counted(now), *before(*weeks)]})
    monkeypatch.setattr(metrics, "query", ops.query)
    found = expectations.check_levels(ops)
    assert [f.status for f in found] == {True: ["warn"], False: ["ok"], None: []}[far]
    assert all(f"{metric} of shop-api" in f.seen for f in found.troubles)


@pytest.mark.parametrize(("hours", "expected"), [(7, "warn"), (1.5, "ok")])
def test_what_runs_each_hour_is_missed_on_the_same_day(
    monkeypatch: pytest.MonkeyPatch, hours: float, expected: str
) -> None:
    runs = [NOW - timedelta(hours=hours + each) for each in range(24 * 27)]
    told = [counted(0), *before(0, 0, 0), pd.Series(1.0, index=runs[::-1])]
    ops: Any = Recorded(Invocations=told, CPUUtilization=[counted(5), *before(5, 5, 5)])
    monkeypatch.setattr(metrics, "query", ops.query)
    assert [f.status for f in expectations.check_silence(ops)] == [expected]


@pytest.mark.parametrize(("until", "status"), [(0, "ok"), (90, "critical")])
def test_a_service_that_nobody_asks_any_more_is_told(
    monkeypatch: pytest.MonkeyPatch, until: float, status: str
) -> None:
    ops: Any = Recorded(RequestCount=[counted(30, until=until), *before(20, 25, 30)])
    ops.target.facts = {"services": {"app": {}}}
    monkeypatch.setattr(metrics, "query", ops.query)
    balanced = [{"LoadBalancer": "app/shop/1", "TargetGroup": "targetgroup/shop/2"}]
    monkeypatch.setattr(services, "balanced", lambda _: balanced)
    (found,) = expectations.check_silence(ops)
    assert found.status == status
    assert found.next == ("services/health" if until else "")


@pytest.mark.parametrize(("hours_ago", "expected"), [(33, "warn"), (9, "ok")])
def test_a_nightly_function_that_did_not_run_is_told(
    monkeypatch: pytest.MonkeyPatch, hours_ago: int, expected: str
) -> None:
    """As the last of the list: what it ran in four weeks."""
    nights = [NOW - timedelta(hours=hours_ago + 24 * night) for night in range(20)]
    present = counted(0) if hours_ago > 26 else pd.Series([1.0], index=[nights[0]])
    runs = [present, *before(0, 0, 0), pd.Series(1.0, index=nights[::-1])]
    ops: Any = Recorded(Invocations=runs, CPUUtilization=[counted(5), *before(5, 5, 5)])
    monkeypatch.setattr(metrics, "query", ops.query)
    found = expectations.check_silence(ops)
    assert [f.status for f in found] == [expected]
    assert ("since 11-24 03:00 UTC; two were never more than 24 h" in found[0].seen) is (
        expected == "warn"
    )
