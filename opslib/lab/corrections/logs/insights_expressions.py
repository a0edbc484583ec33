"""Logs Insights.

Reads the expressions of a query into functions of a row, or of a group's rows in stats.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

from opslib.lab.corrections.logs.insights_values import (
    AGGREGATES,
    FUNCTIONS,
    compare,
    floor_to,
    milliseconds,
    number,
    percentile,
    text,
    truth,
)

# A row where an expression stands outside stats; a group's rows, where it stands in it.
Node = Callable[[Any], Any]

_SPACE = re.compile(r"(?:\s+|#[^\n]*)*")
NAME = re.compile(r"`([^`]+)`|([@A-Za-z_][\w@]*(?:\.[\w@]+)*)")
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'')
REGEX = re.compile(r"/((?:[^/\\\n]|\\.)+)/")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_PERIOD = re.compile(r"(\d+)\s*(ms|s|m|h|d|w)(?:in|our|ec|ay|eek)?s?\b")
_SYMBOL = re.compile(r"[^\s|,()]+|\S")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_SUMS: tuple[tuple[str, dict[str, Callable[[float, float], float]]], ...] = (
    (r"[-+]", {"+": operator.add, "-": operator.sub}),
    (r"[*/%]", {"*": operator.mul, "/": operator.truediv, "%": operator.mod}),
    (r"\^", {"^": operator.pow}),
)


class QueryError(Exception):
    """The query is malformed: why, and from which to which character."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


