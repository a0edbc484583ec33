"""Panels drawn as PNG: small multiples, two in a row, each in a cell of one size.

A threshold lies over the data and is named, a mark is a line with a label, the incident is shaded.
"""

import io
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from opslib.core.checks.marks import Stroke
from opslib.core.checks.panels import Panel, named, points, short_labels, single, with_gaps
from opslib.core.strict_yaml import beside
from opslib.core.text import cut, number, printable
from opslib.core.times import Window

# Told apart by who sees no red or no green; the strokes tell the rest.
COLOURS = ("#0b5394", "#d55e00", "#00856a", "#8c1d64", "#b27d00", "#3b9bd4", "#4b3f8f", "#6b4a2b")
_STROKES = ("-", "--", "-.", ":")
_GREY = "#5f6670"
_DOTS = 100  # an inch
CELL = (500, 250)  # dots of a panel among others
_ALONE = (1000, 320)
_LEFT, _RIGHT, _BOTTOM, _TOP = 62, 14, 44, 28  # dots of a cell's margins
_NAMES = 118  # dots for the names of lines, beside them
_LETTER = 5.2  # dots of a letter of a mark's label
_TABLE = beside(__file__, "drawing")


def page(
    panels: Sequence[Panel],
    within: Window,
    incident: Window | None = None,
    strokes: Sequence[Stroke] = (),
) -> bytes:
    """The page as PNG, white and opaque: where a ground is dark, who shows it turns it round."""
    import matplotlib

    alone = len(panels) <= 1
    wide, high = _ALONE if alone else CELL
    columns, rows = (1, 1) if alone else (2, -(-len(panels) // 2))
    with matplotlib.rc_context(_TABLE["settings"]):
        figure = _figure(wide * columns, high * rows)
        for place, panel in enumerate(panels):
            row, column = divmod(place, columns)
            right = _RIGHT if len(panel.lines) < 2 else 2 * _NAMES if alone else _NAMES
            axis = figure.add_axes(
                (
                    (column * wide + _LEFT) / (wide * columns),
                    1 - ((row + 1) * high - _BOTTOM) / (high * rows),
                    (wide - _LEFT - right) / (wide * columns),
                    (high - _BOTTOM - _TOP) / (high * rows),
                )
            )
            _panel(axis, panel.scaled(), within, incident, strokes)
        return _png(figure)


def bars(title: str, unit: str, names: Sequence[str], heights: Sequence[float]) -> bytes:
    """One horizontal bar a name, in their order from the top, its value beside it."""
    import matplotlib

    shown = [cut(printable(name), 40) for name in names]
    with matplotlib.rc_context(_TABLE["settings"] | {"axes.grid": False, "axes.xmargin": 0.08}):
        figure = _figure(_ALONE[0], 90 + 26 * len(shown), "constrained")
        axis = figure.subplots()
        drawn = axis.barh(range(len(shown)), heights, color=COLOURS[0], height=0.7)
        axis.bar_label(drawn, fmt=number, padding=3)
        axis.set_yticks(range(len(shown)), shown)
        axis.invert_yaxis()
        axis.set(title=title, xlabel=unit)
        axis.xaxis.set_major_formatter(lambda value, _: number(value))
        return _png(figure)


def _figure(width: int, height: int, layout: Any = None) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width / _DOTS, height / _DOTS), dpi=_DOTS, layout=layout)


