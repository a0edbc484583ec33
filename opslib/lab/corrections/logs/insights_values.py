"""Logs Insights: the fields of an event, and the functions of the query language.

A value is text, a number, true/false or None (the event has no such field); text that reads as a
number is one
where a number is wanted.
"""

import json
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from time import time
from typing import Any

from opslib.lab.corrections.logs.log_stores import Event

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_REPORT = re.compile(
    r"(?P<duration>(?<!Billed )(?<!Init )Duration: ([\d.]+) ms)|Billed Duration: "
    r"(?P<billed>[\d.]+) ms"
    r"|Init Duration: (?P<init>[\d.]+) ms|Memory Size: (?P<size>\d+) MB|Max Memory Used: "
    r"(?P<used>\d+) MB"
)
_REQUEST = re.compile(
    r"(?:RequestId: |^[^\t]*\t(?:[^\t]*\t)?)([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"
)
_KIND = re.compile(r"(START|END|REPORT) RequestId: |INIT_START ")


class Row:
    """An event's fields.

    Those that a query made, the system's, Lambda's, then those of a JSON message.
    """

    __slots__ = ("event", "group", "made")

    def __init__(
        self, event: Event | None, group: str = "", made: dict[str, Any] | None = None
    ) -> None:
        self.event, self.group, self.made = event, group, made or {}

    def get(self, name: str) -> Any:
        if self.made:
            if name in self.made:
                return self.made[name]
            if isinstance(self.made.get(name.partition(".")[0]), dict | list):
                return _reach(self.made, name)  # what jsonParse made
        if self.event is None:
            return None
        if name.startswith("@"):
            return self._system(self.event, name)
        return _reach(self.event.once("JSON", _parsed), name)

    def _system(self, event: Event, name: str) -> Any:
        if name == "@message":
            return event.message
        if name == "@timestamp":
            return Moment(event.timestamp)
        if name == "@ingestionTime":
            return Moment(event.ingestion_time)
        if name == "@ptr":
            return event.event_id
        if name in ("@logStream", "@log"):
            return event.stream if name == "@logStream" else self.group
        if ":/aws/lambda/" not in self.group:
            return None
        return event.once("Lambda", _lambda_fields).get(name)


class Moment(int):
    """Milliseconds since 1970 that are shown as a time."""

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self // 1000, UTC)
        return f"{when:%Y-%m-%d %H:%M:%S}.{self % 1000:03d}"


def _parsed(message: str) -> Any:
    return _decoded(message) if message.lstrip().startswith("{") else None


def _decoded(message: str) -> Any:
    try:
        return json.loads(message)
    except ValueError:
        return None


def _reach(value: Any, name: str) -> Any:
    """`a.b.0`: a field of a field, an element of a list; a name with dots is tried whole first."""
    if isinstance(value, dict) and name in value:
        found = value[name]
        return json.dumps(found) if isinstance(found, dict | list) else found
    first, dot, rest = name.partition(".")
    if isinstance(value, dict) and dot and first in value:
        return _reach(value[first], rest)
    if isinstance(value, list) and first.isdigit() and int(first) < len(value):
        return _reach(value[int(first)], rest) if dot else value[int(first)]
    return None


def _lambda_fields(message: str) -> dict[str, Any]:
    """What AWS discovers in the lines of Lambda; memory in bytes, durations in milliseconds."""
    fields: dict[str, Any] = {}
    kind, request = _KIND.match(message), _REQUEST.search(message[:200])
    if kind:
        fields["@type"] = kind[1] or "INIT_START"
    if request:
        fields["@requestId"] = request[1]
    if fields.get("@type") == "REPORT":
        for match in _REPORT.finditer(message):
            if match["duration"]:
                fields["@duration"] = float(match[2])
            elif match["billed"] or match["init"]:
                fields["@billedDuration" if match["billed"] else "@initDuration"] = float(
                    match["billed"] or match["init"]
                )
            else:
                fields["@memorySize" if match["size"] else "@maxMemoryUsed"] = (
                    int(match["size"] or match["used"]) * 10**6
                )
    return fields


