"""Metrics and dashboards.

One read for a page, thresholds judged, pictures that say what they show.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from opslib import UsageError
from opslib.core.checks import plots
from opslib.core.reads import metrics
from opslib.core.reads.metrics import Metric
from opslib.core.tables import frame
from opslib.core.times import Window, window
from opslib.metrics import dashboards, keys
from tests import notebooks

TARGET = "lab/bluemoxon-staging"
END = datetime(2026, 11, 22, 16, 40, tzinfo=UTC)


def calls(ops: Any, operation: str) -> int:
    return sum(e["event"] == "call" and e["operation"] == operation for e in ops.journal.events)


def test_a_page_of_metrics_is_one_call(ops: Any) -> None:
    found = metrics.read(ops, window(ops, 1440))
    assert calls(ops, "GetMetricData") == 1
    assert calls(ops, "GetMetricStatistics") == 0
    assert set(found["metric"]) == set(ops.target["metrics"])
    assert {name: str(dtype) for name, dtype in found.dtypes.items()}[
        "time"
    ] == "datetime64[us, UTC]"
    assert found.groupby("metric")["time"].is_monotonic_increasing.all()


def test_more_than_500_queries_are_split_and_all_answered(ops: Any) -> None:
    one = metrics.described(ops, ["api-errors"])[0]
    queries = [one.query(f"m{i}", 300) for i in range(501)]
    found = metrics.query(ops, queries, Window(ops.now() - timedelta(hours=1), ops.now()))
    assert calls(ops, "GetMetricData") == 2
    assert found["id"].nunique() == 501


def test_the_key_metrics_of_a_healthy_system_pass(ops: Any) -> None:
    found = keys.check_metrics(ops)
    assert [f.status for f in found] == ["ok"] * len(ops.target["metrics"])
    assert all("now" in f.seen and f.threshold for f in found)


def test_errors_of_a_bad_version_are_over_the_threshold(lab: Any, ops: Any) -> None:
    with lab.broken("bad-version"):
        found = {f.check: f for f in keys.check_metrics(ops)}
    assert found["API errors per 5 minutes"].status == "critical"
    assert found["API errors per 5 minutes"].next == "logs/errors"


def test_an_unknown_metric_offers_the_nearest(ops: Any) -> None:
    with pytest.raises(UsageError, match="'api-errors'"):
        keys.check_metrics(ops, ["api-error"])


def points(values: list[float]) -> Any:
    times = [END - timedelta(minutes=5 * i) for i in reversed(range(len(values)))]
    return frame(
        [{"time": t, "metric": "m", "value": v} for t, v in zip(times, values, strict=True)],
        metrics.POINTS,
    )


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([1, 1, 1, 1, 1, 1], "ok"),
        ([1, 1, 1, 1, 11, 1], "critical"),  # in the last 15 minutes
        ([1, 11, 1, 1, 1, 1], "warn"),  # over, and past
        ([1, 6, 1, 1, 1, 1], "ok"),
        ([1, 1, 1, 1, 1, 6], "warn"),
        ([1, 1, 1, 1, 1, 5], "ok"),  # above means above
    ],
)
def test_a_threshold_counts_now_and_a_critical_one_also_earlier(
    values: list[float], status: str
) -> None:
    metric = Metric("m", "M", "N", "m", "Sum", {}, "count", 5, 10)
    of_it = points(values)
    said = keys.summary(metric, of_it)
    assert keys.finding(metric, of_it, said, Window(END - timedelta(hours=1), END)).status == status


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([1, 11, 1, 1, 1, 1], "ok"),  # at night of one request
        ([1, 11, 1, 11, 1, 1, 1], "warn"),
        ([1, 1, 1, 1, 1, 11], "critical"),  # just now
    ],
)
def test_of_a_percentile_one_period_of_before_is_none(values: list[float], status: str) -> None:
    metric = Metric("m", "M", "N", "m", "p95", {}, "ms", 5, 10)
    of_it = points(values)
    within = Window(END - timedelta(hours=1), END)
    assert keys.finding(metric, of_it, keys.summary(metric, of_it), within).status == status


def test_a_metric_that_is_bad_when_low() -> None:
    metric = Metric("m", "M", "N", "m", "Average", {}, "%", 99, 95, below=True)
    of_it = points([100, 100, 100, 94])
    said = keys.summary(metric, of_it)
    finding = keys.finding(metric, of_it, said, Window(END - timedelta(hours=1), END))
    assert (finding.status, finding.threshold) == (
        "critical",
        "warn below 99 %, critical below 95 %",
    )
    assert "lowest 94 %" in finding.seen


def test_no_data_is_unknown_never_ok() -> None:
    metric = Metric("m", "M", "N", "m", "Sum", {"ApiId": "x"})
    said = keys.summary(metric, points([]))
    finding = keys.finding(metric, points([]), said, Window(END - timedelta(hours=1), END))
    assert finding.status == "unknown"
    assert "ApiId=x" in finding.seen


@pytest.mark.parametrize(
    ("namespace", "minutes", "status", "said"),
    [
        ("AWS/RDS", 5, "critical", "now 95 %"),
        ("AWS/RDS", 120, "unknown", "newest 95 %, of 14:40: none for 120 min"),
        ("AWS/Lambda", 120, "warn", "newest 95 %, of 14:40, highest 95 %"),  # nobody called it
    ],
)
def test_a_value_has_its_age_and_an_old_one_is_not_now(
    namespace: str, minutes: int, status: str, said: str
) -> None:
    metric = Metric("m", "M", namespace, "m", "Average", {}, "%", 70, 90)
    of_it = points([10, 20, 30, 20, 10, 95])
    of_it["time"] -= timedelta(minutes=minutes)
    within = Window(END - timedelta(hours=6), END)
    finding = keys.finding(metric, of_it, keys.summary(metric, of_it), within)
    assert finding.status == status
    assert said in finding.seen


def test_a_picture_is_opaque_white_and_says_in_words_what_it_shows(ops: Any) -> None:
    picture = plots.draw(keys.check_metrics(ops), since="2h", until="1h")
    image = Image.open(io.BytesIO(picture.png))
    assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert image.width == 1000
    assert "API errors per 5 minutes" in repr(picture)
    assert "critical 10" in repr(picture)
    assert "Shaded:" in repr(picture)
    data, about = picture._repr_mimebundle_()
    assert "image/png" in data
    assert about == {"needs_background": "light"}


def test_a_label_with_dollars_is_not_a_formula() -> None:
    panel = plots.Panel(
        "cost $x^", "$", [plots.Line("a$b$", pd.Series(1.0, [END]))], [("warn $", 2.0)]
    )
    assert plots.page([panel], Window(END - timedelta(hours=1), END)).startswith(b"\x89PNG")


def test_the_dashboard_is_drawn_from_its_own_definition(ops: Any) -> None:
    found = dashboards.check_dashboard(ops, "monitoring")
    assert [f.check for f in found][:2] == ["Lambda invocations", "Lambda errors"]
    assert found.worst == "ok"
    assert isinstance(found, plots.Plotted)
    named = {panel.title: panel for panel in found.panels}
    assert named["RDS connections"].thresholds == (("alarm", 80.0),)
    assert len(named["Lambda invocations"].lines) == len(ops.target["functions"])


MATH: list[dict[str, Any]] = [
    {"type": "text", "properties": {"markdown": "# Notes"}},
    {"type": "log", "properties": {"title": "Slow", "query": "SOURCE x"}},
    {
        "type": "metric",
        "properties": {
            "title": "Error rate",
            "region": "us-west-2",
            "period": 300,
            "stat": "Sum",
            "metrics": [
                [{"expression": "100 * errors / calls", "label": "rate", "id": "rate"}],
                [
                    "AWS/Lambda",
                    "Errors",
                    "FunctionName",
                    "bluemoxon-staging-api",
                    {"id": "errors", "visible": False},
                ],
                [".", "Invocations", ".", ".", {"id": "calls", "visible": False}],
            ],
            "yAxis": {"left": {"label": "%"}},
            "annotations": {
                "horizontal": [
                    {"label": "critical", "value": 5},
                    [{"value": 1, "label": "from"}, {"value": 2}],
                ]
            },
        },
    },
    {
        "type": "metric",
        "properties": {
            "title": "Latency",
            "metrics": [
                [
                    "AWS/Lambda",
                    "Duration",
                    "FunctionName",
                    "bluemoxon-staging-api",
                    {"stat": "p95", "label": "p95"},
                ],
                ["...", {"stat": "p50"}],
                ["...", "bluemoxon-staging-scraper"],
            ],
        },
    },
    {
        "type": "metric",
        "properties": {
            "title": "All",
            "metrics": [
                [{"expression": "SUM(METRICS())", "label": "sum", "id": "s"}],
                ["AWS/Lambda", "Errors", "FunctionName", "bluemoxon-staging-api", {"stat": "Sum"}],
            ],
        },
    },
    {
        "type": "metric",
        "properties": {"title": "Elsewhere", "region": "eu-west-1", "metrics": [["A", "b"]]},
    },
]


def test_any_dashboard_works_math_shorthand_bands_and_all(ops: Any) -> None:
    ops.call(
        "cloudwatch",
        "put_dashboard",
        DashboardName="math",
        DashboardBody=json.dumps({"widgets": MATH}),
    )
    try:
        found = dashboards.check_dashboard(ops, "math", 3)
    finally:
        ops.call("cloudwatch", "delete_dashboards", DashboardNames=["math"])
    assert isinstance(found, plots.Plotted)
    rate, latency, every, elsewhere = found.panels
    assert ([line.label for line in rate.lines], rate.unit) == (["rate"], "%")
    assert rate.thresholds == (("critical", 5.0), ("from", 1.0), ("threshold", 2.0))
    assert len(latency.lines) == 3
    assert latency.unit == "ms"
    assert every.lines[0].label == "sum"
    assert sum(every.lines[0].values) == sum(every.lines[1].values), (
        "METRICS() is of its own widget only"
    )
    assert "Notes" in found.note
    assert (elsewhere.title, elsewhere.lines) == ("Elsewhere", [])  # asked there: no data


def test_a_dashboard_that_is_not_there_is_unknown(ops: Any) -> None:
    found = dashboards.check_dashboard(ops, "gone")
    assert [f.status for f in found] == ["unknown"]


@pytest.mark.slow
def test_the_notebook_asks_once_a_widget_and_once_for_all_key_metrics(lab: Any) -> None:
    namespace = notebooks.run("metrics/dashboard", target=TARGET)
    assert namespace["ops"].findings.worst == "ok"
    # And once for now and each of three weeks, for trends, for functions that ran within hours, and
    # for when the others did.
    assert calls(namespace["ops"], "GetMetricData") == len(namespace["page"].panels) + 1 + 4 + 3
