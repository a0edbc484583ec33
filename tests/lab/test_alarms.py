"""Alarms: evaluated on the metrics of now, with their reasons, history and filters.

Dashboards as the console takes them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab import corrections, rhythms
from opslib.lab.corrections.cloudwatch import alarms
from opslib.lab.corrections.cloudwatch.metric_stores import Store
from opslib.lab.corrections.cloudwatch.metrics import store
from opslib.lab.places import Place

MINUTE = timedelta(minutes=1)


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("cloudwatch")


@pytest.fixture
def metrics(place: Place) -> Store:
    return store(place.account, place.region)


@pytest.fixture
def name() -> str:
    return f"a-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The present, half a minute past a whole one, at least a minute ago; a test may move it."""
    now = [datetime.now(UTC).timestamp() // 60 * 60 - 30]
    monkeypatch.setattr(rhythms, "now", lambda: now[0])
    return now


def put(client: Any, name: str, **given: Any) -> None:
    """An alarm on Errors of a namespace of that name: more than 10 in five minutes."""
    asked = {
        "Namespace": name,
        "MetricName": "Errors",
        "Period": 300,
        "EvaluationPeriods": 1,
        "Statistic": "Sum",
        "Threshold": 10.0,
        "ComparisonOperator": "GreaterThanThreshold",
    } | given
    client.put_metric_alarm(
        AlarmName=name, **{key: value for key, value in asked.items() if value is not None}
    )


def alarm(client: Any, name: str) -> dict[str, Any]:
    (found,) = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert isinstance(found, dict)
    return found


def state(client: Any, name: str) -> str:
    return str(alarm(client, name)["StateValue"])


def stamp(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d/%m/%y %H:%M:%S}"


@pytest.mark.slow
def test_an_alarm_follows_its_metric_and_says_why(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    put(client, name)
    assert state(client, name) == "INSUFFICIENT_DATA"
    metrics.baseline(name, "Errors", {}, lambda minute: 1.0)
    assert alarm(client, name)["StateReason"] == (
        f"Threshold Crossed: 1 datapoint [5.0 ({stamp(clock[0] - 270)})] was not greater than the "
        "threshold (10.0)."
    )
    fault = metrics.overlay(name, "Errors", {}, clock[0] - 120, None, lambda minute: 7.0)
    found = alarm(client, name)
    assert found["StateValue"] == "ALARM"
    assert found["StateReason"] == (
        f"Threshold Crossed: 1 out of the last 1 datapoints [23.0 ({stamp(clock[0] - 270)})] was "
        "greater than the "
        "threshold (10.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    data = json.loads(found["StateReasonData"])
    assert (data["recentDatapoints"], data["threshold"], data["statistic"]) == ([23.0], 10.0, "Sum")
    fault.remove()
    assert state(client, name) == "OK"


def test_an_alarm_tells_when_its_metric_crossed(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    metrics.baseline(name, "Errors", {}, lambda minute: 1.0)
    put(client, name)
    assert state(client, name) == "OK"
    clock[0] += 3600
    metrics.overlay(name, "Errors", {}, clock[0] - 1800, None, lambda minute: 12.0)
    crossed = (clock[0] - 1800) // 60 * 60
    assert alarm(client, name)["StateUpdatedTimestamp"].timestamp() == crossed
    newest = client.describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")[
        "AlarmHistoryItems"
    ][0]
    assert newest["Timestamp"].timestamp() == crossed
    assert newest["HistorySummary"] == "Alarm updated from OK to ALARM"
    change = json.loads(newest["HistoryData"])
    assert (change["oldState"]["stateValue"], change["newState"]["stateValue"]) == ("OK", "ALARM")


def test_the_history_of_an_alarm(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    put(client, name)
    metrics.baseline(name, "Errors", {}, lambda minute: 1.0)
    alarm(client, name)
    clock[0] += 600
    put(client, name, Threshold=1.0)
    alarm(client, name)
    asked = {"AlarmName": name, "ScanBy": "TimestampAscending"}
    items = client.describe_alarm_history(**asked)["AlarmHistoryItems"]
    assert [item["HistorySummary"] for item in items] == [
        f'Alarm "{name}" created',
        "Alarm updated from INSUFFICIENT_DATA to OK",
        f'Alarm "{name}" updated',
        "Alarm updated from OK to ALARM",
    ]
    later = client.describe_alarm_history(
        **asked, StartDate=datetime.fromtimestamp(clock[0] - 300, UTC)
    )
    assert len(later["AlarmHistoryItems"]) == 2
    pages = list(
        client.get_paginator("describe_alarm_history").paginate(
            **asked, PaginationConfig={"PageSize": 3}
        )
    )
    assert [len(page["AlarmHistoryItems"]) for page in pages] == [3, 1]


# Oldest first: 0 within, X breaching, - missing. The tables of "How alarm state is evaluated when
# data is missing".
@pytest.mark.parametrize(
    ("points", "needed", "states"),
    [
        ("0-X-X", 3, ["OK", "OK", "OK", "OK"]),
        ("0----", 3, ["OK", "OK", "OK", "OK"]),
        ("-----", 3, ["INSUFFICIENT_DATA", "kept", "ALARM", "OK"]),
        ("0XX-X", 3, ["ALARM", "ALARM", "ALARM", "ALARM"]),
        ("----X", 3, ["INSUFFICIENT_DATA", "kept", "ALARM", "OK"]),
        ("X----", 3, ["ALARM", "kept", "ALARM", "OK"]),
        ("0-X-X", 2, ["ALARM", "ALARM", "ALARM", "ALARM"]),
        ("00X0X", 2, ["ALARM", "ALARM", "ALARM", "ALARM"]),
        ("0-X--", 2, ["OK", "OK", "ALARM", "OK"]),
        ("----0", 2, ["OK", "OK", "ALARM", "OK"]),
        ("----X", 2, ["INSUFFICIENT_DATA", "kept", "ALARM", "OK"]),
    ],
)
def test_missing_data_is_treated_as_asked(
    client: Any,
    metrics: Store,
    name: str,
    clock: list[float],
    points: str,
    needed: int,
    states: list[str],
) -> None:
    end = clock[0] // 60 * 60 + 60
    for step, point in enumerate(points):
        if point != "-":
            metrics.put(
                name, "Errors", {}, end - 300 * (len(points) - step), 99.0 if point == "X" else 1.0
            )
    for treatment, expected in zip(
        ("missing", "ignore", "breaching", "notBreaching"), states, strict=True
    ):
        alarm_name = f"{name}-{treatment}"
        given = {"EvaluationPeriods": 3, "DatapointsToAlarm": needed, "TreatMissingData": treatment}
        put(client, alarm_name, Namespace=name, **given)
        assert state(client, alarm_name) == (
            "INSUFFICIENT_DATA" if expected == "kept" else expected
        ), treatment


def test_reasons_that_speak_of_missing_data(client: Any, name: str, clock: list[float]) -> None:
    put(client, name, EvaluationPeriods=2, TreatMissingData="breaching")
    assert alarm(client, name)["StateReason"] == (
        "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints "
        "were treated as [Breaching]."
    )
    put(client, f"{name}-b", Namespace=name, TreatMissingData="notBreaching")
    assert alarm(client, f"{name}-b")["StateReason"] == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was "
        "treated as [NonBreaching]."
    )


def test_a_percentile_and_a_comparison_downwards(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    metrics.baseline(name, "Errors", {}, rhythms.latencies(1000.0, 10.0))
    put(client, name, Statistic=None, ExtendedStatistic="p95", Threshold=1500.0)
    assert state(client, name) == "ALARM"
    put(client, name, Statistic=None, ExtendedStatistic="p50", Threshold=1500.0)
    assert state(client, name) == "OK"
    put(
        client,
        name,
        Statistic="Minimum",
        Threshold=0.0,
        ComparisonOperator="LessThanOrEqualToThreshold",
    )
    assert state(client, name) == "OK"


def test_an_alarm_on_an_expression(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    metrics.baseline(name, "Errors", {}, lambda minute: 1.0)
    metrics.baseline(name, "Calls", {}, lambda minute: 20.0)
    queries: list[dict[str, Any]] = [
        {"Id": "rate", "Expression": "100 * errors / calls", "ReturnData": True}
    ]
    for metric in ("Errors", "Calls"):
        stat = {"Metric": {"Namespace": name, "MetricName": metric}, "Period": 300, "Stat": "Sum"}
        queries.append({"Id": metric.lower(), "MetricStat": stat, "ReturnData": False})
    given = {"EvaluationPeriods": 1, "Threshold": 4.0, "ComparisonOperator": "GreaterThanThreshold"}
    client.put_metric_alarm(AlarmName=name, Metrics=queries, **given)
    found = alarm(client, name)
    assert found["StateValue"] == "ALARM"
    assert "[5.0 (" in found["StateReason"]
    assert {query["Id"] for query in found["Metrics"]} == {"rate", "errors", "calls"}
    queries[0]["Expression"] = "SEARCH('x', 'Sum')"
    with pytest.raises(ClientError, match="'SEARCH' is not supported"):
        client.put_metric_alarm(AlarmName=name, Metrics=queries, **given)
    assert alarm(client, name)["StateValue"] == "ALARM"  # what was there is still there


def test_a_gauge_is_seen_at_once(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    depth = [0.0]
    metrics.gauge(name, "Errors", {}, lambda: depth[0], "Count")
    put(client, name, Period=60, Statistic="Maximum", Threshold=0.0, Unit="Count")
    assert state(client, name) == "OK"
    depth[0] = 3
    assert state(client, name) == "ALARM"


def test_a_state_that_was_set_lasts_until_the_next_evaluation(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    metrics.baseline(name, "Errors", {}, lambda minute: 1.0)
    put(client, name)
    assert state(client, name) == "OK"
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a drill")
    assert [alarm(client, name)[key] for key in ("StateValue", "StateReason")] == [
        "ALARM",
        "a drill",
    ]
    clock[0] += 60
    assert state(client, name) == "OK"
    summaries = [
        item["HistorySummary"]
        for item in client.describe_alarm_history(AlarmName=name)["AlarmHistoryItems"]
    ]
    assert summaries[:2] == ["Alarm updated from ALARM to OK", "Alarm updated from OK to ALARM"]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client.set_alarm_state(AlarmName="no-such", StateValue="OK", StateReason="x")
    with pytest.raises(ClientError, match="ValidationError"):
        client.set_alarm_state(AlarmName=name, StateValue="FINE", StateReason="x")


def test_every_filter_is_honoured(
    client: Any, metrics: Store, name: str, clock: list[float]
) -> None:
    metrics.baseline(name, "Errors", {}, lambda minute: 3.0)
    for number in range(4):
        action = f"arn:aws:sns:us-west-2:111111111111:{name}-{number % 2}"
        put(
            client,
            f"{name}-{number}",
            Namespace=name,
            Threshold=10.0 * (1 + number % 2),
            AlarmActions=[action],
        )

    def names(**asked: Any) -> list[str]:
        return [
            each["AlarmName"].removeprefix(name)
            for each in client.describe_alarms(**asked)["MetricAlarms"]
        ]

    assert names(AlarmNamePrefix=name) == ["-0", "-1", "-2", "-3"]
    assert names(AlarmNamePrefix=name, StateValue="ALARM") == ["-0", "-2"]
    assert names(AlarmNames=[f"{name}-1", f"{name}-2"], StateValue="OK") == ["-1"]
    assert names(
        AlarmNamePrefix=name, ActionPrefix=f"arn:aws:sns:us-west-2:111111111111:{name}-1"
    ) == ["-1", "-3"]
    pages = client.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=name, PaginationConfig={"PageSize": 3}
    )
    assert [len(page["MetricAlarms"]) for page in pages] == [3, 1]
    assert names(AlarmNamePrefix=name, AlarmTypes=["CompositeAlarm"]) == []
    with pytest.raises(ClientError, match="InvalidNextToken"):
        names(NextToken="nonsense")
    with pytest.raises(ClientError, match="ValidationError"):
        names(AlarmNames=["a"], AlarmNamePrefix="a")


def test_alarms_of_a_metric_are_those_of_its_dimensions(client: Any, name: str) -> None:
    one, two = ([{"Name": "Host", "Value": value}] for value in "ab")
    put(client, f"{name}-a", Namespace=name, Dimensions=one)
    put(client, f"{name}-b", Namespace=name, Dimensions=two)
    found = client.describe_alarms_for_metric(Namespace=name, MetricName="Errors", Dimensions=two)[
        "MetricAlarms"
    ]
    assert [each["AlarmName"] for each in found] == [f"{name}-b"]


def test_the_ticker_evaluates_and_keeps_gauges(
    client: Any, metrics: Store, world: Any, name: str, clock: list[float]
) -> None:
    depth = [0.0]
    metrics.gauge(name, "Errors", {}, lambda: depth[0])
    put(client, name, Period=60, Threshold=0.0, Statistic="Maximum")
    for minute in range(1, 4):
        clock[0] += 60
        depth[0] = float(minute % 2)
        corrections.tick(world, datetime.fromtimestamp(clock[0], UTC))
    items = client.describe_alarm_history(
        AlarmName=name, HistoryItemType="StateUpdate", ScanBy="TimestampAscending"
    )
    assert [item["HistorySummary"].rpartition(" ")[2] for item in items["AlarmHistoryItems"]] == [
        "ALARM",
        "OK",
        "ALARM",
    ]


def test_seeded_alarms_are_older_than_the_lab(
    client: Any, place: Place, metrics: Store, name: str
) -> None:
    metrics.baseline(name, "Errors", {}, lambda minute: 1.0)
    put(client, name)
    month_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
    alarms.backdate(place.account, place.region, month_ago)
    found = alarm(client, name)
    assert found["StateValue"] == "OK"
    assert (
        found["StateUpdatedTimestamp"] == found["AlarmConfigurationUpdatedTimestamp"] == month_ago
    )


@pytest.mark.parametrize(
    "given",
    [
        {"Period": 45},
        {"EvaluationPeriods": 2, "DatapointsToAlarm": 3},
        {"EvaluationPeriods": 289},
        {"TreatMissingData": "guess"},
        {"Statistic": None},
        {"ExtendedStatistic": "p95"},
        {"Statistic": None, "ExtendedStatistic": "p101"},
        {"ComparisonOperator": "LessThanLowerThreshold"},
    ],
)
def test_an_alarm_that_aws_refuses(client: Any, name: str, given: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ValidationError"):
        put(client, name, **given)
    assert client.describe_alarms(AlarmNames=[name])["MetricAlarms"] == []


def test_dashboards(client: Any, name: str) -> None:
    widget = {
        "type": "metric",
        "properties": {"metrics": [["AWS/Lambda", "Errors"]], "region": "us-west-2"},
    }
    body = json.dumps({"widgets": [widget]})
    assert (
        client.put_dashboard(DashboardName=name, DashboardBody=body)["DashboardValidationMessages"]
        == []
    )
    assert client.get_dashboard(DashboardName=name)["DashboardBody"] == body
    (entry,) = client.list_dashboards(DashboardNamePrefix=name)["DashboardEntries"]
    assert entry["Size"] == len(body)
    assert abs(entry["LastModified"] - datetime.now(UTC)) < MINUTE
    client.delete_dashboards(DashboardNames=[name])
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client.get_dashboard(DashboardName=name)


@pytest.mark.parametrize(
    "body", ["{", "[]", "{}", '{"widgets": {}}', '{"widgets": [{"type": "metric"}]}']
)
def test_a_dashboard_that_no_console_could_draw_is_refused(
    client: Any, name: str, body: str
) -> None:
    with pytest.raises(ClientError, match="InvalidParameterInput"):
        client.put_dashboard(DashboardName=name, DashboardBody=body)