def number(value: Any) -> float | None:
    """The value as a number; None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not value[:1].isdigit() and value[:1] not in ("-", "+", "."):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def text(value: Any) -> str:
    """The value as results show it."""
    if isinstance(value, Moment | str):
        return str(value)
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.4f}".rstrip("0").rstrip(".")
    return str(value)


def truth(value: Any) -> bool:
    found = number(value)
    return bool(value) if found is None else found != 0


def compare(operator: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """As numbers when both are, else as text. A field that is not there compares with nothing."""
    if left is None or right is None:
        return False
    numbers = number(left), number(right)
    if None not in numbers:
        return operator(*numbers)
    return operator(text(left), text(right))


def order(value: Any) -> tuple[int, float, list[Any]]:
    """Sorts as Insights does: what is missing, then text with its digits as numbers,
    then numbers.
    """
    found = number(value)
    if value is None or found is not None:
        return (0 if value is None else 2, found or 0.0, [])
    parts = re.findall(r"\d+|\D+", text(value))
    return 1, 0.0, [(part.isdigit(), len(part) if part.isdigit() else 0, part) for part in parts]


def floor_to(value: Any, period: int, up: bool = False) -> Moment | None:
    found = number(value)
    if found is None:
        return None
    floored = int(found) // period * period
    return Moment(floored + period if up and floored < found else floored)


def milliseconds(amount: str, unit: str) -> int:
    return int(amount) * _UNITS[unit]


def _numeric(fn: Callable[[float], float]) -> Callable[[Any], float | None]:
    def call(value: Any) -> float | None:
        found = number(value)
        try:
            return None if found is None else fn(found)
        except ValueError:
            return None

    return call


def _best(fn: Callable[[list[float]], float]) -> Callable[..., float | None]:
    def call(*values: Any) -> float | None:
        numbers = [found for found in map(number, values) if found is not None]
        return fn(numbers) if numbers else None

    return call


def _trim(strip: Callable[[str, str | None], str]) -> Callable[..., str | None]:
    return lambda value, chars=None: None if value is None else strip(text(value), chars)


def _substr(value: Any, start: Any, length: Any = None) -> str | None:
    if value is None:
        return None
    first = int(number(start) or 0)
    return (
        text(value)[first:]
        if length is None
        else text(value)[first : first + int(number(length) or 0)]
    )


def _words(fn: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else fn(text(value))


def _address(*versions: int) -> Callable[..., int]:
    """Whether a value is an address of these versions of IP, and in a subnet where one is told."""

    def is_one(value: Any, subnet: Any = "") -> int:
        try:
            address = ip_address(text(value))
            within = not subnet or address in ip_network(text(subnet), strict=False)
        except ValueError:
            return 0
        return int(address.version in versions and within)

    return is_one


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": _numeric(abs),
    "ceil": _numeric(math.ceil),
    "floor": _numeric(math.floor),
    "log": _numeric(math.log),
    "sqrt": _numeric(math.sqrt),
    "greatest": _best(max),
    "least": _best(min),
    "ispresent": lambda value: value is not None,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "if": lambda condition, yes, no=None: yes if truth(condition) else no,
    "isempty": lambda value: value is None or text(value) == "",
    "isblank": lambda value: value is None or not text(value).strip(),
    "unmask": lambda value: value,  # the lab hides nothing
    "jsonparse": lambda value: None if value is None else _decoded(text(value)),
    "jsonstringify": lambda value: None if value is None else text(value),
    "concat": lambda *values: "".join("" if value is None else text(value) for value in values),
    "trim": _trim(str.strip),
    "ltrim": _trim(str.lstrip),
    "rtrim": _trim(str.rstrip),
    "strlen": _words(len),
    "toupper": _words(str.upper),
    "tolower": _words(str.lower),
    "substr": _substr,
    "replace": lambda value, old, new: (
        None if value is None else text(value).replace(text(old), text(new))
    ),
    "strcontains": lambda value, part: int(value is not None and text(part) in text(value)),
    "frommillis": lambda value: None if number(value) is None else Moment(number(value) or 0),
    "tomillis": lambda value: None if number(value) is None else int(number(value) or 0),
    "now": lambda: int(time()),
    "isvalidip": _address(4, 6),
    "isvalidipv4": _address(4),
    "isvalidipv6": _address(6),
    "isipinsubnet": _address(4, 6),
    "isipv4insubnet": _address(4),
    "isipv6insubnet": _address(6),
}


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(percent / 100 * len(ordered)) - 1))]


# Each takes the values that are there, oldest event first; None when there is none.
AGGREGATES: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": lambda values: math.fsum(_numbers(values)),
    "avg": lambda values: statistics.fmean(_numbers(values)) if _numbers(values) else None,
    "median": lambda values: statistics.median(_numbers(values)) if _numbers(values) else None,
    "stddev": lambda values: statistics.pstdev(_numbers(values)) if _numbers(values) else None,
    "min": lambda values: min(values, key=order, default=None),
    "max": lambda values: max(values, key=order, default=None),
    "count": len,
    "count_distinct": lambda values: len({text(value) for value in values}),
    "earliest": lambda values: values[0] if values else None,
    "latest": lambda values: values[-1] if values else None,
    "sortsfirst": lambda values: min(values, key=order, default=None),
    "sortslast": lambda values: max(values, key=order, default=None),
}


def _numbers(values: list[Any]) -> list[float]:
    return [found for found in map(number, values) if found is not None]
