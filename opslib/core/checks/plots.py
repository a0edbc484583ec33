"""Plots for an operator: threshold drawn and named, UTC, the unit on the axis, the incident's window shaded."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from opslib.core.findings import Finding, Findings
from opslib.core.text import number, tick
from opslib.core.times import Window, moment

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_COLOURS = ("#1f5a94", "#c2571a", "#2f7d4f", "#7b4ea3", "#8a6d1d", "#3b8ea5", "#a33b5e", "#5f6670")
_LEVELS = {"critical": "#b3261e", "alarm": "#b3261e", "warn": "#b87a00", "tolerated": "#b87a00"}
_FAR = 8.0  # a threshold so many times above the data would flatten it
BARS = 40  # that one can read in a picture
_WIDTH = 10.0  # inches, at 100 dots each


@dataclass(frozen=True)
class Line:
    """A series of a panel; its times are UTC and in order."""

    label: str
    times: Sequence[Any]
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """One picture of a page: lines (or bars) over time, thresholds as (name, value)."""

    title: str
    unit: str
    lines: Sequence[Line]
    thresholds: Sequence[tuple[str, float]] = ()
    bar_minutes: float = 0  # more than 0: bars of that width instead of lines


@dataclass(frozen=True)
class Picture:
    """A drawn page. Shown as PNG where pictures are shown, and in words everywhere; empty when nothing could be read."""

    png: bytes = field(repr=False)
    words: str = ""

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        import base64

        picture = {"image/png": base64.b64encode(self.png).decode()} if self.png else {}
        return {**picture, "text/plain": self.words}


class Plotted(Findings):
    """Findings together with the panels that show what they were read from."""

    def __init__(
        self,
        found: Iterable[Finding],
        evidence: pd.DataFrame | None,
        note: str,
        panels: Sequence[Panel],
        within: Window,
    ) -> None:
        super().__init__(found, evidence, note)
        self.panels, self.within = panels, within


def draw(found: Findings, since: str = "", until: str = "") -> Picture:
    """The pictures that belong to findings: a page of small multiples, two in a row, over the same window of time.

    `since` and `until` shade an incident: ago (`2h`) or ISO times, UTC. Findings of what could not be read have none.
    """
    if not isinstance(found, Plotted):  # it could not be read; its finding says why
        return Picture(b"", "Nothing to draw: " + "; ".join(f.seen for f in found))
    incident = None
    if since:
        begin = moment(since, found.within.end)
        incident = Window(begin, moment(until, found.within.end) if until else found.within.end)
    said = [f"{panel.title}: {words(panel)}" for panel in found.panels]
    shaded = [f"Shaded: {incident}."] if incident else []
    return Picture(page(found.panels, found.within, incident), "\n".join(said + shaded))


def page(panels: Sequence[Panel], within: Window, incident: Window | None = None) -> bytes:
    """The page as PNG, white and opaque."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if len(panels) > 1 else 1
    rows = max(1, -(-len(panels) // columns))
    height = 2.5 * rows if columns > 1 else 3.2
    figure = Figure(figsize=(_WIDTH, height), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, panel in zip(axes, panels, strict=False):
        _draw_panel(axis, panel, within, incident)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return _png(figure)


def bars(title: str, unit: str, labels: Sequence[str], values: Sequence[float]) -> Picture:
    """One horizontal bar a label, in their order from the top, its value beside it; at most BARS of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not labels:
        return Picture(b"", f"{title}: no row, so nothing to draw.")
    names, heights = [_plain(label)[:40] for label in labels[:BARS]], list(values[:BARS])
    figure = Figure(
        figsize=(_WIDTH, 0.9 + 0.26 * len(names)), dpi=100, facecolor="white", layout="constrained"
    )
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    drawn = axis.barh(range(len(names)), heights, color=_COLOURS[0], height=0.7)
    axis.bar_label(drawn, [number(height) for height in heights], padding=3, fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.08)
    axis.set_title(_plain(title), fontsize=10, loc="left")
    axis.set_xlabel(_plain(unit), fontsize=8)
    axis.xaxis.set_major_formatter(lambda value, _: number(value))
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    said = ", ".join(
        f"{label} {number(value)}" for label, value in zip(labels[:BARS], heights, strict=True)
    )
    left = f"; {len(labels) - BARS} more are not drawn" if len(labels) > BARS else ""
    return Picture(_png(figure), f"{title} ({unit}): {said}{left}")


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor="white", metadata={"Software": None})
    return out.getvalue()


def words(panel: Panel) -> str:
    """A panel in words: how much of what, the last and the highest value, and the thresholds."""
    parts = []
    for line in panel.lines:
        if len(line.values):
            at = list(line.values).index(max(line.values))
            highest = f"highest {tick(max(line.values), panel.unit)} at {line.times[at]:%H:%M}"
            parts.append(f"{line.label} now {tick(line.values[-1], panel.unit)}, {highest}")
    limits = ", ".join(f"{name} {tick(value, panel.unit)}" for name, value in panel.thresholds)
    return (
        "; ".join([*parts, *([limits] if limits else [])]) + f" ({panel.unit})"
        if parts
        else "no data"
    )


def _draw_panel(axis: Any, panel: Panel, within: Window, incident: Window | None) -> None:
    axis.set_title(_plain(panel.title), fontsize=10, loc="left")
    axis.set_ylabel(_plain(panel.unit), fontsize=8)
    axis.set_xlim(within.start, within.end)
    _draw_lines(axis, panel, within)
    _scale(axis, panel)
    if panel.unit == "count" or panel.bar_minutes:
        axis.yaxis.get_major_locator().set_params(integer=True)
    if incident:
        axis.axvspan(
            incident.start, incident.end, color="#f3d9a4", alpha=0.5, linewidth=0, zorder=0
        )
        late = (
            incident.start - within.start > within.end - incident.end
        )  # the label goes to the side that has room
        at, side = (incident.start, "right") if late else (incident.end, "left")
        place = {"transform": axis.get_xaxis_transform(), "va": "top", "ha": side, "clip_on": True}
        axis.text(at, 0.98, " incident ", fontsize=7.5, color="#7a5a14", **place)
    if len(panel.lines) > 1:
        axis.legend(fontsize=7, loc="best", framealpha=0.85, ncols=2 if len(panel.lines) > 3 else 1)
    _style(axis, within, panel.unit)


def _draw_lines(axis: Any, panel: Panel, within: Window) -> None:
    for place, line in enumerate(panel.lines):
        colour = _COLOURS[place % len(_COLOURS)]
        times, values = _with_gaps(line)
        if panel.bar_minutes:
            days = 0.9 * max(panel.bar_minutes, within.minutes / 400) / 1440
            axis.bar(
                line.times,
                line.values,
                width=days,
                color=colour,
                align="edge",
                label=_plain(line.label),
            )
        else:
            marker = "o" if len(line.values) < 3 else None
            axis.plot(
                times, values, color=colour, linewidth=1.3, marker=marker, label=_plain(line.label)
            )
    if not any(len(line.values) for line in panel.lines):
        axis.text(
            0.5, 0.5, "no data", transform=axis.transAxes, ha="center", va="center", color="#5f6670"
        )


def _with_gaps(line: Line) -> tuple[list[Any], list[float]]:
    """The series with a hole where there was no data, so that no line is drawn over it."""
    times, values = list(line.times), list(line.values)
    steps = sorted(b - a for a, b in pairwise(times))
    usual = steps[len(steps) // 2] if steps else None
    for i in range(len(times) - 1, 0, -1):
        if usual is not None and times[i] - times[i - 1] > 2.5 * usual:
            times.insert(i, times[i - 1] + usual)
            values.insert(i, float("nan"))
    return times, values


def _scale(axis: Any, panel: Panel) -> None:
    """Thresholds near the data are drawn where they are; those far above it are named at the top edge."""
    values = [value for line in panel.lines for value in line.values]
    highest = max(values, default=0.0)
    near = [
        (name, value) for name, value in panel.thresholds if value <= _FAR * highest or not highest
    ]
    top = 1.18 * max([highest, *(value for _, value in near)]) or 1.0
    axis.set_ylim(
        min(-0.02 * top, min(values, default=0.0)), top
    )  # a line at 0 is not hidden by the axis
    for name, value in near:
        _threshold(axis, f"{name} {tick(value, panel.unit)}", value, _colour(name), "bottom")
    far = [(name, value) for name, value in panel.thresholds if (name, value) not in near]
    if far:
        label = ", ".join(f"{name} {tick(value, panel.unit)}" for name, value in far)
        _threshold(axis, f"↑ {label}: above this scale", top, _colour(far[0][0]), "top")


def _threshold(axis: Any, label: str, height: float, colour: str, side: str) -> None:
    axis.axhline(height, color=colour, linestyle="--", linewidth=1.0)
    place = {"xycoords": ("axes fraction", "data"), "xytext": (0, 1 if side == "bottom" else -2)}
    axis.annotate(
        _plain(label),
        (0.006, height),
        textcoords="offset points",
        ha="left",
        va=side,
        fontsize=7.5,
        color=colour,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.8},
        **place,
    )


def _colour(name: str) -> str:
    return next(
        (colour for level, colour in _LEVELS.items() if name.lower().startswith(level)), "#5f6670"
    )


def _style(axis: Any, within: Window, unit: str) -> None:
    from matplotlib import dates, ticker

    axis.set_facecolor("white")
    axis.set_axisbelow(True)
    axis.grid(True, axis="y", color="#e3e6ea", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: tick(value, unit)))
    axis.xaxis.set_major_locator(dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=7))
    axis.xaxis.set_major_formatter(
        dates.DateFormatter("%H:%M" if within.minutes <= 2160 else "%d %b %H:%M", tz=UTC)
    )
    day = f"{within.start:%d %b}" + (
        "" if within.start.date() == within.end.date() else f" – {within.end:%d %b}"
    )
    axis.set_xlabel(f"UTC, {day}", fontsize=8)


def _plain(text: str) -> str:
    """Text as it is: a $ in it begins no formula."""
    return text.replace("$", r"\$")
