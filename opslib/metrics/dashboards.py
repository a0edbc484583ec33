"""CloudWatch dashboards, drawn from their own definition: their metrics, math and thresholds."""

import re
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Line,
    OpsError,
    Panel,
    Plotted,
    Question,
    UsageError,
    Window,
    check,
    count,
    dtypes,
    frame,
    metrics,
    number,
    window,
)
from opslib.metrics.widgets import Limit, Row, Widget, as_alarmed, needed, widgets

WIDGETS = dtypes("""
    widget  str
    line    str
    now     float64
    lowest  float64
    highest float64
    points  int64
""")


@check("What does the dashboard show?")
def check_dashboard(ops: Connection, dashboard: str, hours: float = 24) -> Findings:
    """A finding for each widget: above a threshold that is written on it, or without data.

    Evidence: WIDGETS.
    """
    within = window(ops, hours * 60)
    found, left = widgets(ops, dashboard)
    if not found:
        raise OpsError(
            f"Dashboard {dashboard!r} has no metric widget that can be drawn: "
            f"{', '.join(left) or 'it is empty'}."
        )
    alarms, unread = _alarms(ops, found)
    drawn = ops.gather(*(partial(_drawn, ops, widget, within, alarms) for widget in found))
    lines = [
        (each.panel.title, line.label, line.values) for each in drawn for line in each.panel.lines
    ]
    rows = [(*named, of.iloc[-1], of.min(), of.max(), len(of)) for *named, of in lines]
    note = f"{within}. {sum(points for *_, points in rows):,} points."
    note += f" Not drawn: {', '.join(left)}." if left else ""
    unjudged = sorted({limit.name for each in drawn for limit in each.limits if not limit.bad})
    note += f" Drawn and not judged, since no side of it is bad: {', '.join(unjudged)}." * bool(
        unjudged
    )
    panels = [each.panel for each in drawn]
    return Plotted(map(_finding, drawn), frame(rows, WIDGETS), note + unread, panels, within)


def _alarms(ops: Connection, found: Sequence[Widget]) -> tuple[list[Json], str]:
    """The alarms that may say which side of a line is bad, where the line does not."""
    if all(limit.bad for widget in found for limit in widget.limits):
        return [], ""
    try:
        return ops.pages("cloudwatch", "describe_alarms", "MetricAlarms[?MetricName]"), ""
    except OpsError as exc:
        return [], f" The alarms, which say which side of a line is bad, were not read: {exc}"


class Drawn(NamedTuple):
    """A widget as it was answered. `lines`: of each, its axis and metric; `odd`: what was not."""

    panel: Panel
    lines: list[Row]
    limits: list[Limit]
    odd: list[str]


def _drawn(ops: Connection, widget: Widget, within: Window, alarms: Sequence[Json]) -> Drawn:
    """Its panel with the lines that its queries give, in a GetMetricData of its own and region:
    names in its math, and METRICS(), mean what the widget has.
    """
    found, odd = list[tuple[Row, str, Any]](), [*widget.odd]
    for region in dict.fromkeys(row.region for row in widget.rows):
        rows = [row for row in widget.rows if row.region == region]
        try:
            found += _answered(ops, rows, rows, within)
        except OpsError as exc:
            found += _one_by_one(ops, rows, within, exc, odd)
    labels = distinct([label for _, label, _ in found])
    lines = [Line(label, of) for label, (_, _, of) in zip(labels, found, strict=True)]
    drawn = [row.series for row in widget.rows if row.series]
    judged = [as_alarmed(limit, alarms, drawn) for limit in widget.limits]
    marks = [(limit.name, limit.value) for limit in judged]
    panel = Panel(widget.title, widget.unit, lines, tuple(marks))
    return Drawn(panel, [row for row, _, _ in found], judged, odd)


def _answered(
    ops: Connection, rows: Sequence[Row], shown: Sequence[Row], within: Window
) -> list[tuple[Row, str, Any]]:
    """Each line with its row and label, of those rows that are shown."""
    points = metrics.query(ops, [row.query for row in rows], within, rows[0].region)
    by_id = {row.query["Id"]: row for row in shown}
    return [
        (by_id[id], label, of.set_index("time")["value"])
        for (id, label), of in points.groupby(["id", "label"], sort=False)
        if id in by_id
    ]


def _one_by_one(
    ops: Connection, rows: Sequence[Row], within: Window, exc: OpsError, odd: list[str]
) -> list[tuple[Row, str, Any]]:
    """Each row by itself, with what it refers to: one that cannot be answered costs its own."""
    found, failed = list[tuple[Row, str, Any]](), list[str]()
    shown = [row for row in rows if row.query["ReturnData"]]
    for row in shown if isinstance(exc, UsageError) or type(exc) is OpsError else ():
        try:
            found += _answered(ops, needed(rows, row), [row], within)
        except OpsError as own:
            failed.append(f"{row.query.get('Label') or row.query['Id']}: {own}")
    odd += failed if found else [str(exc)]
    return found


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels without the words that all of them begin with: the rest tells them apart."""
    if len(set(labels)) < 2:
        return list(labels)
    parts = [re.split(r"(?<=[ \-/_])", label) for label in labels]
    common = takewhile(lambda words: len(set(words)) == 1, zip(*parts, strict=False))
    same = len(list(common))
    return ["".join(part[same:]) for part in parts]


def _finding(drawn: Drawn) -> Finding:
    panel = drawn.panel
    marks = ", ".join(f"{name}: {number(at, panel.unit)}" for name, at in panel.thresholds)
    asked = Question(panel.title, marks, f"GetMetricData of {panel.title}")
    odd = f"not answered: {'; '.join(drawn.odd)}" if drawn.odd else ""
    if not panel.lines:
        return asked.unknown(odd or "no data")
    now = max(line.values.iloc[-1] for line in panel.lines)
    highest = number(max(line.values.max() for line in panel.lines), panel.unit)
    lines = count(len(panel.lines), "line")
    seen = f"{lines}, now at most {number(now, panel.unit)}, highest {highest}"
    broken = [
        str(limit)
        for limit in drawn.limits
        if any(
            limit.broken(list(line.values))
            for row, line in zip(drawn.lines, panel.lines, strict=True)
            if (row.series == limit.of if limit.of else row.axis == limit.axis)
        )
    ]
    if broken:
        seen = f"{seen}: {', '.join(broken)}"
        return asked.warn("; ".join(filter(None, (seen, odd))), next="alarms/review")
    return asked.unknown(f"{seen}; {odd}") if odd else asked.ok(seen)
