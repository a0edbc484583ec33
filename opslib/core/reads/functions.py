"""Lambda functions as they are.

Configuration, alias, what is reserved, what CloudWatch measures of them.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.reads import logs, metrics
from opslib.core.reads.described import Described
from opslib.core.strict_yaml import beside
from opslib.core.tables import Frame, Json, dtypes, framed
from opslib.core.times import Window

LATEST = "$LATEST"
WELL = ("Active", "Successful")


class Function(Described):
    """A Lambda function of the target."""

    section = "functions"

    def call(self, operation: str, **parameters: Any) -> Json:
        return self.ops.call("lambda", operation, FunctionName=self.name, **parameters)

    def configuration(self, qualifier: str = LATEST) -> Json:
        """Lambda GetFunctionConfiguration: without the link to the code that GetFunction gives.

        Variables come with it.
        """
        return self.call("get_function_configuration", Qualifier=qualifier)

    def live(self) -> Json:
        """What callers get.

        The version behind the target's alias, or $LATEST where the target names none.
        """
        return self.configuration(self.facts.get("alias", LATEST))

    def alias(self) -> Json | None:
        """The target's alias (Lambda GetAlias); None when its file names none.

        $LATEST is what runs.
        """
        name = self.facts.get("alias")
        return self.call("get_alias", Name=name) if name else None

    def reserved(self) -> int | None:
        """How many may run at once (Lambda GetFunctionConcurrency); None: no reservation."""
        return self.call("get_function_concurrency").get("ReservedConcurrentExecutions")

    def measured(
        self, id: str, metric: str, statistic: str, seconds: int = 300, label: str = ""
    ) -> Json:
        """A metric of it as one of GetMetricData's queries."""
        of = {"FunctionName": self.name}
        return metrics.asked(id, "AWS/Lambda", metric, of, statistic, seconds, label)


def live(ops: Connection, function: str) -> Json:
    """The configuration that callers get."""
    return Function(ops, function).live()


def live_version(ops: Connection, function: str) -> str:
    """The version that the target's alias of this function points to; $LATEST without an alias."""
    return str((Function(ops, function).alias() or {}).get("FunctionVersion", LATEST))


def states(configuration: Json) -> tuple[str, str]:
    """State and LastUpdateStatus; WELL is well. Lambda leaves them out where all is well."""
    return configuration.get("State", WELL[0]), configuration.get("LastUpdateStatus", WELL[1])


def modified(configuration: Json) -> datetime:
    """When the version was published, $LATEST changed.

    Lambda writes 2026-11-19T10:12:13.000+0000.
    """
    return datetime.fromisoformat(configuration["LastModified"])


def variables(configuration: Json) -> dict[str, str]:
    found: dict[str, str] = (configuration.get("Environment") or {}).get("Variables", {})
    return found


MEASURES: dict[str, list[str]] = beside(__file__, "functions")["measures"]
POINTS = dtypes("""
    time     utc
    function str
    metric   str
    value    float64
""")


def read_points(ops: Connection, functions: Sequence[str], within: Window) -> Frame:
    """The measures of functions over a window, in one GetMetricData. Columns: POINTS."""
    asked = {f"m{i}": pair for i, pair in enumerate(product(functions, MEASURES))}
    queries = [
        Function(ops, key).measured(id, metric, MEASURES[metric][0], period(within), key)
        for id, (key, metric) in asked.items()
    ]
    found = metrics.query(ops, queries, within)
    named = [asked[id] for id in found["id"]]
    told = {"time": found["time"].array, "value": found["value"].array}
    told |= {"function": [of for of, _ in named], "metric": [metric for _, metric in named]}
    return framed(told, POINTS)


def period(within: Window) -> int:
    """Seconds of a point: five minutes.

    More in a long window, so that a picture has at most some 300.
    """
    return max(300, int(within.minutes * 60 / 288) // 300 * 300)


def named(ops: Connection, function: str, beside: str = "") -> list[str]:
    """The functions that are asked for, and what is so in a section `beside`; what else logs is
    left out.

    Raises UsageError that offers the nearest names.
    """
    facts = [*ops.target.at("functions"), *ops.target.at(beside)]
    asked = facts if function == logs.ALL else logs.groups(ops, function)
    return [name for name in asked if name in facts]
