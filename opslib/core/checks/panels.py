"""What a picture shows: lines or bars over time with their thresholds, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from opslib.core.redaction import mask
from opslib.core.strict_yaml import beside
from opslib.core.text import cut, number, printable, tick

if TYPE_CHECKING:
    import pandas as pd

NAMED = 8  # lines that can be told apart in one panel
_SHORT, _LONGEST = 6, 16  # characters of a name
_FAR = 8.0  # a threshold so many times above the data would flatten it
_STEPS: Any = beside(__file__, "panels")


@dataclass(frozen=True)
class Line:
    """A series of a panel: values by their times, which are UTC and in order."""

    label: str
    values: pd.Series


@dataclass(frozen=True)
class Panel:
    """One picture of a page: lines (or bars) over time, thresholds as (name, value)."""

    title: str
    unit: str
    lines: Sequence[Line]
    thresholds: Sequence[tuple[str, float]] = ()
    bar_minutes: float = 0  # more than 0: bars of that width instead of lines

    @property
    def highest(self) -> float:
        return max([0.0, *(float(line.values.max()) for line in self.lines if line.values.count())])

    @property
    def near(self) -> list[tuple[str, float]]:
        """The thresholds that fit beside the data."""
        highest = self.highest
        return [at for at in self.thresholds if at[1] <= _FAR * highest or not highest]

    def scaled(self) -> Panel:
        """The same in the unit that its axis counts in: 0.04 s as 40 ms, 7,200 s as 120 min."""
        top = max([self.highest, *(value for _, value in self.near)])
        steps = _STEPS.get(self.unit, ())
        small = (0, 0.001, "ms") if self.unit == "s" and top else (0, 1.0, self.unit)
        _, factor, unit = next((step for step in steps if top >= step[0]), small)
        lines = [Line(line.label, line.values / factor) for line in self.lines]
        limits = [(name, value / factor) for name, value in self.thresholds]
        return replace(self, unit=unit, lines=lines, thresholds=limits)

    def told_apart(self) -> tuple[list[Line], list[Line]]:
        """The lines that have a name, in their order, and the others, which are the lowest."""
        if len(self.lines) <= NAMED:
            return [*self.lines], []
        tops = [line.values.max() if line.values.count() else -1.0 for line in self.lines]
        first = sorted(range(len(tops)), key=lambda at: -tops[at])[: NAMED - 1]
        others = [line for at, line in enumerate(self.lines) if at not in first]
        return [self.lines[at] for at in sorted(first)], others


def words(panel: Panel) -> str:
    """A panel in words: how much of what, the last and the highest value, and the thresholds."""
    parts = []
    for line in panel.lines:
        if line.values.count():
            highest, when = tick(line.values.max(), panel.unit), line.values.idxmax()
            now = tick(line.values.iloc[-1], panel.unit)
            parts.append(f"{line.label} now {now}, highest {highest} at {when:%H:%M}")
    if not parts:
        return "no data"
    if panel.thresholds:
        limits = (f"{name} {tick(value, panel.unit)}" for name, value in panel.thresholds)
        parts.append(", ".join(limits))
    return f"{'; '.join(parts)} ({panel.unit})"


def named(thresholds: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in thresholds)


def short_labels(lines: Sequence[Line]) -> list[str]:
    """The names beside lines, without the words that all begin or end with: `bluemoxon-staging-`,
    ` Invocations Sum`.
    """
    texts = [printable(mask(line.label)) for line in lines]
    texts = [text[_same(texts) :] for text in texts]
    back = _same([text[::-1] for text in texts])
    return [cut(text[: len(text) - back], _LONGEST) for text in texts]


def _same(texts: list[str]) -> int:
    """How many characters all begin with, up to the end of a word."""
    same = commonprefix(texts)  # noqa: RUF071 - labels, no paths
    long = max(same.rfind(sign) for sign in " -_/.:") + 1
    return long if long > _SHORT else 0


def single(series: pd.Series) -> pd.Series:
    """The values that have no neighbour: no line shows them."""
    known = series.notna()
    return series[known & ~known.shift(1, fill_value=False) & ~known.shift(-1, fill_value=False)]


def points(series: pd.Series) -> tuple[Any, Any]:
    """Its times and values as matplotlib takes them at once; times with a zone it takes singly."""
    return series.index.tz_convert(None).to_numpy(), series.to_numpy()


def with_gaps(values: pd.Series) -> pd.Series:
    """The series with a hole where there was no data, so that no line is drawn over it."""
    import pandas as pd

    steps = values.index.diff()
    usual = steps.median()
    wide = steps > 2.5 * usual
    if not wide.any():
        return values
    holes = values.index[wide] - steps[wide] + usual
    return pd.concat([values, pd.Series(float("nan"), holes)]).sort_index()