def _png(figure: Any) -> bytes:
    """Of 32 colours: a quarter of the bytes, and nobody sees it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height()
    image: Any = Image.frombuffer("RGBA", size, canvas.buffer_rgba()).convert("RGB")
    out, made = io.BytesIO(), image.quantize(32, method=2, dither=0)
    palette = made.getpalette()
    made.putpalette([255 if value > 251 else value for value in palette])  # white stays white
    made.save(out, format="png")  # optimised it takes eight times as long, for a twentieth less
    return out.getvalue()


def _panel(
    axis: Any,
    panel: Panel,
    within: Window,
    incident: Window | None,
    strokes: Sequence[Stroke],
) -> None:
    from matplotlib import dates

    axis.set(title=panel.title, ylabel=panel.unit, xlim=(within.start, within.end))
    top = _bars(axis, panel, within) if panel.bar_minutes else _lines(axis, panel)
    _scale(axis, panel, top, 1.4 if strokes else 1.18)
    if panel.unit == "count" or panel.bar_minutes:
        axis.yaxis.get_major_locator().set_params(integer=True)
    if incident:
        _shade(axis, within, incident)
    _mark(axis, within, strokes)
    axis.yaxis.set_major_formatter(lambda value, _: number(value))
    axis.xaxis.set_major_locator(dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=6))
    times = "%H:%M" if within.minutes <= 2160 else "%d %b %H:%M"
    axis.xaxis.set_major_formatter(dates.DateFormatter(times, tz=UTC))
    days = dict.fromkeys(f"{day:%d %b}" for day in (within.start, within.end))
    axis.set_xlabel(f"UTC, {' – '.join(days)}")
    axis.xaxis.set_label_coords(0.5, -28 / axis.bbox.height)
    axis.yaxis.set_label_coords(-42 / axis.bbox.width, 0.5)


def looks(number: int) -> list[tuple[str, str]]:
    """Colour and stroke of so many lines: no two neighbours have the same stroke."""
    return [(COLOURS[at], _STROKES[at % len(_STROKES)]) for at in range(number)]


def _lines(axis: Any, panel: Panel) -> float:
    """Each in a colour and a stroke of its own, its name beside its end; the highest value."""
    first, others = panel.told_apart()
    for line in others:
        axis.plot(*points(with_gaps(line.values)), color="#b9bfc7", linewidth=0.8, zorder=1.9)
    names = []
    named_lines = zip(first, short_labels(first), looks(len(first)), strict=True)
    for line, text, (colour, stroke) in named_lines:
        if not line.values.count():
            continue
        style = {"color": colour, "linestyle": stroke}
        series = with_gaps(line.values)
        axis.plot(*points(series), **style)
        axis.plot(*points(single(series)), color=colour, linestyle="", marker="o")
        names.append((line.values.iloc[-1], text, style))
    if others:
        ends = [line.values.iloc[-1] for line in others if line.values.count()]
        grey = {"color": "#9aa1ab", "linestyle": "-"}
        names.append((max([0.0, *ends]), f"{len(others)} lower ones", grey))
    if not names:
        _no_data(axis)
    axis.names = names
    return panel.highest


def _bars(axis: Any, panel: Panel, within: Window) -> float:
    """One on the other, so that none hides another; the height of the highest pile."""
    import pandas as pd

    days = 0.9 * max(panel.bar_minutes, within.minutes / 400) / 1440
    first, others = panel.told_apart()
    table = pd.DataFrame({at: line.values for at, line in enumerate(first)})
    texts = short_labels(first)
    if others:
        table[len(first)] = pd.DataFrame({at: o.values for at, o in enumerate(others)}).sum(axis=1)
        texts.append(f"{len(others)} others")
    table, pile, names = table.fillna(0), 0.0, []
    for place, text in enumerate(texts):
        colour = COLOURS[place] if place < len(first) else "#9aa1ab"
        axis.bar(table.index, table[place], days, bottom=pile, align="edge", color=colour)
        pile = pile + table[place]
        names.append((0.0, text, {"color": colour, "linestyle": "-", "linewidth": 5}))
    if table.empty:
        _no_data(axis)
    axis.names = names
    return 0.0 if table.empty else float(pd.Series(pile).max())


def _no_data(axis: Any) -> None:
    middle = {"transform": axis.transAxes, "ha": "center", "va": "center"}
    axis.text(0.5, 0.5, "no data", color=_GREY, fontsize=10, **middle)


def _name_lines(axis: Any, names: Sequence[tuple[float, str, Any]]) -> None:
    """Beside their ends, with a piece of the line, and none over another."""
    low, high = axis.get_ylim()
    dot = 1 / axis.bbox.width
    gap = min(0.085, 1 / max(1, len(names)))
    ordered = sorted(names, key=lambda each: each[0])
    place = 0.0
    spots = []
    for value, _, _ in ordered:
        place = max(place, (value - low) / (high - low))
        spots.append(place)
        place += gap
    ceiling = min([0.97, *spots[-1:]])
    for at in reversed(range(len(spots))):  # pushed down again where there is no room above
        spots[at] = min(spots[at], ceiling)
        ceiling = spots[at] - gap
    for spot, (_, text, style) in zip(spots, ordered, strict=True):
        inside = {"transform": axis.transAxes, "clip_on": False}
        axis.plot([1 + 5 * dot, 1 + 26 * dot], [spot, spot], **inside, **style)
        place = 1 + 30 * dot
        axis.text(place, spot, text, fontsize=7.5, va="center", transform=axis.transAxes)


def _scale(axis: Any, panel: Panel, highest: float, room: float) -> None:
    """Thresholds near the data are drawn where they are.

    Those far above it are named at the top.
    """
    near = panel.near
    far = [limit for limit in panel.thresholds if limit not in near]
    top = room * max([highest, *(value for _, value in near)]) or 1.0
    values = (line.values for line in panel.lines if line.values.count())
    least = min([0.0, *(each.min() for each in values)])
    axis.set_ylim(min(-0.02 * top, least), top)  # a line at 0 is not hidden by the axis
    before = -top
    for name, value in sorted(near, key=lambda each: each[1]):
        beside = value - before < 0.09 * top  # its name would lie on the one below
        before = value
        _threshold(axis, named([(name, value)]), value, name, "bottom", beside)
    if far:
        _threshold(axis, f"↑ {named(far)}: above this scale", top, far[0][0], "top")
    if len(panel.lines) > 1:
        _name_lines(axis, axis.names)


def _threshold(
    axis: Any, text: str, height: float, name: str, side: str, beside: bool = False
) -> None:
    levels = _TABLE["levels"].items()
    colour = next((of for level, of in levels if name.lower().startswith(level)), _GREY)
    axis.axhline(height, color=colour, linestyle=(0, (6, 2)), linewidth=1.2, zorder=3)
    at, side_of = (0.994, "right") if beside else (0.006, "left")
    style = {**_TABLE["threshold"], "color": colour, "ha": side_of}
    axis.text(at, height, text, transform=axis.get_yaxis_transform(), va=side, **style)


def _shade(axis: Any, within: Window, incident: Window) -> None:
    axis.axvspan(incident.start, incident.end, color="#f3d9a4", alpha=0.5, linewidth=0, zorder=0)
    late = incident.start - within.start > within.end - incident.end  # the label goes where room is
    at, side = (incident.start, "right") if late else (incident.end, "left")
    place = {"transform": axis.get_xaxis_transform(), "va": "bottom", "ha": side, "clip_on": True}
    axis.text(at, 0.02, " incident ", fontsize=7.5, color="#7a5a14", **place)


def _mark(axis: Any, within: Window, strokes: Sequence[Stroke]) -> None:
    """A line for each, its label in the first of four rows where no other is in its place."""
    ends = [-1.0] * 4  # of what stands in each row
    for stroke in strokes:
        line = _TABLE["marks"].get(stroke.kind, _TABLE["marks"]["change"])
        axis.axvline(stroke.time, **line, linewidth=1.0, zorder=2.5)
        at = (stroke.time - within.start) / (within.end - within.start)
        style = {**_TABLE["mark"], "color": line["color"], "ha": "right" if at > 0.5 else "left"}
        wide = _LETTER * (len(stroke.label) + 2) / axis.bbox.width
        left = at - wide * (at > 0.5)
        row = next((row for row, end in enumerate(ends) if end <= left), 3)
        ends[row] = left + wide
        axis.text(at, 0.99 - 0.085 * row, f" {stroke.label} ", transform=axis.transAxes, **style)
