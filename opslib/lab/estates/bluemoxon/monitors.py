"""Alarms and the dashboard `bluemoxon-monitoring`."""

from __future__ import annotations

from typing import Any

from opslib.lab.estates.bluemoxon import names
from opslib.lab.places import Place
from opslib.lab.resources import monitors

_ERRORS, _DURATION_MS, _CONNECTIONS_SHARE = 10, 25_000, 0.8


def seed(place: Place) -> None:
    monitors.put(place, alarms(place), {name: widgets(place) for name in place.facts["dashboards"].values()})


def alarms(place: Place) -> list[dict[str, Any]]:
    """The requests of PutMetricAlarm, one for each alarm that the facts expect."""
    return [_alarm(place, name) for name in place.facts["alarms"]["expected"]]


def _alarm(place: Place, name: str) -> dict[str, Any]:
    function, cluster = {"FunctionName": names.function(place, "api")}, place.facts["database"]["cluster"]
    kind = name.removeprefix("bluemoxon-").removeprefix("staging-")
    if kind == "api-errors":
        text = "More than 10 API errors in 5 minutes"
        return monitors.alarm_request(name, text, ("AWS/Lambda", "Errors"), function, _ERRORS, Statistic="Sum")
    if kind == "api-duration":
        text, metric = "p95 of the API above 25 s", ("AWS/Lambda", "Duration")
        return monitors.alarm_request(name, text, metric, function, _DURATION_MS, ExtendedStatistic="p95")
    if kind == "rds-connections":
        text, metric = "More than 80 % of the cluster's connections", ("AWS/RDS", "DatabaseConnections")
        limit = place.facts["database"]["max_connections"] * _CONNECTIONS_SHARE
        return monitors.alarm_request(name, text, metric, {"DBClusterIdentifier": cluster}, limit, Statistic="Maximum")
    text, metric = "Messages in the dead-letter queue", ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    return monitors.alarm_request(name, text, metric, {"QueueName": name}, 0, Statistic="Maximum")


def widgets(place: Place) -> list[dict[str, Any]]:
    """The dashboard as CloudWatch keeps it."""
    functions = [names.function(place, key) for key in place.facts["functions"]]
    api = ["ApiId", names.gateway(place)]
    cluster = ["DBClusterIdentifier", place.facts["database"]["cluster"]]
    queues = [name for each in place.facts["queues"].values() for name in (each["name"], each["dead_letters"])]
    limit = place.facts["database"]["max_connections"] * _CONNECTIONS_SHARE
    shown: list[tuple[str, str, list[list[str]], float | None]] = [
        ("Lambda invocations", "Sum", [["AWS/Lambda", "Invocations", "FunctionName", name] for name in functions], None),
        ("Lambda errors", "Sum", [["AWS/Lambda", "Errors", "FunctionName", name] for name in functions], _ERRORS),
        ("API latency", "p95", [["AWS/ApiGateway", "Latency", *api]], _DURATION_MS),
        ("API 4xx and 5xx", "Sum", [["AWS/ApiGateway", "4xx", *api], ["AWS/ApiGateway", "5xx", *api]], None),
        ("RDS connections", "Maximum", [["AWS/RDS", "DatabaseConnections", *cluster]], limit),
        ("RDS CPU", "Average", [["AWS/RDS", "CPUUtilization", *cluster]], None),
        ("Queue depth", "Maximum", [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", q] for q in queues], None),
    ]  # fmt: skip
    return monitors.arranged(
        monitors.metrics_widget(
            place, title, metrics, stat=stat, **({"annotations": monitors.threshold(at)} if at else {})
        )
        for title, stat, metrics, at in shown
    )
