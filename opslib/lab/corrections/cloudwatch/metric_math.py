"""CloudWatch metric math: reads an expression into a function of what the request's ids stand
for.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from opslib.lab.corrections.cloudwatch.metric_functions import (
    FUNCTIONS,
    UNSUPPORTED,
    MathError,
    Scope,
    Value,
    as_lines,
    spread,
)
from opslib.lab.corrections.cloudwatch.metric_searches import search, select

Node = Callable[[Scope], Value]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|(?P<name>[A-Za-z_]\w*)|(?P<text>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/^<>()\[\],]))"
)
_Operators = dict[str, Callable[[float, float], float]]
_OR: _Operators = {name: lambda a, b: float(bool(a) or bool(b)) for name in ("||", "OR")}
_AND: _Operators = {name: lambda a, b: float(bool(a) and bool(b)) for name in ("&&", "AND")}
_COMPARE: _Operators = {
    "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b),
    "<=": lambda a, b: float(a <= b),
    ">=": lambda a, b: float(a >= b),
    "<": lambda a, b: float(a < b),
    ">": lambda a, b: float(a > b),
}
_LEVELS: tuple[_Operators, ...] = (
    _OR,
    _AND,
    _COMPARE,
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
)
_KEYWORDS = {"REPEAT", "LINEAR", "AVG", "MIN", "MAX", "SUM", "ASC", "DESC"}


def _search(scope: Scope, text: Value, statistic: Value, period: Value = 0.0) -> Value:
    every = period if isinstance(period, float) and period else float(scope.own_period)
    return search(scope.store, str(text), str(statistic), every, scope.start, scope.end)


_FUNCTIONS = {**FUNCTIONS, "SEARCH": (_search, (2, 3))}


@dataclass(frozen=True)
class Expression:
    """What was read: its value in a scope, and the ids that it needs there."""

    evaluate: Node
    references: frozenset[str]


def compile_expression(text: str) -> Expression:
    """Raises MathError when the expression cannot be read, or needs what the lab does not have."""
    if re.match(r"\s*SELECT\b", text):
        return Expression(partial(_selected, text), frozenset())
    parser = _Parser(text)
    node = parser.level(0)
    if parser.kind:
        raise MathError(f"Unexpected '{parser.token}' at position {parser.start}")
    return Expression(node, frozenset(parser.references))


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = self.start = 0
        self.kind = self.token = ""
        self.references: set[str] = set()
        self.next()

    def next(self) -> str:
        """Steps to the next token; answers the one that was current."""
        taken = self.token
        rest = self.text[self.position :]
        self.start = self.position + len(rest) - len(rest.lstrip())
        match = _TOKEN.match(self.text, self.position)
        if not match and rest.strip():
            raise MathError(f"Unexpected '{self.text[self.start]}' at position {self.start}")
        self.kind = str(match.lastgroup) if match else ""
        self.token = match[self.kind] if match else ""
        self.position = match.end() if match else len(self.text)
        return taken

    def expect(self, token: str) -> None:
        if self.token != token:
            raise self.unexpected()
        self.next()

    def unexpected(self) -> MathError:
        return MathError(
            f"Unexpected '{self.token or 'end of expression'}' at position {self.start}"
        )

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self.unary()
        left = self.level(depth + 1)
        while self.token in _LEVELS[depth]:
            left = _binary(_LEVELS[depth][self.next()], left, self.level(depth + 1))
        return left

    def unary(self) -> Node:
        if self.token in ("-", "+"):
            sign = -1.0 if self.next() == "-" else 1.0
            below = self.unary()
            return lambda scope: spread(operator.mul, sign, below(scope))
        base = self.primary()
        if self.token != "^":
            return base
        self.next()
        return _binary(operator.pow, base, self.unary())

    def primary(self) -> Node:
        if self.kind == "number":
            number = float(self.next())
            return lambda scope: number
        if self.token == "(":
            self.next()
            node = self.level(0)
            self.expect(")")
            return node
        if self.token == "[":
            self.next()
            nodes = self.arguments("]")
            return lambda scope: as_lines(node(scope) for node in nodes)
        if self.kind != "name":
            raise self.unexpected()
        name = self.next()
        if self.token == "(":
            return self.call(name)
        self.references.add(name)
        return lambda scope: scope.lines[name]

    def call(self, name: str) -> Node:
        self.expect("(")
        if name in UNSUPPORTED:
            raise MathError(f"Function '{name}' is not supported by the lab")
        if name not in _FUNCTIONS:
            raise MathError(f"Function '{name}' not found")
        nodes = self.arguments(")")
        fn, allowed = _FUNCTIONS[name]
        if len(nodes) not in allowed:
            raise MathError(
                f"Function '{name}' takes {' or '.join(map(str, allowed))} arguments, not "
                f"{len(nodes)}"
            )
        return lambda scope: fn(scope, *(node(scope) for node in nodes))

    def arguments(self, closing: str) -> list[Node]:
        nodes: list[Node] = []
        while self.token != closing:
            if nodes:
                self.expect(",")
            nodes.append(self.argument())
        self.next()
        return nodes

    def argument(self) -> Node:
        """An expression, a text, or a word such as REPEAT, which is not an id."""
        word: Any = self.token
        called = self.text[self.position :].lstrip().startswith("(")
        if self.kind == "text" or (word in _KEYWORDS and not called):
            self.next()
            return lambda scope: word[1:-1] if word[0] in "\"'" else word
        return self.level(0)


def _selected(text: str, scope: Scope) -> Value:
    return select(scope.store, text, scope.own_period, scope.start, scope.end)


def _binary(fn: Callable[[float, float], float], left: Node, right: Node) -> Node:
    return lambda scope: spread(fn, left(scope), right(scope))