class Expressions:
    """Recursive descent over the text; each `take` steps over space and comments."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.position = 0  # of the next token
        self.end = 0  # of the last
        self.in_stats = False
        self.aliases: dict[str, Node] = {}  # of the columns that a stats has made so far
        self.take("")

    def take(self, pattern: re.Pattern[str] | str) -> re.Match[str] | None:
        """Take what matches here, and the space and comments after it."""
        compiled = re.compile(pattern, re.IGNORECASE) if isinstance(pattern, str) else pattern
        match = compiled.match(self.query, self.position)
        if match:
            space = _SPACE.match(self.query, match.end())
            self.end = match.end()
            self.position = space.end() if space else self.end
        return match

    def need(self, pattern: re.Pattern[str] | str) -> re.Match[str]:
        match = self.take(pattern)
        if not match:
            raise self.unexpected()
        return match

    def unexpected(self) -> QueryError:
        symbol = _SYMBOL.match(self.query, self.position)
        start = self.position
        line = self.query.count("\n", 0, start) + 1
        found = symbol[0] if symbol else "<EOF>"
        where = f"at line {line} and position {start - (self.query.rfind(chr(10), 0, start) + 1)}"
        return QueryError(
            f"unexpected symbol found {found} {where}", start, symbol.end() if symbol else start
        )

    def name(self) -> str:
        match = self.need(NAME)
        return match[1] or match[2]

    def regex(self, match: re.Match[str]) -> re.Pattern[str]:
        # Java's named groups and leading flags, as Python writes them.
        body = re.sub(r"\(\?<(?![=!])", "(?P<", match[1])
        flags = re.I if "(?i)" in body else 0
        try:
            return re.compile(body.replace("(?i)", ""), flags)
        except re.error as exc:
            raise QueryError(
                f"invalid regular expression: {exc}", match.start(), match.end()
            ) from None

    def expression(self) -> Node:
        left = self.conjunction()
        while self.take(r"or\b"):
            left = _either(left, self.conjunction())
        return left

    def conjunction(self) -> Node:
        left = self.negation()
        while self.take(r"and\b"):
            left = _both(left, self.negation())
        return left

    def negation(self) -> Node:
        if self.take(r"not\b|!(?!=)"):
            below = self.negation()
            return lambda row: not truth(below(row))
        return self.comparison()

    def comparison(self) -> Node:
        left = self.sum(0)
        negated = self.take(r"not\s+(?=like\b|in\b)")
        test = self.test(left)
        if test is None:
            if negated:
                raise self.unexpected()
            return left
        return (lambda row: not test(row)) if negated else test

    def test(self, left: Node) -> Node | None:
        if self.take(r"like\b|=~"):
            return self.like(left)
        if self.take(r"in\b"):
            self.need(r"\[")
            choices = [self.sum(0)]
            while self.take(","):
                choices.append(self.sum(0))
            self.need(r"\]")
            return lambda row: any(
                compare(operator.eq, left(row), choice(row)) for choice in choices
            )
        sign = self.take(r"!=|<=|>=|=(?!~)|<|>")
        if not sign:
            return None
        right, fn = self.sum(0), _COMPARISONS[sign[0]]
        return lambda row: compare(fn, left(row), right(row))

    def like(self, left: Node) -> Node:
        regex = self.take(REGEX)
        if regex:
            search = self.regex(regex).search
            return lambda row: (value := left(row)) is not None and search(text(value)) is not None
        part = unquoted(self.need(TEXT))
        return lambda row: (value := left(row)) is not None and part in text(value)

    def sum(self, level: int) -> Node:
        if level == len(_SUMS):
            return self.primary()
        pattern, operators = _SUMS[level]
        left = self.sum(level + 1)
        while sign := self.take(pattern):
            left = _arithmetic(operators[sign[0]], left, self.sum(level + 1))
        return left

    def primary(self) -> Node:
        if self.take(r"\("):
            node = self.expression()
            self.need(r"\)")
            return node
        if self.take("-"):
            return _arithmetic(operator.mul, lambda row: -1.0, self.primary())
        constant = self.take(_NUMBER)
        if constant:
            value: Any = float(constant[0])
            return lambda row: value
        quoted = self.take(TEXT)
        if quoted:
            words = unquoted(quoted)
            return lambda row: words
        start = self.position
        name = self.name()
        if self.take(r"\("):
            return self.call(name.lower(), start)
        if self.in_stats and name in self.aliases:
            return self.aliases[name]
        if self.in_stats:
            self.position = start
            raise self.unexpected()
        return lambda row: row.get(name)

    def call(self, name: str, start: int) -> Node:
        if name in ("bin", "datefloor", "dateceil"):
            moment = self.expression() if name != "bin" else lambda row: row.get("@timestamp")
            if name != "bin":
                self.need(",")
            period = milliseconds(*self.need(_PERIOD).group(1, 2))
            self.need(r"\)")
            return lambda row: floor_to(moment(row), period, up=name == "dateceil")
        if self.in_stats and (name in AGGREGATES or name == "pct"):
            return self.aggregate(name)
        if name not in FUNCTIONS:
            raise QueryError(f"unknown function {name}", start, self.position)
        nodes = self.arguments()
        fn = FUNCTIONS[name]
        return lambda row: fn(*(node(row) for node in nodes))

    def aggregate(self, name: str) -> Node:
        """A function of a group's rows."""
        if name == "count" and self.take(r"\*?\s*\)"):
            return len
        self.in_stats = False
        start = self.position
        nodes = self.arguments()
        self.in_stats = True
        if len(nodes) != (2 if name == "pct" else 1):
            raise QueryError(f"wrong number of arguments of {name}", start, self.position)
        if name == "pct":
            return lambda rows: _pct(nodes, rows)
        node, fn = nodes[0], AGGREGATES[name]
        return lambda rows: fn([value for row in rows if (value := node(row)) is not None])

    def arguments(self) -> list[Node]:
        nodes: list[Node] = []
        while not self.take(r"\)"):
            if nodes:
                self.need(",")
            nodes.append(self.expression())
        return nodes


def _pct(nodes: list[Node], rows: list[Any]) -> float | None:
    values = [found for row in rows if (found := number(nodes[0](row))) is not None]
    return percentile(values, number(nodes[1](rows[0])) or 0.0) if values else None


def _either(left: Node, right: Node) -> Node:
    return lambda row: truth(left(row)) or truth(right(row))


def _both(left: Node, right: Node) -> Node:
    return lambda row: truth(left(row)) and truth(right(row))


def _arithmetic(fn: Callable[[float, float], float], left: Node, right: Node) -> Node:
    def node(row: Any) -> float | None:
        a, b = number(left(row)), number(right(row))
        try:
            return None if a is None or b is None else fn(a, b)
        except (ZeroDivisionError, OverflowError):
            return None

    return node


def unquoted(match: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", match[1] if match[1] is not None else match[2])
