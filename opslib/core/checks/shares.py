"""Shares: one amount of another, over windows that hold enough of it to say something.

`100 * errors / requests` as CloudWatch's metric math writes it, but of sums over a window: a mean
of the minutes' shares would weigh a minute with two requests like one with a thousand.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any

from opslib.core.errors import UsageError
from opslib.core.tables import Frame, Json
from opslib.core.text import number

_PARTS = (ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant, ast.expr_context)
_DONE: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: a / b if b else math.nan,
}
_OPERATORS = (*_DONE, ast.USub)


class Share:
    """An expression over amounts. Raises UsageError: it is none, or has other names."""

    def __init__(self, text: str, amounts: Json) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as exc:
            raise UsageError(f"{text!r} is no expression: 100 * errors / requests.") from exc
        for node in ast.walk(self._tree):
            if not isinstance(node, _PARTS + _OPERATORS):
                raise UsageError(f"{text!r}: only names, numbers, + - * / and parentheses.")
            if isinstance(node, ast.Name) and node.id not in amounts:
                raise UsageError(f"{text!r}: {node.id} is not among its `of`: {', '.join(amounts)}")

    @cached_property
    def _divisor(self) -> ast.expr | None:
        found = (n.right for n in ast.walk(self._tree) if isinstance(n, ast.BinOp) and _divides(n))
        return next(found, None)

    @property
    def whole(self) -> str:
        """What it is a share of: the divisor; empty where it divides by no amount."""
        return ast.unparse(self._divisor) if self._divisor else ""

    @property
    def wholes(self) -> set[str]:
        """The amounts in its divisor."""
        return _names(self._divisor) if self._divisor else set()

    def windows(self, sums: Frame, at_least: float, rows: int) -> Iterator[Json]:
        """The share in each window, oldest first: `time` and what it is `of`, in words.

        `sums`: of each amount in even steps, by time, nothing missing. A window has so many rows,
        and as many more as hold `at_least` of what it is a share of: the newest first, so that now
        is told by as little of the past as does. Where all has less, its value is NaN.
        """
        times, amounts = list(sums.index), {name: sums[name].tolist() for name in sums}
        parts = [
            dict(zip(amounts, row, strict=True)) for row in zip(*amounts.values(), strict=True)
        ]
        whole = self._divisor or ast.Constant(at_least)
        last, held, found = len(times), 0.0, list[tuple[int, int, bool]]()
        for first in reversed(range(len(times))):
            held += _worth(whole, parts[first])
            if held >= at_least and last - first >= rows:
                found.append((first, last, True))
                last, held = first, 0.0
        if last and (held >= at_least or not found):
            found.append((0, last, held >= at_least))
        for first, last, enough in reversed(found):
            summed = {name: sum(part[name] for part in parts[first:last]) for name in sums}
            yield self._told(times[first:last], summed, enough)

    def value(self, amounts: Mapping[str, float]) -> float:
        """Of amounts by their names; NaN where it divides by 0."""
        value = _worth(self._tree, amounts)
        return value if math.isfinite(value) else math.nan

    def _told(self, times: Sequence[Any], amounts: Mapping[str, float], enough: bool) -> Json:
        value = self.value(amounts) if enough else math.nan
        step = min((b - a for a, b in pairwise(times)), default=timedelta(minutes=5))
        minutes = (times[-1] - times[0] + step) / timedelta(minutes=1)
        of = ", ".join(f"{name} {number(each)}" for name, each in amounts.items())
        long = f"{minutes:.0f} min" if minutes < 180 else f"{minutes / 60:.1f} h"
        return {"time": times[-1], "value": value, "of": f"{of} in {long}"}


def _worth(node: Any, amounts: Mapping[str, float]) -> float:
    """What an expression comes to; NaN where it divides by 0."""
    match node:
        case ast.BinOp():
            sides = _worth(node.left, amounts), _worth(node.right, amounts)
            return _DONE[type(node.op)](*sides)
        case ast.UnaryOp():
            return -_worth(node.operand, amounts)
        case ast.Name():
            return amounts[node.id]
    return float(node.value)


def _divides(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Div) and bool(_names(node.right))


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
