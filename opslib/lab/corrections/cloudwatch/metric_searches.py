"""Lines that are found and not named: SEARCH, and SELECT of Metrics Insights in its simple form.

Sources: "CloudWatch search expression syntax" and "CloudWatch Metrics Insights query components".
"""

import re
from collections.abc import Callable, Iterable, Iterator

from opslib.lab.corrections.cloudwatch.metric_functions import Line, MathError
from opslib.lab.corrections.cloudwatch.metric_stores import Bucket, Key, Store, is_statistic

_SCHEMA = re.compile(r"\s*\{([^}]*)\}\s*(.*)", re.DOTALL)
_TERM = re.compile(r'\(|\)|(?:[\w/.-]+=)?(?:"[^"]*"|[^\s()"]+)')
_NAME = r'(?:"[^"]+"|[\w/.-]+)'
_SELECT = re.compile(
    rf"\s*SELECT\s+(AVG|SUM|MIN|MAX|COUNT)\s*\(\s*({_NAME})\s*\)"
    rf"\s+FROM\s+(?:SCHEMA\s*\(\s*({_NAME})\s*((?:,\s*{_NAME}\s*)*)\)|({_NAME}))"
    r"(?:\s+WHERE\s+(.+?))?(?:\s+GROUP\s+BY\s+(.+?))?"
    r"(?:\s+ORDER\s+BY\s+(AVG|SUM|MIN|MAX|COUNT)\s*\(\s*\)(?:\s+(ASC|DESC))?)?"
    r"(?:\s+LIMIT\s+(\d+))?\s*",
    re.DOTALL,
)
_CONDITION = re.compile(rf"\s*({_NAME})\s*(!?=)\s*'([^']*)'\s*")
_STATISTICS = {
    "AVG": "Average",
    "SUM": "Sum",
    "MIN": "Minimum",
    "MAX": "Maximum",
    "COUNT": "SampleCount",
}
_MOST = 500  # lines of one answer


def search(
    store: Store, text: str, statistic: str, period: float, start: float, end: float
) -> list[Line]:
    """The metrics of a search expression. Raises MathError."""
    if not is_statistic(statistic):
        raise MathError(f"SEARCH: the statistic {statistic} is not supported")
    wanted, rest = None, text
    if schema := _SCHEMA.fullmatch(text):
        names, rest = [_bare(name) for name in schema[1].split(",")], schema[2]
        wanted = (names[0], tuple(sorted(names[1:])))
    fits = _Terms(rest).fits
    found = [
        key
        for key in store.known()
        if wanted in (None, (key.namespace, tuple(name for name, _ in key.dimensions)))
        and fits(key)
    ][:_MOST]
    several = len({key.metric for key in found}) > 1
    return [
        _line(store, [key], statistic, int(period), _told(key, several), start, end)
        for key in found
    ]


def _told(key: Key, several: bool) -> str:
    values = " ".join(value for _, value in key.dimensions)
    return f"{values} {key.metric}".strip() if several or not values else values


def _line(
    store: Store,
    keys: Iterable[Key],
    statistic: str,
    period: int,
    label: str,
    start: float,
    end: float,
) -> Line:
    """One statistic over the samples of all these metrics."""
    together: dict[float, Bucket] = {}
    for key in keys:
        for at, bucket in store.buckets(key, start, end, period):
            held = together.setdefault(at, Bucket())
            held.values += bucket.values
            held.counts += bucket.counts
            held.sets += bucket.sets
    values = {at: bucket.statistic(statistic) for at, bucket in sorted(together.items())}
    told = {at: value for at, value in values.items() if value is not None}
    return Line(told, period, label, metric=True)


class _Terms:
    """`MetricName="Errors" (api OR worker) NOT test`: words are partial, in quotes exact."""

    def __init__(self, text: str) -> None:
        self.left = [token for token in _TERM.findall(text) if token != "AND"]
        self.fits = self._any()
        if self.left:
            raise MathError(f"SEARCH: unexpected '{self.left[0]}'")

    def _any(self) -> Callable[[Key], bool]:
        parts = [self._all()]
        while self.left[:1] == ["OR"]:
            self.left.pop(0)
            parts.append(self._all())
        return lambda key: any(part(key) for part in parts)

    def _all(self) -> Callable[[Key], bool]:
        parts = list[Callable[[Key], bool]]()
        while self.left and self.left[0] not in ("OR", ")"):
            parts.append(self._one())
        return lambda key: all(part(key) for part in parts)

    def _one(self) -> Callable[[Key], bool]:
        token = self.left.pop(0)
        if token == "NOT" and self.left:
            inner = self._one()
            return lambda key: not inner(key)
        if token == "(":
            inner = self._any()
            if self.left[:1] != [")"]:
                raise MathError("SEARCH: a parenthesis is not closed")
            self.left.pop(0)
            return inner
        name, _, word = token.rpartition("=")
        exact, word = word.startswith('"'), word.strip('"')
        return lambda key: any(
            word == text if exact else word.lower() in text.lower() for text in _texts(key, name)
        )


def _texts(key: Key, name: str) -> Iterator[str]:
    parts = {"Namespace": key.namespace, "MetricName": key.metric, **dict(key.dimensions)}
    if name:
        return iter([parts[name]] if name in parts else [])
    return iter([*parts.values(), *(name for name, _ in key.dimensions)])


def select(store: Store, text: str, period: int, start: float, end: float) -> list[Line]:
    """The lines of a SELECT. Raises MathError for what is not of its simple form."""
    told = _SELECT.fullmatch(text)
    if not told:
        raise MathError("this form of a Metrics Insights query is not in the lab")
    of, metric, space, names, plain, where, group, by, order, most = told.groups()
    schema = sorted(_bare(name) for name in (names or "").split(",") if name.strip())
    conditions = [_condition(part) for part in re.split(r"\s+AND\s+", where or "") if part]
    grouped = [_bare(name) for name in (group or "").split(",") if name.strip()]
    keys: dict[tuple[str, ...], list[Key]] = {}
    for key in store.known():
        dimensions = dict(key.dimensions)
        if (
            (key.namespace, key.metric) == (_bare(space or plain), _bare(metric))
            and (plain or sorted(dimensions) == schema)
            and all((dimensions.get(name) == value) is same for name, same, value in conditions)
            and all(name in dimensions for name in grouped)
        ):
            keys.setdefault(tuple(dimensions[name] for name in grouped), []).append(key)
    lines = [
        _line(store, found, _STATISTICS[of], period, " ".join(values) or _bare(metric), start, end)
        for values, found in sorted(keys.items())
    ]
    if by:
        lines.sort(key=lambda line: _of_all(by, line), reverse=order != "ASC")
    return lines[: int(most or _MOST)]


def _of_all(by: str, line: Line) -> float:
    values = list(line.values.values()) or [0.0]
    return {
        "AVG": sum(values) / len(values),
        "SUM": sum(values),
        "MIN": min(values),
        "MAX": max(values),
        "COUNT": float(len(values)),
    }[by]


def _condition(text: str) -> tuple[str, bool, str]:
    told = _CONDITION.fullmatch(text)
    if not told:
        raise MathError(f"the condition {text.strip()!r} is not in the lab")
    return _bare(told[1]), told[2] == "=", told[3]


def _bare(name: str) -> str:
    return name.strip().strip('"')
