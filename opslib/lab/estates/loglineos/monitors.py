"""The two alarms, and the dashboard as somebody built it over the years: shorthand, math, thresholds, a text."""

from __future__ import annotations

from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import monitors, names
from opslib.lab.resources.monitors import line, metrics

ERRORS, DURATION_MS = 10, 2_000  # in five minutes; p95
_TEXT = "## LogLineOS production\n\nThe loader and its ledger. Thresholds are those of the alarms, or of the instance."


def seed(place: Place) -> None:
    monitors.put(place, alarms(place), {name: widgets(place) for name in place.facts["dashboards"].values()})


def alarms(place: Place) -> list[dict[str, Any]]:
    """The requests of PutMetricAlarm."""
    loader = {"FunctionName": names.function(place, "loader")}
    return [
        monitors.alarm(
            "loglineos-stage0-errors", f"More than {ERRORS} failed runs of the loader in 5 minutes",
            ("AWS/Lambda", "Errors"), loader, ERRORS, Statistic="Sum",
        ),
        monitors.alarm(
            "loglineos-stage0-duration", f"p95 of the loader above {DURATION_MS // 1000} s",
            ("AWS/Lambda", "Duration"), loader, DURATION_MS, ExtendedStatistic="p95",
        ),
    ]  # fmt: skip


def widgets(place: Place) -> list[dict[str, Any]]:
    """The dashboard as CloudWatch keeps it."""
    text = {**monitors.text(_TEXT), "width": 24, "height": 2}
    return monitors.arranged([text, *_loader(place), *_gateway(place), *_database(place), *_own(place)])


def _loader(place: Place) -> list[dict[str, Any]]:
    loader, other = names.function(place, "loader"), names.function(place, "db-migration")
    name = ["AWS/Lambda", "Invocations", "FunctionName", loader]
    rate: list[Any] = [
        [{"expression": "100 * errors / invocations", "label": "error rate", "id": "rate"}],
        [*name, {"id": "invocations", "visible": False}],
        [".", "Errors", ".", ".", {"id": "errors", "visible": False}],
    ]
    durations: list[Any] = [
        ["AWS/Lambda", "Duration", "FunctionName", loader, {"stat": "p95", "label": "p95"}],
        ["...", {"stat": "Average", "label": "average"}],
    ]
    percent = {"left": {"label": "%", "min": 0}}
    return [
        metrics(place, "Invocations and errors", [name, [".", "Errors", ".", "."], [".", "Throttles", ".", "."]], stat="Sum"),
        metrics(place, "Error rate", rate, stat="Sum", yAxis=percent, annotations=line(5, "5 %")),
        metrics(place, "Loader duration", durations, annotations=line(DURATION_MS)),
        metrics(place, "Concurrent executions", [["AWS/Lambda", "ConcurrentExecutions", "FunctionName", loader]], stat="Maximum"),
        metrics(
            place, "Timeouts of the runs", [["AWS/Lambda", "Duration", "FunctionName", loader], ["...", other, {"visible": False}]],
            stat="Maximum", annotations=line(30_000, "timeout"),
        ),
    ]  # fmt: skip


def _gateway(place: Place) -> list[dict[str, Any]]:
    api = ["ApiId", names.gateway(place)]
    answers = [["AWS/ApiGateway", "Count", *api], [".", "4xx", ".", "."], [".", "5xx", ".", "."]]
    latency: list[Any] = [["AWS/ApiGateway", "Latency", *api, {"stat": "p95"}], ["...", {"stat": "p50"}]]
    return [metrics(place, "Answers", answers, stat="Sum", stacked=False), metrics(place, "Latency", latency)]


def _database(place: Place) -> list[dict[str, Any]]:
    instance, limit = (
        ["DBInstanceIdentifier", place.facts["database"]["instance"]],
        place.facts["database"]["max_connections"],
    )
    space: list[Any] = [
        [{"expression": "space / 1000000000", "label": "free storage", "id": "gigabytes"}],
        ["AWS/RDS", "FreeStorageSpace", *instance, {"id": "space", "visible": False}],
    ]
    load: list[Any] = [["AWS/RDS", "CPUUtilization", *instance]]
    delays = [["AWS/RDS", "ReadLatency", *instance], [".", "WriteLatency", ".", "."]]
    return [
        metrics(
            place, "Database connections", [["AWS/RDS", "DatabaseConnections", *instance]], stat="Maximum",
            annotations=line(0.8 * limit, f"80 % of {limit}"),
        ),
        metrics(place, "Database CPU", load, stat="Average", annotations=line(90, "90 %")),
        metrics(place, "Read and write latency", delays, stat="Average"),
        metrics(place, "Free storage", space, stat="Minimum", yAxis={"left": {"label": "GB"}}),
    ]  # fmt: skip


def _own(place: Place) -> list[dict[str, Any]]:
    space = place.facts["metrics_namespace"]
    done = [[space, "ExecutionsCompleted"], [".", "ExecutionsFailed"]]
    spans = metrics(place, "Spans created", [[space, "SpansCreated"]], stat="Sum", view="singleValue", period=3600)
    return [metrics(place, "Executions", done, stat="Sum", stacked=True), {**spans, "width": 6, "height": 3}]
