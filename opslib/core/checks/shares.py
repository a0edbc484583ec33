"""Shares: one amount of another, over windows that hold enough of it to say something.

`100 * errors / requests` as CloudWatch's metric math writes it, but of sums over a window: a mean
of the minutes' shares would weigh a minute with two requests like one with a thousand.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property

from opslib.core.errors import UsageError
from opslib.core.tables import Frame, Json
from opslib.core.text import number

_PARTS = (ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant, ast.expr_context)
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub)


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
    def whole(self) -> str:
        """What it is a share of: the divisor; empty where it divides by no amount."""
        found = [n.right for n in ast.walk(self._tree) if isinstance(n, ast.BinOp) and _divides(n)]
        return ast.unparse(found[0]) if found else ""

    @property
    def wholes(self) -> set[str]:
        """The amounts in its divisor."""
        return _names(ast.parse(self.whole, mode="eval")) if self.whole else set()

    def windows(self, sums: Frame, at_least: float, rows: int) -> Iterator[Json]:
        """The share in each window, oldest first: `time` and what it is `of`, in words.

        `sums`: of each amount in even steps, by time, nothing missing. A window has so many rows,
        and as many more as hold `at_least` of what it is a share of: the newest first, so that now
        is told by as little of the past as does. Where all has less, its value is NaN.
        """
        volume = sums.eval(self.whole) if self.whole else sums.iloc[:, 0] * 0 + at_least
        last, held, found = len(sums), 0.0, list[Json]()
        for first in reversed(range(len(sums))):
            held += float(volume.iloc[first])
            if held >= at_least and last - first >= rows:
                found.append(self._told(sums.iloc[first:last], True))
                last, held = first, 0.0
        if last and (held >= at_least or not found):
            found.append(self._told(sums.iloc[:last], held >= at_least))
        yield from reversed(found)

    def value(self, amounts: Frame) -> float:
        """Of a row of amounts; NaN where it divides by 0."""
        value = float(amounts.eval(self.text).iloc[0])
        return value if math.isfinite(value) else math.nan

    def _told(self, part: Frame, enough: bool) -> Json:
        whole = part.sum().to_frame().T
        value = self.value(whole) if enough else math.nan
        step = part.index.diff().min() if len(part) > 1 else timedelta(minutes=5)
        minutes = (part.index[-1] - part.index[0] + step) / timedelta(minutes=1)
        amounts = ", ".join(f"{name} {number(each)}" for name, each in whole.iloc[0].items())
        long = f"{minutes:.0f} min" if minutes < 180 else f"{minutes / 60:.1f} h"
        return {"time": part.index[-1], "value": value, "of": f"{amounts} in {long}"}


def _divides(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Div) and bool(_names(node.right))


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
