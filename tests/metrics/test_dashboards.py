"""Dashboards as they are found: what each line means, and what cannot be asked costs its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding, Findings
from opslib.metrics import dashboards
from opslib.metrics.widgets import Limit, Series, Widget, as_alarmed, limits, needed, read
from opslib.metrics.widgets import widgets as widgets_of

DASHBOARDS = Path(__file__).parent / "dashboards"
TARGET = "lab/bluemoxon-staging"
HERE, ACCOUNT = "us-west-2", "111122223333"


def widgets(name: str) -> tuple[dict[str, Widget], list[str]]:
    body = json.loads((DASHBOARDS / f"{name}.json").read_text())
    drawn, left = read(body["widgets"], HERE, ACCOUNT)
    return {widget.title: widget for widget in drawn}, left


@contextmanager
def shown(ops: Connection, name: str) -> Iterator[Findings]:
    """What CloudWatch would keep of that dashboard, put and looked at."""
    found = json.loads((DASHBOARDS / f"{name}.json").read_text())["widgets"]
    kept = [each for each in found if isinstance(each, dict) and {*each} >= {"type", "properties"}]
    body = json.dumps({"widgets": kept})
    ops.call("cloudwatch", "put_dashboard", DashboardName="trial", DashboardBody=body)
    try:
        yield dashboards.check_dashboard(ops, "trial", 3)
    finally:
        ops.call("cloudwatch", "delete_dashboards", DashboardNames=["trial"])


def by_title(found: Findings) -> dict[str, Finding]:
    return {finding.check: finding for finding in found}


@pytest.mark.parametrize(
    ("title", "rows", "odd"),
    [
        ("Good", 1, ""),
        ("Odd dimensions", 1, "row 1: a metric is a namespace"),
        ("Nothing", 0, "row 1: it is empty"),
        ("Repeats nothing", 0, "row 1: a metric is a namespace"),
        ("Dots of nothing", 0, "row 1: `.` repeats what is not there"),
        ("No annotations", 1, ""),
        ("Odd annotations", 1, "its lines (annotations) are not understood"),
        ("Period of words", 0, "'often' is no number of seconds"),
        ("Of another account", 0, "of account 999900001111, which is not asked"),
        ("One of another account", 1, "row 2: it is of account 999900001111"),
        ("A row that is none", 1, "row 1: it is no list"),
    ],
)
def test_what_cannot_be_asked_costs_its_own_row_and_is_said(
    title: str, rows: int, odd: str
) -> None:
    widget = widgets("odd")[0][title]
    assert len(widget.rows) == rows
    assert odd in "; ".join(widget.odd)
    assert bool(odd) is bool(widget.odd)


def test_what_is_no_widget_of_metrics_is_named() -> None:
    _, left = widgets("odd")
    assert left == [
        "'widget 16' (no metrics of its own)",
        "'Alarms' (alarm)",
        "'widget 18' (of no type)",
        "'widget 19' (of no type)",
        "'widget 20' (no metrics of its own)",
    ]


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ({"property": "FunctionName", "defaultValue": "worker"}, ("a in here", "worker", HERE)),
        ({"pattern": "here", "defaultValue": "there"}, ("a in there", "api-there", HERE)),
        (
            {"property": "region", "defaultValue": "eu-west-1"},
            ("a in here", "api-here", "eu-west-1"),
        ),
        ({"property": "FunctionName"}, ("a in here", "api-here", HERE)),
    ],
)
def test_a_variable_has_the_value_with_which_the_dashboard_opens(
    variable: dict[str, str], named: tuple[str, str, str]
) -> None:
    metric = ["AWS/Lambda", "Errors", "FunctionName", "api-here"]
    said = {"title": "a in here", "region": HERE, "metrics": [metric]}
    body = {"variables": [variable], "widgets": [{"type": "metric", "properties": said}]}
    (widget,), left = opened(body)
    (row,) = widget.rows
    assert row.series is not None
    assert (widget.title, dict(row.series.dimensions)["FunctionName"], row.region) == named
    assert left == []


def test_a_variable_that_is_searched_for_is_named() -> None:
    variable = {"property": "FunctionName", "label": "Function", "defaultValue": "__FIRST"}
    assert opened({"variables": [variable]})[1] == ["variable 'Function' (has no value of its own)"]


def opened(body: Any) -> tuple[list[Widget], list[str]]:
    answer = {"DashboardBody": json.dumps(body)}
    target = MagicMock(region=HERE, account=ACCOUNT)
    target.__getitem__.return_value = {}
    return widgets_of(SimpleNamespace(target=target, call=lambda *_, **__: answer), "d")  # type: ignore[arg-type]


def test_a_row_is_asked_in_its_own_region() -> None:
    drawn, _ = widgets("regions")
    assert [row.region for row in drawn["Here and there"].rows] == [HERE, "eu-west-1"]
    assert [row.region for row in drawn["There"].rows] == ["eu-west-1"]


@pytest.mark.parametrize(
    ("title", "last", "broken"),
    [
        ("A plain line", [9.0], False),  # nothing says which side is bad
        ("Filled above", [9.0], True),
        ("Filled above", [1.0], False),
        ("Filled below", [0.0], True),
        ("Filled below", [9.0], False),
        ("A band", [9.0], False),
        ("A band", [1.0], False),
        ("Of an alarm", [0.0, 0.0, 0.0], True),
        ("Of an alarm", [5.0, 0.0, 0.0], False),  # 3 datapoints
        ("Of an alarm", [0.0, 0.0], False),
        ("Of an alarm", [9.0, 9.0, 9.0], False),
    ],
)
def test_a_line_is_a_limit_of_the_side_that_is_bad(
    title: str, last: list[float], broken: bool
) -> None:
    marked = widgets("limits")[0][title].limits
    assert any(limit.broken(last) for limit in marked) is broken


def test_a_hidden_line_is_none_and_one_of_the_right_axis_is_of_that() -> None:
    drawn, _ = widgets("limits")
    assert drawn["Hidden"].limits == []
    (slow,) = drawn["On the right"].limits
    assert (slow.axis, [row.axis for row in drawn["On the right"].rows]) == (
        "right",
        ["left", "right"],
    )


def test_an_alarm_on_the_same_metric_says_which_side_is_bad() -> None:
    hosts = Series("AWS/ELB", "Healthy", frozenset({("Name", "web")}))
    alarm = {
        "Namespace": "AWS/ELB",
        "MetricName": "Healthy",
        "Dimensions": [{"Name": "Name", "Value": "web"}],
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 2.0,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
    }
    told = as_alarmed(Limit("hosts", 2.0), [alarm], [hosts])
    assert (told.bad, told.points, told.of) == ("<", 2, hosts)
    assert str(told) == "2 times below hosts"
    others = ({"Threshold": 3.0}, {"MetricName": "Unhealthy"})
    for other in others:
        assert as_alarmed(Limit("hosts", 2.0), [alarm | other], [hosts]).bad == ""
    filled = next(limits([{"value": 2, "fill": "above"}]))
    assert as_alarmed(filled, [alarm], [hosts]) == filled


def test_an_expression_needs_what_it_names_and_what_that_names() -> None:
    said = [
        [{"expression": "b * 2", "id": "a"}],
        [{"expression": "c + 1", "id": "b"}],
        ["N", "m", {"id": "c"}],
        ["N", "x", {"id": "d"}],
        [{"expression": "SUM(METRICS())", "id": "e"}],
    ]
    (widget,) = read([{"type": "metric", "properties": {"metrics": said}}], HERE, ACCOUNT)[0]
    ids = [[row.query["Id"] for row in needed(widget.rows, row)] for row in widget.rows]
    assert ids[0] == ["a", "b", "c"]
    assert ids[2] == ["c"]
    assert set(ids[4]) == {"a", "b", "c", "d", "e"}


def test_one_widget_that_cloudwatch_refuses_leaves_the_others(ops: Any) -> None:
    with shown(ops, "odd") as found:
        told = by_title(found)
    assert told["Good"].status == told["No annotations"].status == "ok"
    for title in ("Unknown statistic", "Period of 45", "Nothing", "Of another account"):
        assert told[title].status == "unknown", title
        assert "not answered" in told[title].seen
    assert told["Two of one id"].seen.startswith("2 lines")
    one = told["One bad line"]
    assert one.status == "unknown"
    assert one.seen.startswith("1 line, now at most")
    assert "e: " in one.seen
    assert "'Alarms' (alarm)" in found.note


def test_lines_that_are_judged_and_those_that_are_only_drawn(ops: Any) -> None:
    with shown(ops, "limits") as found:
        told = by_title(found)
    assert {title: told[title].status for title in ("A plain line", "A band", "Hidden")} == {
        "A plain line": "ok",
        "A band": "ok",
        "Hidden": "ok",
    }
    assert told["Filled below"].status == "warn"  # no errors at all
    assert told["Filled below"].seen.endswith("below least")
    assert told["On the right"].status == "ok"
    assert "Drawn and not judged, since no side of it is bad: from, target, to." in found.note


def test_what_the_lab_finds_selects_and_trims_and_says_that_it_has_not(ops: Any) -> None:
    with shown(ops, "found") as found:
        told = by_title(found)
    assert found.evidence is not None
    lines = found.evidence.groupby("widget")["line"].apply(list)
    assert {"api", "scraper", "cleanup"} < set(lines["Searched"])
    assert len(lines["Selected"]) == 2
    assert len(lines["Trimmed"]) == 7
    assert {told[title].status for title in ("Searched", "Selected", "Trimmed")} == {"ok"}
    assert told["Band"].status == "unknown"
    assert "ANOMALY_DETECTION_BAND' is not supported by the lab" in told["Band"].seen
    assert len(lines["Band"]) == 1


def test_another_region_is_asked_there(ops: Any) -> None:
    with shown(ops, "regions") as found:
        told = by_title(found)
    assert told["Here and there"].seen.startswith("1 line")
    assert told["There"].seen == "no data"
    assert ops.target.region == HERE
