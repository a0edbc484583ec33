"""Plots for an operator.

Threshold drawn and named, UTC, the unit on the axis, the incident's window shaded.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opslib.core.findings import Finding, Findings
from opslib.core.redaction import mask
from opslib.core.tables import Frame, Json
from opslib.core.text import cut, number, printable, tick
from opslib.core.times import Window, moment

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = ("#1f5a94", "#c2571a", "#2f7d4f", "#7b4ea3", "#8a6d1d", "#3b8ea5", "#a33b5e", "#5f6670")
_LEVELS = {"critical": "#b3261e", "alarm": "#b3261e", "warn": "#b87a00", "tolerated": "#b87a00"}
_FAR = 8.0  # a threshold so many times above the data would flatten it
BARS = 40  # that one can read in a picture
_WIDTH = 10.0  # inches, at 100 dots each
_GREY = "#5f6670"
_STYLE = {
    "text.parse_math": False,  # a $ begins no formula
    "font.size": 8,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.3,
    "lines.marker": ".",  # a single value is seen, too
    "lines.markersize": 3.2,
    "lines.markeredgewidth": 0,
    "legend.fontsize": 7,
    "legend.framealpha": 0.85,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


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
    marks: Sequence[tuple[datetime, str]] = ()  # moments that a vertical line stands at, by name


@dataclass(frozen=True)
class Picture:
    """A drawn page.

    Shown as PNG where pictures are shown, and in words everywhere; empty when nothing could be
    read.
    """

    png: bytes = field(repr=False)
    words: str = ""

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: Any) -> Json:
        import base64

        picture = {"image/png": base64.b64encode(self.png).decode()} if self.png else {}
        return {**picture, "text/plain": self.words}


class Plotted(Findings):
    """Findings together with the panels that show what they were read from."""

    def __init__(
        self,
        found: Iterable[Finding],
        evidence: Frame | None,
        note: str,
        panels: Sequence[Panel],
        within: Window,
    ) -> None:
        super().__init__(found, evidence, note)
        self.panels, self.within = panels, within


def draw(found: Findings, since: str = "", until: str = "") -> Picture:
    """The pictures that belong to findings.

    A page of small multiples, two in a row, over the same window of time. `since` and `until` shade
    an incident: ago (`2h`) or ISO times, UTC. Findings of what could not be read have none.
    """
    if not isinstance(found, Plotted):  # it could not be read; its finding says why
        return Picture(b"", "Nothing to draw: " + "; ".join(f.seen for f in found))
    said = [f"{panel.title}: {words(panel)}" for panel in found.panels]
    incident, end = None, found.within.end
    if since:
        incident = Window(moment(since, end), moment(until, end) if until else end)
        said.append(f"Shaded: {incident}.")
    return Picture(page(found.panels, found.within, incident), "\n".join(said))


def page(panels: Sequence[Panel], within: Window, incident: Window | None = None) -> bytes:
    """The page as PNG, white and opaque."""
    import matplotlib

    columns = 2 if len(panels) > 1 else 1
    rows = max(1, -(-len(panels) // columns))
    with matplotlib.rc_context(_STYLE):
        height = 2.5 * rows if columns > 1 else 3.2
        figure = _figure(height)
        # Margins that hold what is written there: a layout that is computed takes as long again.
        edges = {"left": 0.095, "right": 0.98, "bottom": 0.5 / height, "top": 1 - 0.3 / height}
        gaps = {"wspace": 0.26, "hspace": 0.5}
        axes = list(figure.subplots(rows, columns, squeeze=False, gridspec_kw=edges | gaps).flat)
        for axis, panel in zip(axes, panels, strict=False):
            _draw_panel(axis, panel, within, incident)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        return _png(figure)


def bars(title: str, unit: str, labels: Sequence[str], values: Sequence[float]) -> Picture:
    """One horizontal bar a label, in their order from the top, its value beside it.

    At most BARS.
    """
    import matplotlib

    if not labels:
        return Picture(b"", f"{title}: no row, so nothing to draw.")
    names, heights = [cut(printable(label), 40) for label in labels[:BARS]], list(values[:BARS])
    with matplotlib.rc_context(_STYLE | {"axes.grid": False, "axes.xmargin": 0.08}):
        figure = _figure(0.9 + 0.26 * len(names), "constrained")
        axis = figure.subplots()
        drawn = axis.barh(range(len(names)), heights, color=_COLOURS[0], height=0.7)
        axis.bar_label(drawn, fmt=number, padding=3)
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        axis.set(title=title, xlabel=unit)
        axis.xaxis.set_major_formatter(lambda value, _: number(value))
        png = _png(figure)
    told = zip(labels, heights, strict=False)
    said = ", ".join(f"{label} {number(value)}" for label, value in told)
    left = f"; {len(labels) - BARS} more are not drawn" if len(labels) > BARS else ""
    return Picture(png, f"{title} ({unit}): {said}{left}")


def _figure(height: float, layout: Any = None) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, height), dpi=100, layout=layout)


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def words(panel: Panel) -> str:
    """A panel in words: how much of what, the last and the highest value, and the thresholds."""
    parts = []
    for line in panel.lines:
        if len(line.values):
            highest, when = tick(line.values.max(), panel.unit), line.values.idxmax()
            now = tick(line.values.iloc[-1], panel.unit)
            parts.append(f"{line.label} now {now}, highest {highest} at {when:%H:%M}")
    if not parts:
        return "no data"
    if panel.thresholds:
        parts.append(_named(panel, panel.thresholds))
    parts += [f"{name} at {when:%H:%M}" for when, name in panel.marks]
    return f"{'; '.join(parts)} ({panel.unit})"


def _named(panel: Panel, thresholds: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {tick(value, panel.unit)}" for name, value in thresholds)


def _draw_panel(axis: Any, panel: Panel, within: Window, incident: Window | None) -> None:
    from matplotlib import dates

    axis.set(title=panel.title, ylabel=panel.unit, xlim=(within.start, within.end))
    _draw_lines(axis, panel, within)
    _scale(axis, panel)
    if panel.unit == "count" or panel.bar_minutes:
        axis.yaxis.get_major_locator().set_params(integer=True)
    if incident:
        _shade(axis, within, incident)
    _mark(axis, panel, within)
    if len(panel.lines) > 1:
        axis.legend(ncols=2 if len(panel.lines) > 3 else 1)
    axis.yaxis.set_major_formatter(lambda value, _: tick(value, panel.unit))
    axis.xaxis.set_major_locator(dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=7))
    times = "%H:%M" if within.minutes <= 2160 else "%d %b %H:%M"
    axis.xaxis.set_major_formatter(dates.DateFormatter(times, tz=UTC))
    days = dict.fromkeys(f"{day:%d %b}" for day in (within.start, within.end))
    axis.set_xlabel(f"UTC, {' – '.join(days)}")


def _shade(axis: Any, within: Window, incident: Window) -> None:
    axis.axvspan(incident.start, incident.end, color="#f3d9a4", alpha=0.5, linewidth=0, zorder=0)
    late = incident.start - within.start > within.end - incident.end  # the label goes where room is
    at, side = (incident.start, "right") if late else (incident.end, "left")
    place = {"transform": axis.get_xaxis_transform(), "va": "top", "ha": side, "clip_on": True}
    axis.text(at, 0.98, " incident ", fontsize=7.5, color="#7a5a14", **place)


def _mark(axis: Any, panel: Panel, within: Window) -> None:
    """What happened at a moment; below the top, where the incident's name is."""
    for when, name in panel.marks:
        if within.start <= when <= within.end:
            axis.axvline(when, color=_GREY, linestyle=":", linewidth=1.2, marker="")
            late = when - within.start > within.end - when
            place = {"va": "top", "ha": "right" if late else "left", "clip_on": True}
            at = {"transform": axis.get_xaxis_transform(), "fontsize": 7.5, "color": _GREY}
            axis.text(when, 0.88, f" {printable(mask(name))} ", **at, **place)


