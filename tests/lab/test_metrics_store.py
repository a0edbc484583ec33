"""Metrics: three layers, statistics and percentiles, namespaces and dimensions kept apart,
pages.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab import rhythms
from opslib.lab.corrections.cloudwatch.metric_stores import Store
from opslib.lab.corrections.cloudwatch.metrics import store
from opslib.lab.places import Place
from opslib.lab.rhythms import Samples, counts, daily_rhythm, latencies, shares

MINUTE = timedelta(minutes=1)


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("cloudwatch")


@pytest.fixture
def metrics(place: Place) -> Store:
    return store(place.account, place.region)


@pytest.fixture
def name() -> str:
    """A function's name, so that no test sees another's metrics."""
    return f"f-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


def dimensions(name: str) -> list[dict[str, str]]:
    return [{"Name": "FunctionName", "Value": name}]


def statistics(
    client: Any, name: str, metric: str, start: datetime, end: datetime, **asked: Any
) -> list[dict[str, Any]]:
    """The datapoints, in order."""
    given = {
        "Namespace": "AWS/Lambda",
        "Dimensions": dimensions(name),
        "Period": 300,
        "Statistics": ["Sum"],
    } | asked
    found = client.get_metric_statistics(MetricName=metric, StartTime=start, EndTime=end, **given)[
        "Datapoints"
    ]
    return sorted(found, key=lambda point: point["Timestamp"])


def sums(
    client: Any, name: str, metric: str, start: datetime, end: datetime, **asked: Any
) -> list[float]:
    return [point["Sum"] for point in statistics(client, name, metric, start, end, **asked)]


def test_a_baseline_is_the_same_each_time_and_ends_now(
    client: Any, metrics: Store, name: str, now: datetime
) -> None:
    metrics.baseline(
        "AWS/Lambda",
        "Invocations",
        {"FunctionName": name},
        counts(daily_rhythm(2, 40, 0.2, 7), 7),
        "Count",
    )
    day, later = now - timedelta(days=1), now + timedelta(days=1)
    first = statistics(client, name, "Invocations", day, later, Period=3600)
    assert first == statistics(client, name, "Invocations", day, later, Period=3600)
    assert len(first) == 25
    assert first[-1]["Timestamp"] <= datetime.now(UTC)
    assert {point["Unit"] for point in first} == {"Count"}
    values = [point["Sum"] for point in first[:-1]]
    assert min(values) < 60 * 8
    assert max(values) > 60 * 30
    minutes = sums(client, name, "Invocations", day, day + timedelta(hours=1), Period=60)
    assert (len(minutes), sum(minutes)) == (60, values[0])


def test_the_day_follows_the_lab_and_not_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    rhythm, rate = daily_rhythm(0, 100, 0.1, "x"), counts(0.5, 3)

    def seen(start: datetime, offset: float = 0) -> list[float]:
        monkeypatch.setattr(rhythms, "_Anchor", type("_Anchor", (), {}))
        rhythms.set_anchor(start, offset)
        return [
            fn(start.timestamp() + 60 * minute)
            for minute in range(-600, 0, 60)
            for fn in (rhythm, rate)
        ]

    morning, evening = (
        datetime(2026, 3, 1, 8, tzinfo=UTC),
        datetime(2026, 11, 9, 21, 30, tzinfo=UTC),
    )
    assert seen(morning) == pytest.approx(seen(evening))
    assert seen(morning) != pytest.approx(seen(morning, offset=6))


def test_percentiles_of_a_distribution(
    client: Any, metrics: Store, name: str, now: datetime
) -> None:
    metrics.baseline(
        "AWS/Lambda",
        "Duration",
        {"FunctionName": name},
        latencies(200.0, 20.0, spread=0.5),
        "Milliseconds",
    )
    asked = {
        "Statistics": ["SampleCount", "Minimum", "Maximum"],
        "ExtendedStatistics": ["p50", "p95", "p99", "p99.9"],
    }
    (point,) = statistics(client, name, "Duration", now - 10 * MINUTE, now - 5 * MINUTE, **asked)
    extended = point["ExtendedStatistics"]
    assert point["SampleCount"] == pytest.approx(100)
    assert extended["p50"] == pytest.approx(200, rel=0.1)
    assert (
        extended["p50"] < extended["p95"] < extended["p99"] <= extended["p99.9"] == point["Maximum"]
    )
    assert extended["p95"] == pytest.approx(420, rel=0.15)


def test_errors_average_to_a_rate(client: Any, metrics: Store, name: str, now: datetime) -> None:
    metrics.baseline("AWS/Lambda", "Errors", {"FunctionName": name}, shares(0.25, 20.0), "Count")
    (point,) = statistics(
        client, name, "Errors", now - 10 * MINUTE, now - 5 * MINUTE, Statistics=["Sum", "Average"]
    )
    assert (point["Sum"], point["Average"]) == (
        pytest.approx(25, abs=5),
        pytest.approx(0.25, abs=0.05),
    )


def test_an_overlay_holds_for_its_window_and_can_be_taken_away(
    client: Any, metrics: Store, name: str, now: datetime
) -> None:
    key = ("AWS/Lambda", "Errors", {"FunctionName": name})
    metrics.baseline(*key, lambda minute: 1.0)
    start, end = now - 20 * MINUTE, now
    instead = metrics.overlay(*key, now - 10 * MINUTE, now - 5 * MINUTE, lambda minute: 7.0)
    assert sums(client, name, "Errors", start, end) == [5, 5, 35, 5]
    beside = metrics.overlay(*key, now - 15 * MINUTE, None, lambda minute: 2.0, add=True)
    assert sums(client, name, "Errors", start, end) == [5, 15, 45, 15]
    instead.remove()
    beside.remove()
    beside.remove()
    assert sums(client, name, "Errors", start, end) == [5, 5, 5, 5]


def test_a_gauge_tells_the_truth_of_now_and_keeps_what_it_told(
    client: Any, metrics: Store, name: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth, clock = [0.0], [now.timestamp() + 1]
    monkeypatch.setattr(rhythms, "now", lambda: clock[0])
    metrics.baseline("AWS/SQS", "Depth", {"FunctionName": name}, lambda minute: 1.0)
    metrics.gauge("AWS/SQS", "Depth", {"FunctionName": name}, lambda: depth[0], "Count")

    def seen() -> list[float]:
        asked = {"Namespace": "AWS/SQS", "Period": 60, "Statistics": ["Maximum"]}
        points = statistics(client, name, "Depth", now - 2 * MINUTE, now + 9 * MINUTE, **asked)
        return [point["Maximum"] for point in points]

    assert seen() == [1, 1, 0]
    depth[0] = 5
    assert seen() == [1, 1, 5]
    metrics.tick()
    clock[0] += 180  # three minutes, of which none was kept
    depth[0] = 2
    assert seen() == [1, 1, 5, 5, 5, 2]


def test_what_is_put_comes_back(client: Any, name: str, now: datetime) -> None:
    common = {
        "MetricName": "Uploads",
        "Dimensions": dimensions(name),
        "Timestamp": now - 2 * MINUTE,
        "Unit": "Count",
    }
    of_three = {"Sum": 90.0, "SampleCount": 3.0, "Minimum": 10.0, "Maximum": 50.0}
    client.put_metric_data(
        Namespace="Practice",
        MetricData=[
            {**common, "Value": 4.0},
            {**common, "Values": [1.0, 2.0], "Counts": [3.0, 1.0]},
            {**common, "Timestamp": now - MINUTE, "StatisticValues": of_three},
        ],
    )
    names = ["Sum", "SampleCount", "Average", "Minimum", "Maximum"]
    asked = {
        "Namespace": "Practice",
        "Statistics": names,
        "ExtendedStatistics": ["p50"],
        "Period": 60,
        "Unit": "Count",
    }
    points = statistics(client, name, "Uploads", now - 3 * MINUTE, now, **asked)
    assert [[point[each] for each in names] for point in points] == [
        [9, 5, 1.8, 1, 4],
        [90, 3, 30, 10, 50],
    ]
    assert points[0]["ExtendedStatistics"] == {"p50": 1.0}
    assert "p50" not in points[1].get("ExtendedStatistics", {})  # a statistic set does not say
    assert (
        sums(client, name, "Uploads", now - 3 * MINUTE, now, Namespace="Practice", Unit="Bytes")
        == []
    )


def test_points_of_a_second(client: Any, name: str, now: datetime) -> None:
    when = now - 2 * MINUTE
    data = [
        {
            "MetricName": "Beat",
            "Dimensions": dimensions(name),
            "Timestamp": when + timedelta(seconds=second),
            "Value": 1.0,
            "StorageResolution": 1,
        }
        for second in range(30)
    ]
    client.put_metric_data(Namespace="Practice", MetricData=data)
    assert sums(client, name, "Beat", when, when + MINUTE, Namespace="Practice", Period=10) == [
        10,
        10,
        10,
    ]


def test_namespace_and_dimensions_match_exactly(
    client: Any, metrics: Store, name: str, now: datetime
) -> None:
    metrics.baseline("AWS/Lambda", "Errors", {"FunctionName": name}, lambda minute: 1.0)
    metrics.baseline("Other", "Errors", {"FunctionName": name}, lambda minute: 2.0)
    metrics.baseline(
        "AWS/Lambda",
        "Errors",
        {"FunctionName": name, "Resource": f"{name}:live"},
        lambda minute: 3.0,
    )
    window = (now - 5 * MINUTE, now)
    assert sums(client, name, "Errors", *window) == [5]
    assert sums(client, name, "Errors", *window, Namespace="Other") == [10]
    alias = [*dimensions(name), {"Name": "Resource", "Value": f"{name}:live"}]
    assert sums(client, name, "Errors", *window, Dimensions=alias) == [15]
    assert sums(client, name, "Errors", *window, Dimensions=[]) == []
    found = client.list_metrics(
        Namespace="AWS/Lambda", MetricName="Errors", Dimensions=[{"Name": "Resource"}]
    )["Metrics"]
    assert [metric["Dimensions"] for metric in found] == [alias]


def test_datapoints_are_not_sorted(client: Any, metrics: Store, name: str, now: datetime) -> None:
    metrics.baseline("AWS/Lambda", "Errors", {"FunctionName": name}, lambda minute: 1.0)
    asked = {
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Dimensions": dimensions(name),
        "Statistics": ["Sum"],
    }
    window = {"StartTime": now - 60 * MINUTE, "EndTime": now, "Period": 300}
    times = [
        point["Timestamp"]
        for point in client.get_metric_statistics(**asked, **window)["Datapoints"]
    ]
    assert len(times) == 12
    assert times != sorted(times)


def test_list_metrics_in_pages(client: Any, metrics: Store, name: str) -> None:
    for number in range(501):
        metrics.baseline(name, "Load", {"Host": f"h{number:03}"}, lambda minute: 1.0)
    gone = metrics.overlay(name, "Gone", {}, 0.0, None, lambda minute: 1.0)
    gone.remove()
    pages = list(client.get_paginator("list_metrics").paginate(Namespace=name))
    assert [len(page["Metrics"]) for page in pages] == [500, 1]
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        client.list_metrics(Namespace=name, NextToken="nonsense")
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        client.list_metrics(NextToken=client.list_metrics(Namespace=name)["NextToken"])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"Period": 7}, "InvalidParameterValue"),
        ({"Period": 60}, "InvalidParameterCombination"),  # 2,880 datapoints
        ({"Statistics": None}, "InvalidParameterCombination"),
        ({"Statistics": ["Median"]}, "InvalidParameterValue"),
        ({"ExtendedStatistics": ["p101"]}, "InvalidParameterValue"),
        ({"ExtendedStatistics": ["PR(10%:90%)"]}, "InvalidParameterValue"),
        ({"EndTime": datetime(2020, 1, 1, tzinfo=UTC)}, "InvalidParameterValue"),
    ],
)
def test_what_get_metric_statistics_refuses(
    client: Any, now: datetime, asked: dict[str, Any], code: str
) -> None:
    given = {"Namespace": "N", "MetricName": "M", "Period": 300, "Statistics": ["Sum"]}
    given |= {"StartTime": now - timedelta(days=2), "EndTime": now} | asked
    with pytest.raises(ClientError, match=code):
        client.get_metric_statistics(
            **{key: value for key, value in given.items() if value is not None}
        )


@pytest.mark.parametrize(
    ("namespace", "datum", "code"),
    [
        ("AWS/Lambda", {"Value": 1.0}, "InvalidParameterValue"),
        ("N", {"Value": float("nan")}, "InvalidParameterValue"),
        (
            "N",
            {"Value": 1.0, "Timestamp": datetime(2020, 1, 1, tzinfo=UTC)},
            "InvalidParameterValue",
        ),
        ("N", {"Values": [1.0, 2.0], "Counts": [1.0]}, "InvalidParameterValue"),
        ("N", {}, "InvalidParameterCombination"),
    ],
)
def test_what_put_metric_data_refuses(
    client: Any, namespace: str, datum: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError, match=code):
        client.put_metric_data(Namespace=namespace, MetricData=[{"MetricName": "M", **datum}])


def test_a_day_of_twenty_metrics_comes_in_one_answer(
    client: Any, metrics: Store, name: str, now: datetime
) -> None:
    queries = []
    for number in range(20):
        calls = daily_rhythm(2, 40, 0.2, number)
        metrics.baseline(
            name, f"M{number}", {}, latencies(calls, calls) if number % 2 else counts(calls, number)
        )
        stat = {"Metric": {"Namespace": name, "MetricName": f"M{number}"}, "Period": 300}
        queries.append(
            {"Id": f"m{number}", "MetricStat": stat | {"Stat": "p95" if number % 2 else "Sum"}}
        )

    asked = {"StartTime": now - timedelta(days=1), "EndTime": now}
    results = client.get_metric_data(MetricDataQueries=queries, **asked)["MetricDataResults"]
    assert [len(result["Values"]) for result in results] == [288] * 20


def test_samples_may_come_as_lists(client: Any, metrics: Store, name: str, now: datetime) -> None:
    metrics.baseline(
        "AWS/Lambda",
        "Duration",
        {"FunctionName": name},
        lambda minute: Samples([1.0, 9.0], [3.0, 1.0]),
    )
    metrics.put("AWS/Lambda", "Duration", {"FunctionName": name}, now - 2 * MINUTE, 100.0)
    (point,) = statistics(
        client, name, "Duration", now - 5 * MINUTE, now, Statistics=["Maximum", "SampleCount"]
    )
    assert (point["Maximum"], point["SampleCount"]) == (100, 21)
