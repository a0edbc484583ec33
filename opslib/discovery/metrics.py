"""Key metrics of a target: those of its alarms, and the usual ones of what it has, with data."""

from __future__ import annotations

from typing import NamedTuple

from opslib.core.tables import Json
from opslib.discovery.facts import Draft


class Usual(NamedTuple):
    """A metric that says how a thing is. `limits`: warn, critical; below them where falling.

    A limit in % is of the function's timeout, or of the database's connections.
    """

    namespace: str
    metric: str
    title: str
    statistic: str
    unit: str
    limits: tuple[float, float]
    of: str = ""
    below: bool = False


_RDS = "AWS/RDS"
_USUAL = (
    Usual("AWS/Lambda", "Errors", "errors per 5 minutes", "Sum", "count", (5, 10)),
    Usual("AWS/Lambda", "Duration", "duration p95", "p95", "ms", (1 / 3, 5 / 6), "timeout"),
    Usual("AWS/Lambda", "Throttles", "throttles per 5 minutes", "Sum", "count", (0, 10)),
    Usual("AWS/ApiGateway", "5xx", "5xx per 5 minutes", "Sum", "count", (5, 10)),
    Usual("AWS/ApiGateway", "5XXError", "5xx per 5 minutes", "Sum", "count", (5, 10)),
    Usual("AWS/ApiGateway", "Latency", "latency p95", "p95", "ms", (1 / 3, 5 / 6), "timeout"),
    Usual(
        _RDS, "DatabaseConnections", "connections", "Maximum", "count", (0.7, 0.8), "connections"
    ),
    Usual(_RDS, "CPUUtilization", "CPU", "Average", "%", (70, 90)),
    Usual(_RDS, "ReadLatency", "read latency", "Average", "s", (0.01, 0.05)),
    Usual(_RDS, "FreeStorageSpace", "free storage", "Minimum", "bytes", (20e9, 10e9), "", True),
    Usual(
        "AWS/SQS", "ApproximateAgeOfOldestMessage", "oldest message", "Maximum", "s", (900, 3600)
    ),
)
_SHORT = {"DatabaseConnections": "connections", "CPUUtilization": "cpu", "5XXError": "5xx"}
_SHORT |= {"ApproximateAgeOfOldestMessage": "queue-age", "FreeStorageSpace": "free-storage"}
_SHORT |= {"ReadLatency": "read-latency"}


def describe(made: Draft, connections: int = 0) -> None:
    """Adds `metrics` and `metrics_namespace`. `connections`: so many the database takes."""
    limits = {"timeout": _timeout(made), "connections": connections}
    found: Json = {}
    own = _own(made)
    for each in made.account["metrics"]:
        dimensions = {pair["Name"]: pair["Value"] for pair in each.get("Dimensions", ())}
        usual = next(
            (
                u
                for u in _USUAL
                if (u.namespace, u.metric) == (each["Namespace"], each["MetricName"])
            ),
            None,
        )
        thing = ",".join(f"{key}={value}" for key, value in dimensions.items())
        if usual and thing in own:
            key = f"{own[thing]}-{_SHORT.get(usual.metric, usual.metric.lower())}"
            found[key] = _described(usual, own[thing], dimensions, limits)
    for alarm in made.account["alarms"]:
        _alarmed(made, alarm, found)
    made.facts["metrics"] = found
    if found:
        made.note("metrics", "the limits are usual ones, or the alarms'; see that they fit")
    spaces = {each["Namespace"] for each in made.account["metrics"]}
    if others := sorted(space for space in spaces if not space.startswith("AWS/")):
        made.facts["metrics_namespace"] = others[0]


def _timeout(made: Draft) -> float:
    """Of the function behind the API, in ms."""
    first: Json = next(iter(made.facts.get("functions", {}).values()), {})
    return 1000.0 * float(first.get("timeout_seconds", 30))


def _own(made: Draft) -> dict[str, str]:
    """Things whose metrics are key metrics: dimension=value, and what it is called in short."""
    facts = made.facts
    first = next(iter(facts.get("functions", {}).items()), None)
    found = {f"FunctionName={first[1]['name']}": first[0]} if first else {}
    database = facts.get("database", {})
    for kind, dimension in (
        ("cluster", "DBClusterIdentifier"),
        ("instance", "DBInstanceIdentifier"),
    ):
        if kind in database:
            found[f"{dimension}={database[kind]}"] = "database"
    if made.api_id:
        found[f"ApiId={made.api_id}"] = "api"
    for key, each in facts.get("queues", {}).items():
        found[f"QueueName={each['name']}"] = key
    return found


def _described(usual: Usual, key: str, dimensions: Json, limits: dict[str, float]) -> Json:
    found: Json = {"title": f"{key.capitalize()} {usual.title}", "namespace": usual.namespace}
    found |= {"metric": usual.metric, "dimensions": dimensions}
    found |= {"statistic": usual.statistic, "unit": usual.unit}
    whole = limits[usual.of] if usual.of else 1
    if whole:
        found |= {
            "warn": _round(usual.limits[0] * whole),
            "critical": _round(usual.limits[1] * whole),
        }
    return found | ({"below": True} if usual.below else {})


def _round(value: float) -> float:
    """Without a fraction where there is none."""
    return int(value) if value == int(value) else float(f"{value:.4g}")


def _alarmed(made: Draft, alarm: Json, found: Json) -> None:
    """What an alarm watches is a key metric, its threshold the critical limit."""
    if "MetricName" not in alarm:  # of metric math
        return
    dimensions = {pair["Name"]: pair["Value"] for pair in alarm.get("Dimensions", ())}
    statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
    told = {"namespace": alarm["Namespace"], "metric": alarm["MetricName"]}
    told |= {"dimensions": dimensions, "statistic": statistic}
    same = next((key for key, each in found.items() if told.items() <= each.items()), "")
    if not same:
        dead = {each.get("dead_letters") for each in made.facts.get("queues", {}).values()}
        if set(dimensions.values()) & dead:  # each message there is trouble, and is looked at
            return
        same = made.short(alarm["name"], found)
        found[same] = {"title": alarm.get("AlarmDescription") or alarm["name"], **told}
    found[same]["critical"] = limit = _round(alarm["Threshold"])
    if alarm["ComparisonOperator"].startswith("Less"):
        found[same]["below"] = True
    elif found[same].get("warn", limit) >= limit:
        found[same]["warn"] = _round(limit / 2)
