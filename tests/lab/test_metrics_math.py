"""GetMetricData: several metrics at once, expressions over them, pages, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.corrections.cloudwatch.metrics import store
from opslib.lab.places import Place

MISSING = None
# Five periods, oldest first.
LINES: Mapping[str, list[float | None]] = {
    "m1": [1, 1, 0, 0, MISSING],
    "m2": [30, MISSING, 0, 0, 30],
    "m3": [0, 0, 20, MISSING, 20],
    "errors": [1, 2, 3, 4, 5],
    "calls": [10, 10, 0, 10, 10],
    "gappy": [4, MISSING, MISSING, 10, MISSING],
}
START = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)
END = START + timedelta(minutes=25)


@pytest.fixture(scope="module")
def namespace(world: Any) -> str:
    """The lines, as metrics of a namespace of their own."""
    place: Place = world.places["practice-one"]
    name = f"Math{uuid.uuid4().hex[:8]}"
    for metric, values in LINES.items():
        for step, value in enumerate(values):
            if value is not None:
                when = START + timedelta(minutes=5 * step + 1)
                store(place.account, place.region).put(
                    name, metric, {}, when, float(value), "Count"
                )
    return name


Ask = Callable[..., dict[str, list[float | None]]]


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    return aws("cloudwatch")


def stat(namespace: str, metric: str, **given: Any) -> dict[str, Any]:
    asked = {
        "Metric": {"Namespace": namespace, "MetricName": metric},
        "Period": 300,
        "Stat": "Sum",
    } | given
    return {"Id": metric.lower(), "MetricStat": asked, "ReturnData": False}


@pytest.fixture
def ask(client: Any, namespace: str) -> Ask:
    """The values of an expression by label, oldest first, None where there is no datapoint."""

    def values(
        expression: str, label: str = "it", metrics: tuple[str, ...] = tuple(LINES)
    ) -> dict[str, Any]:
        queries = [stat(namespace, metric) for metric in metrics]
        queries.append({"Id": "e1", "Expression": expression, "Label": label})
        results = client.get_metric_data(MetricDataQueries=queries, StartTime=START, EndTime=END)[
            "MetricDataResults"
        ]
        found = {}
        for result in results:
            assert (result["Id"], result["StatusCode"]) == ("e1", "Complete")
            by_time = dict(zip(result["Timestamps"], result["Values"], strict=True))
            found[result["Label"]] = [
                by_time.get(START + timedelta(minutes=5 * step)) for step in range(5)
            ]
        return found

    return values


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("errors + calls", [11, 12, 3, 14, 15]),
        ("calls - 2 * errors", [8, 6, -6, 2, 0]),
        ("(calls - 2) * errors", [8, 16, -6, 32, 40]),
        ("-errors", [-1, -2, -3, -4, -5]),
        ("2 ^ errors", [2, 4, 8, 16, 32]),
        ("100 * errors / calls", [10, 20, None, 40, 50]),  # by zero: no datapoint
        ("errors + gappy", [5, 2, 3, 14, 5]),  # missing counts as 0
        ("errors / gappy", [0.25, None, None, 0.4, None]),
        ("errors > 2", [0, 0, 1, 1, 1]),
        ("errors >= 2 && calls < 5", [0, 0, 1, 0, 0]),
        ("errors == 1 OR errors != 4 AND calls == 0", [1, 0, 1, 0, 0]),
        ("SUM([errors, calls])", [11, 12, 3, 14, 15]),
        ("MIN([errors, calls])", [1, 2, 0, 4, 5]),
        ("MAX([errors, gappy])", [4, 2, 3, 10, 5]),
        ("AVG([errors, gappy])", [2.5, 1, 1.5, 7, 2.5]),
        ("errors - AVG(errors)", [-2, -1, 0, 1, 2]),
        ("errors * 0 + MAX(errors) + MIN(errors) + SUM(errors)", [21, 21, 21, 21, 21]),
        ("SUM(METRICS('err'))", [1, 2, 3, 4, 5]),
        ('SUM(METRICS("m"))', [31, 1, 20, 0, 50]),
        ("IF(errors > 2, calls, 7)", [7, 7, 0, 10, 10]),
        ("IF(errors > 2, calls)", [None, None, 0, 10, 10]),
        ("IF(m1, m2, m3)", [30, 0, 20, None, None]),  # the tables of the user guide
        ("IF(m1, 5, m3)", [5, 5, 20, None, None]),
        ("IF(m1, m2, 5)", [30, 0, 5, 5, None]),
        ("FILL(gappy, 0)", [4, 0, 0, 10, 0]),
        ("FILL(gappy, REPEAT)", [4, 4, 4, 10, 10]),
        ("FILL(gappy, LINEAR)", [4, 6, 8, 10, None]),
        ("FILL(gappy, errors)", [4, 2, 3, 10, 5]),
        ("errors / PERIOD(errors) * 300", [1, 2, 3, 4, 5]),
        ("RATE(errors) * 300", [None, 1, 1, 1, 1]),
        ("DIFF(gappy)", [None, None, None, 6, None]),
        ("RUNNING_SUM(errors)", [1, 3, 6, 10, 15]),
        ("ABS(2 - errors)", [1, 0, 1, 2, 3]),
        ("TIME_SERIES(4)", [4, 4, 4, 4, 4]),
        ("FIRST(SORT([errors, calls], SUM, DESC))", [10, 10, 0, 10, 10]),
    ],
)
def test_expressions(ask: Ask, expression: str, values: list[float | None]) -> None:
    assert ask(expression) == {"it": pytest.approx(values)}


def test_an_array_answers_a_line_each(ask: Ask) -> None:
    found = ask("METRICS('gap') * 2", label="twice")
    assert found == {"twice gappy": [8, None, None, 20, None]}
    assert list(ask("[errors, calls] / 10", label="", metrics=("errors", "calls"))) == [
        "errors",
        "calls",
    ]


def test_expressions_of_expressions_in_any_order(client: Any, namespace: str) -> None:
    queries = [
        {"Id": "e2", "Expression": "e1 * 2"},
        {"Id": "e1", "Expression": "SUM(METRICS())", "ReturnData": False},
        stat(namespace, "errors") | {"ReturnData": True},
    ]
    answer = client.get_metric_data(
        MetricDataQueries=queries, StartTime=START, EndTime=END, ScanBy="TimestampAscending"
    )
    assert {result["Id"]: result["Values"] for result in answer["MetricDataResults"]} == {
        "e2": [2, 4, 6, 8, 10],
        "errors": [1, 2, 3, 4, 5],
    }


def test_labels_tell_metrics_apart(client: Any, namespace: str) -> None:
    queries = [
        stat(namespace, "errors") | {"ReturnData": True},
        stat(namespace, "calls") | {"ReturnData": True, "Id": "a"},
        stat(namespace, "calls", Stat="p90") | {"ReturnData": True, "Id": "b"},
        stat(namespace, "calls") | {"ReturnData": True, "Id": "c", "Label": "mine"},
    ]
    results = client.get_metric_data(MetricDataQueries=queries, StartTime=START, EndTime=END)[
        "MetricDataResults"
    ]
    assert [result["Label"] for result in results] == ["errors", "calls Sum", "calls p90", "mine"]


def test_a_metric_without_data_is_answered_empty(client: Any, namespace: str) -> None:
    queries = [
        stat(namespace, "nothing") | {"ReturnData": True},
        stat(namespace, "calls", Unit="Bytes") | {"ReturnData": True},
    ]
    results = client.get_metric_data(MetricDataQueries=queries, StartTime=START, EndTime=END)[
        "MetricDataResults"
    ]
    assert [(result["Values"], result["StatusCode"]) for result in results] == [
        ([], "Complete"),
        ([], "Complete"),
    ]


def test_newest_first_in_pages(client: Any, namespace: str) -> None:
    queries = [stat(namespace, metric) | {"ReturnData": True} for metric in ("errors", "calls")]
    asked = {"MetricDataQueries": queries, "StartTime": START, "EndTime": END, "MaxDatapoints": 4}
    pages = list(client.get_paginator("get_metric_data").paginate(**asked))
    assert [[result["Values"] for result in page["MetricDataResults"]] for page in pages] == [
        [[5, 4], [10, 10]],
        [[3, 2], [0, 10]],
        [[1], [10]],
    ]
    assert [page["MetricDataResults"][0]["StatusCode"] for page in pages] == [
        "PartialData",
        "PartialData",
        "Complete",
    ]
    with pytest.raises(ClientError, match="InvalidNextToken"):
        client.get_metric_data(**asked, NextToken="nonsense")


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        (
            "ANOMALY_DETECTION_BAND(errors, 2)",
            "Function 'ANOMALY_DETECTION_BAND' is not supported by the lab",
        ),
        (
            "ANOMALY_DETECTION_BAND(errors)",
            "Function 'ANOMALY_DETECTION_BAND' is not supported by the lab",
        ),
        (
            "SELECT MAX(errors) FROM x WHERE a LIKE 'b'",
            "the condition \"a LIKE 'b'\" is not in the lab",
        ),
        ("MEDIAN(errors)", "Function 'MEDIAN' not found"),
        ("errors +", "Unexpected 'end of expression' at position 8"),
        ("errors $ 2", "Unexpected '$' at position 7"),
        ("(errors", "Unexpected 'end of expression' at position 7"),
        ("errors errors", "Unexpected 'errors' at position 7"),
        ("absent + 1", "Id 'absent' is not in the request"),
        ("IF(errors)", "Function 'IF' takes 2 or 3 arguments, not 1"),
        ("PERIOD(errors * 2) * errors", "Function 'PERIOD' takes a metric"),
        ("e1 + errors", "It refers to itself"),
        (
            "AVG(errors)",
            "The result must be a time series or an array of time series, not a number",
        ),
        ("FILL(errors, SOMETIMES)", "Id 'SOMETIMES' is not in the request"),
    ],
)
def test_an_expression_that_cannot_be_evaluated_is_refused(
    ask: Ask, expression: str, says: str
) -> None:
    with pytest.raises(ClientError, match="ValidationError") as caught:
        ask(expression)
    assert caught.value.response["Error"]["Message"] == f"Error in expression 'e1': {says}"


@pytest.mark.parametrize(
    "queries",
    [
        [{"Id": "M1", "Expression": "1"}],
        [{"Id": "m1"}],
        [{"Id": "m1", "Expression": "m1", "MetricStat": stat("N", "m")["MetricStat"]}],
        [stat("N", "m", Stat="Median")],
        [stat("N", "m", Period=45)],
        [stat("N", "m"), stat("N", "m")],
        [],
    ],
)
def test_a_malformed_request_is_refused(client: Any, queries: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientError, match="ValidationError"):
        client.get_metric_data(MetricDataQueries=queries, StartTime=START, EndTime=END)


def test_a_window_has_a_beginning_before_its_end(client: Any, namespace: str) -> None:
    for start in (END, END + timedelta(hours=1)):
        with pytest.raises(ClientError, match="ValidationError"):
            client.get_metric_data(
                MetricDataQueries=[stat(namespace, "calls")], StartTime=start, EndTime=END
            )


def test_metrics_are_found_by_search_and_by_select(ask: Ask, namespace: str) -> None:
    first: list[float | None] = [1, 1, 0, 0, MISSING]
    assert ask(f"SEARCH('Namespace=\"{namespace}\" m1', 'Sum', 300)", "", ()) == {"m1": first}
    found = ask(f"SEARCH('{{{namespace}}} (m1 OR m2) NOT m2', 'Sum')", "", ())
    assert found == {"m1": first}
    assert ask(f"SUM(SEARCH('{{{namespace}}} MetricName=\"m1\"', 'Sum', 300))", "s", ()) == {
        "s": first
    }
    assert ask(f'SELECT SUM(m1) FROM "{namespace}"', "", ()) == {"m1": first}
    assert ask(f"SEARCH('{{{namespace},Other}}', 'Sum', 300)", "", ()) == {}
