"""Alarms and the dashboard `bluemoxon-monitoring`."""

from __future__ import annotations

import json
from typing import Any

from opslib.lab.estates.base import Place
from opslib.lab.estates.bluemoxon import names

_ERRORS, _DURATION_MS, _CONNECTIONS_SHARE = 10, 25_000, 0.8


def seed(place: Place) -> None:
    cloudwatch = place.client("cloudwatch")
    place.client("sns").create_topic(Name=f"{place.name}-alerts")
    for alarm in alarms(place):
        cloudwatch.put_metric_alarm(**alarm)
    for name in place.facts["dashboards"].values():
        cloudwatch.put_dashboard(DashboardName=name, DashboardBody=json.dumps({"widgets": widgets(place)}))


def alarms(place: Place) -> list[dict[str, Any]]:
    """The requests of PutMetricAlarm, one for each alarm that the facts expect."""
    function, cluster = names.function(place, "api"), place.facts["database"]["cluster"]
    made = []
    for name in place.facts["alarms"]["expected"]:
        kind = name.removeprefix("bluemoxon-").removeprefix("staging-")
        if kind == "api-errors":
            lambda_of = _alarm("AWS/Lambda", "Errors", {"FunctionName": function}, _ERRORS, Statistic="Sum")
            made.append(lambda_of | {"AlarmDescription": "More than 10 API errors in 5 minutes"})
        elif kind == "api-duration":
            lambda_of = _alarm(
                "AWS/Lambda", "Duration", {"FunctionName": function}, _DURATION_MS, ExtendedStatistic="p95"
            )
            made.append(lambda_of | {"AlarmDescription": "p95 of the API above 25 s"})
        elif kind == "rds-connections":
            limit = place.facts["database"]["max_connections"] * _CONNECTIONS_SHARE
            of = _alarm("AWS/RDS", "DatabaseConnections", {"DBClusterIdentifier": cluster}, limit, Statistic="Maximum")
            made.append(of | {"AlarmDescription": "More than 80 % of the cluster's connections"})
        else:
            of = _alarm("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": name}, 0, Statistic="Maximum")
            made.append(of | {"AlarmDescription": "Messages in the dead-letter queue"})
        made[-1] |= {"AlarmName": name, "AlarmActions": [names.arn(place, "sns", f"{place.name}-alerts")]}
    return made


def _alarm(
    namespace: str, metric: str, dimensions: dict[str, str], threshold: float, **statistic: str
) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": True,
        **statistic,
    }


def widgets(place: Place) -> list[dict[str, Any]]:
    """The dashboard as CloudWatch keeps it."""
    functions = [names.function(place, key) for key in place.facts["functions"]]
    api = ["ApiId", names.gateway(place)]
    cluster = ["DBClusterIdentifier", place.facts["database"]["cluster"]]
    queues = [name for each in place.facts["queues"].values() for name in (each["name"], each["dead_letters"])]
    limit = place.facts["database"]["max_connections"] * _CONNECTIONS_SHARE
    shown = [
        ("Lambda invocations", "Sum", [["AWS/Lambda", "Invocations", "FunctionName", name] for name in functions], None),
        ("Lambda errors", "Sum", [["AWS/Lambda", "Errors", "FunctionName", name] for name in functions], _ERRORS),
        ("API latency", "p95", [["AWS/ApiGateway", "Latency", *api]], _DURATION_MS),
        ("API 4xx and 5xx", "Sum", [["AWS/ApiGateway", "4xx", *api], ["AWS/ApiGateway", "5xx", *api]], None),
        ("RDS connections", "Maximum", [["AWS/RDS", "DatabaseConnections", *cluster]], limit),
        ("RDS CPU", "Average", [["AWS/RDS", "CPUUtilization", *cluster]], None),
        ("Queue depth", "Maximum", [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", q] for q in queues], None),
    ]  # fmt: skip
    return [_widget(place, at, *widget) for at, widget in enumerate(shown)]


def _widget(
    place: Place, at: int, title: str, stat: str, metrics: list[list[str]], limit: float | None
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": title, "view": "timeSeries", "stacked": False, "region": place.region, "stat": stat, "period": 300,
        "metrics": metrics,
    }  # fmt: skip
    if limit is not None:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": limit}]}
    return {
        "type": "metric",
        "x": 12 * (at % 2),
        "y": 6 * (at // 2),
        "width": 12,
        "height": 6,
        "properties": properties,
    }
