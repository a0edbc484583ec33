"""Lambda functions as they are: configuration, alias, what is reserved, what CloudWatch measures of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from opslib.core.connections.calls import _SECRET_VARIABLE
from opslib.core.connections.connection import Connection
from opslib.core.reads import logs, metrics
from opslib.core.tables import UTC_TIME, frame
from opslib.core.times import Window

if TYPE_CHECKING:
    import pandas as pd


CONFIGURATIONS = {
    "function": "str",
    "of": "str",
    "version": "str",
    "timeout_seconds": "int64",
    "memory_mb": "int64",
    "runtime": "str",
    "state": "str",
    "variables": "int64",
    "drift": "str",
}


VARIABLES = {"variable": "str", "live": "str", "latest": "str", "described": "bool"}


HIDDEN, ABSENT = "(hidden)", "(not set)"


LATEST = "$LATEST"


def live(ops: Connection, function: str) -> dict[str, Any]:
    """What callers get: the version behind the target's alias, or $LATEST where the target names none."""
    return read_configuration(ops, function, ops.target["functions"][function].get("alias", LATEST))


def read_configuration(ops: Connection, function: str, qualifier: str = LATEST) -> dict[str, Any]:
    """Lambda GetFunctionConfiguration: without the link to the code that GetFunction gives. Variables come with it."""
    return ops.call(
        "lambda",
        "get_function_configuration",
        FunctionName=ops.target["functions"][function]["name"],
        Qualifier=qualifier,
    )


def states(configuration: dict[str, Any]) -> tuple[str, str]:
    """State and LastUpdateStatus; `("Active", "Successful")` is well. Lambda leaves them out where all is well."""
    return configuration.get("State", "Active"), configuration.get("LastUpdateStatus", "Successful")


def modified(configuration: dict[str, Any]) -> datetime:
    """When the version was published, $LATEST changed. Lambda writes 2026-11-19T10:12:13.000+0000."""
    return datetime.fromisoformat(configuration["LastModified"])


def variables(configuration: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = (configuration.get("Environment") or {}).get("Variables", {})
    return found


def is_secret(name: str, value: str = "") -> bool:
    """Whether a variable looks like a secret by its name. An ARN names a secret, and is none."""
    return any(
        mark in name.upper() for mark in (*_SECRET_VARIABLE, "DSN")
    ) and not value.startswith("arn:")


def find_alias(ops: Connection, function: str) -> dict[str, Any] | None:
    """The target's alias of this function (Lambda GetAlias); None when its file names none: $LATEST is what runs."""
    facts = ops.target["functions"][function]
    if "alias" not in facts:
        return None
    return ops.call("lambda", "get_alias", FunctionName=facts["name"], Name=facts["alias"])


def reserved(ops: Connection, function: str) -> int | None:
    """How many of a function may run at once (Lambda GetFunctionConcurrency); None: no reservation."""
    name = ops.target["functions"][function]["name"]
    found: int | None = ops.call("lambda", "get_function_concurrency", FunctionName=name).get(
        "ReservedConcurrentExecutions"
    )
    return found


# What is read of each function: the metric, its statistic, the title and the unit of its picture.
MEASURES = {
    "Invocations": ("Sum", "Invocations per {} min", "count"),
    "Errors": ("Sum", "Errors per {} min", "count"),
    "Throttles": ("Sum", "Throttles per {} min", "count"),
    "Duration": ("p95", "Duration p95", "ms"),
    "ConcurrentExecutions": ("Maximum", "Running at once, at most", "count"),
}


POINTS = {"time": UTC_TIME, "function": "str", "metric": "str", "value": "float64"}


def read_points(ops: Connection, functions: Sequence[str], within: Window) -> pd.DataFrame:
    """The measures of functions over a window, all in one GetMetricData. Columns: POINTS."""
    asked = [(name, metric) for name in functions for metric in MEASURES]
    queries = [
        _query(ops, f"m{i}", name, metric, period(within)) for i, (name, metric) in enumerate(asked)
    ]
    found = metrics.query(ops, queries, within)
    of = {f"m{i}": pair for i, pair in enumerate(asked)}
    found["function"] = [of[id][0] for id in found["id"]]
    found["metric"] = [of[id][1] for id in found["id"]]
    return frame(found.to_dict("records"), POINTS)


def period(within: Window) -> int:
    """Seconds of a point: five minutes; more in a long window, so that a picture has at most some 300."""
    return max(300, int(within.minutes * 60 / 288) // 300 * 300)


def _query(ops: Connection, id: str, function: str, metric: str, seconds: int) -> dict[str, Any]:
    of = {"FunctionName": ops.target["functions"][function]["name"]}
    return metrics.asked(id, "AWS/Lambda", metric, of, MEASURES[metric][0], seconds, function)


def named(ops: Connection, function: str) -> list[str]:
    """The functions that are asked for. Raises UsageError that offers the nearest names."""
    facts = ops.target["functions"]
    return [name for name in logs.groups(ops, function) if name in facts]


def live_version(ops: Connection, function: str) -> str:
    """The version that the target's alias of this function points to (Lambda GetAlias); $LATEST without an alias."""
    alias = find_alias(ops, function)
    return str(alias["FunctionVersion"]) if alias else LATEST
