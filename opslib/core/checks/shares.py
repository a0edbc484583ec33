"""Shares: one amount of another, over windows that hold enough of it to say something.

`100 * errors / requests` as CloudWatch's metric math writes it, but of sums over a window: a mean
of the minutes' shares would weigh a minute with two requests like one with a thousand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from opslib.core.errors import UsageError
from opslib.core.tables import Frame, Json
from opslib.core.text import number

if TYPE_CHECKING:
    import pandas as pd

_PARTS = (
    *(ast.BinOp, ast.UnaryOp, ast.Name, ast.Constant, ast.expr_context),
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub),
)


class Share:
    """An expression over amounts. Raises UsageError: it is none, or has other names.

    `whole`: what it is a share of, the divisor, empty where it divides by no amount; `wholes`: the
    amounts in that.
    """

    def __init__(self, text: str, amounts: Json) -> None:
        self.whole, self.wholes = "", set[str]()
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as exc:
            raise UsageError(f"{text!r} is no expression: 100 * errors / requests.") from exc
        self._formula = ast.unparse(tree)  # on one line, as pandas wants it
        for node in ast.walk(tree):
            if not isinstance(node, _PARTS):
                raise UsageError(f"{text!r}: only names, numbers, + - * / and parentheses.")
            if isinstance(node, ast.Name) and node.id not in amounts:
                raise UsageError(f"{text!r}: {node.id} is not among its `of`: {', '.join(amounts)}")
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and not self.whole:
                self.wholes = {n.id for n in ast.walk(node.right) if isinstance(n, ast.Name)}
                self.whole = ast.unparse(node.right) if self.wholes else ""

    def windows(self, sums: Frame, at_least: float, rows: int) -> Iterator[Json]:
        """The share in each window, oldest first: `time` and what it is `of`, in words.

        `sums`: of each amount in even steps, by time, nothing missing. A window has so many rows,
        and as many more as hold `at_least` of what it is a share of: the newest first, so that now
        is told by as little of the past as does. Where all has less, its value is NaN.
        """
        import pandas as pd

        times, whole = list(sums.index), _worth(self.whole or str(at_least), sums).tolist()
        last, held, found = len(times), 0.0, list[tuple[int, int, bool]]()
        for first in reversed(range(len(times))):
            held += whole[first]
            if held >= at_least and last - first >= rows:
                found.append((first, last, True))
                last, held = first, 0.0
        if last and (held >= at_least or not found):
            found.append((0, last, held >= at_least))
        step = min((b - a for a, b in pairwise(times)), default=timedelta(minutes=5))
        found.reverse()
        summed = pd.DataFrame([sums.iloc[first:last].sum() for first, last, _ in found])
        values = _worth(self._formula, summed).where([enough for *_, enough in found])
        for (first, last, _), value, (_, amounts) in zip(
            found, values, summed.iterrows(), strict=True
        ):
            minutes = (times[last - 1] - times[first] + step) / timedelta(minutes=1)
            of = ", ".join(f"{name} {number(each)}" for name, each in amounts.items())
            long = f"{minutes:.0f} min" if minutes < 180 else f"{minutes / 60:.1f} h"
            yield {"time": times[last - 1], "value": value, "of": f"{of} in {long}"}


def _worth(text: str, amounts: Frame) -> pd.Series:
    """What an expression comes to, of each row; NaN where it divides by 0."""
    import numpy as np
    import pandas as pd

    return pd.Series(amounts.eval(text), amounts.index, float).replace([np.inf, -np.inf], np.nan)