def _draw_lines(axis: Any, panel: Panel, within: Window) -> None:
    for place, line in enumerate(panel.lines):
        style = {"color": _COLOURS[place % len(_COLOURS)], "label": printable(mask(line.label))}
        if panel.bar_minutes:
            days = 0.9 * max(panel.bar_minutes, within.minutes / 400) / 1440
            axis.bar(line.values.index, line.values, width=days, align="edge", **style)
        else:
            series = _with_gaps(line.values)
            axis.plot(series.index, series, **style)
    if not any(len(line.values) for line in panel.lines):
        middle = {"transform": axis.transAxes, "ha": "center", "va": "center"}
        axis.text(0.5, 0.5, "no data", color=_GREY, fontsize=10, **middle)


def _with_gaps(values: pd.Series) -> pd.Series:
    """The series with a hole where there was no data, so that no line is drawn over it."""
    import pandas as pd

    steps = values.index.diff()
    usual = steps.median()
    holes = values.index[steps > 2.5 * usual] - steps[steps > 2.5 * usual] + usual
    return pd.concat([values, pd.Series(float("nan"), holes)]).sort_index()


def _scale(axis: Any, panel: Panel) -> None:
    """Thresholds near the data are drawn where they are.

    Those far above it are named at the top.
    """
    values = [0.0, *(value for line in panel.lines for value in line.values)]
    highest = max(values)
    near = [limit for limit in panel.thresholds if limit[1] <= _FAR * highest or not highest]
    far = [limit for limit in panel.thresholds if limit not in near]
    top = 1.18 * max([highest, *(value for _, value in near)]) or 1.0
    axis.set_ylim(min(-0.02 * top, *values), top)  # a line at 0 is not hidden by the axis
    for name, value in near:
        _threshold(axis, _named(panel, [(name, value)]), value, name, "bottom")
    if far:
        _threshold(axis, f"↑ {_named(panel, far)}: above this scale", top, far[0][0], "top")


def _threshold(axis: Any, label: str, height: float, name: str, side: str) -> None:
    levels = (colour for level, colour in _LEVELS.items() if name.lower().startswith(level))
    colour = next(levels, _GREY)
    axis.axhline(height, color=colour, linestyle="--", linewidth=1.0, marker="")
    axis.text(
        0.006,
        height,
        label,
        transform=axis.get_yaxis_transform(),
        va=side,
        fontsize=7.5,
        color=colour,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8},
    )
