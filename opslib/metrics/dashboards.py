"""CloudWatch dashboards, drawn from their own definition: their metrics, math and thresholds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import jmespath

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
    Window,
    check,
    count,
    frame,
    number,
    window,
)
from opslib.core.reads import metrics
from opslib.core.text import cut

WIDGETS = {
    "widget": "str",
    "line": "str",
    "now": "float64",
    "lowest": "float64",
    "highest": "float64",
    "points": "int64",
}

# What these metrics are measured in; the axis of a widget may say otherwise.
_UNITS = {
    "Duration": "ms",
    "Latency": "ms",
    "IntegrationLatency": "ms",
    "InitDuration": "ms",
    "CPUUtilization": "%",
    "MemoryUtilization": "%",
    "TargetResponseTime": "s",
    "ReadLatency": "s",
    "WriteLatency": "s",
    "FreeableMemory": "bytes",
    "FreeStorageSpace": "bytes",
    "VolumeBytesUsed": "bytes",
    "ServerlessDatabaseCapacity": "ACU",
    "ApproximateAgeOfOldestMessage": "s",
    "BucketSizeBytes": "bytes",
}


class Widget(NamedTuple):
    """A metric widget: what is written on it, and its queries."""

    panel: Panel  # without its lines
    queries: list[Json]


def widgets(ops: Connection, dashboard: str) -> tuple[list[Widget], list[str]]:
    """The metric widgets of a dashboard, and what is not drawn (CloudWatch GetDashboard).

    `dashboard` is a name as the target's file calls it, or the dashboard's own.
    """
    name = ops.target["dashboards"].get(dashboard, dashboard)
    body = json.loads(ops.call("cloudwatch", "get_dashboard", DashboardName=name)["DashboardBody"])
    drawn, left = [], []
    for place, widget in enumerate(body.get("widgets", ()), 1):
        said = widget.get("properties", {})
        title = said.get("title") or cut(said.get("markdown", ""), 40) or f"widget {place}"
        region = said.get("region", ops.target.region)
        if widget.get("type") != "metric":
            left.append(f"{title!r} ({widget.get('type')})")
        elif region != ops.target.region:
            left.append(f"{title!r} (of {region})")
        elif not said.get("metrics"):
            left.append(f"{title!r} (no metrics of its own)")
        else:
            drawn.append(_widget(title, said))
    return drawn, left


def _widget(title: str, said: Json) -> Widget:
    rows = list(_unfolded(said["metrics"]))
    marks = jmespath.search("annotations.horizontal[] | [?value]", said) or ()  # bands, too
    limits = tuple((str(m.get("label", "threshold")), float(m["value"])) for m in marks)
    units = {_UNITS.get(names[1], "count") for names, _ in rows if len(names) > 1}
    unit = units.pop() if len(units) == 1 else "value"
    written = jmespath.search("yAxis.left.label", said)
    return Widget(Panel(title, str(written or unit), [], limits), list(_queries(rows, said)))


def _unfolded(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[list[str], Json]]:
    """Each row's metric (namespace, name, dimensions …) and its options.

    `.` repeats the item above it, `...` all but the last.
    """
    above: list[str] = []
    for row in rows:
        names = [str(item) for item in row if not isinstance(item, dict)]
        if "..." in names:
            at = names.index("...")
            last = names[at + 1 :]
            names[at:] = [*above[at : len(above) - len(last)], *last]
        names = [
            above[i] if name == "." and i < len(above) else name for i, name in enumerate(names)
        ]
        above = names or above
        yield names, row[-1] if isinstance(row[-1], dict) else {}


def _queries(rows: list[tuple[list[str], Json]], properties: Json) -> Iterator[Json]:
    for place, (names, options) in enumerate(rows):
        said = {"stat": "Average", "period": 300, "visible": True, **properties, **options}
        id, period = said.get("id", f"line{place}"), int(said["period"])
        if "expression" in said:
            query: Json = {"Id": id, "Expression": said["expression"], "Period": period}
        else:
            dimensions = dict(zip(names[2::2], names[3::2], strict=True))
            query = metrics.asked(id, names[0], names[1], dimensions, said["stat"], period)
        label = {"Label": options["label"]} if "label" in options else {}
        yield query | label | {"ReturnData": said["visible"]}


@check("What does the dashboard show?")
def check_dashboard(ops: Connection, dashboard: str, hours: float = 24) -> Findings:
    """A finding for each widget: above a threshold that is written on it, or without data.

    Evidence: WIDGETS.
    """
    within = window(ops, hours * 60)
    drawn, left = widgets(ops, dashboard)
    if not drawn:
        raise OpsError(
            f"Dashboard {dashboard!r} has no metric widget that can be drawn: "
            f"{', '.join(left) or 'it is empty'}."
        )
    panels = ops.gather(*(partial(_drawn, ops, widget, within) for widget in drawn))
    rows = [
        {
            "widget": panel.title,
            "line": line.label,
            "now": line.values.iloc[-1],
            "lowest": line.values.min(),
            "highest": line.values.max(),
            "points": len(line.values),
        }
        for panel in panels
        for line in panel.lines
    ]
    note = f"{within}. {sum(row['points'] for row in rows):,} points."
    note += f" Not drawn: {', '.join(left)}." if left else ""
    return Plotted(map(_finding, panels), frame(rows, WIDGETS), note, panels, within)


def _drawn(ops: Connection, widget: Widget, within: Window) -> Panel:
    """Its panel with the lines that its queries give, in a GetMetricData of its own: names in its
    math, and METRICS(), mean what the widget has.
    """
    points = metrics.query(ops, widget.queries, within)
    found = points.groupby(["id", "label"], sort=False)
    labels = distinct([label for (_, label), _ in found])
    lines = [
        Line(label, of.set_index("time")["value"])
        for label, (_, of) in zip(labels, found, strict=True)
    ]
    return replace(widget.panel, lines=lines)


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels without the words that all of them begin with: the rest tells them apart."""
    if len(set(labels)) < 2:
        return list(labels)
    parts = [re.split(r"(?<=[ \-/_])", label) for label in labels]
    common = takewhile(lambda words: len(set(words)) == 1, zip(*parts, strict=False))
    same = len(list(common))
    return ["".join(part[same:]) for part in parts]


def _finding(panel: Panel) -> Finding:
    limits = ", ".join(f"{name}: {number(at, panel.unit)}" for name, at in panel.thresholds)
    asked = Question(panel.title, limits, f"GetMetricData of {panel.title}")
    if not panel.lines:
        return asked.answer("unknown", "no data")
    now = max(line.values.iloc[-1] for line in panel.lines)
    highest = number(max(line.values.max() for line in panel.lines), panel.unit)
    lines = count(len(panel.lines), "line")
    seen = f"{lines}, now at most {number(now, panel.unit)}, highest {highest}"
    if over := [name for name, value in panel.thresholds if now > value]:
        return asked.answer("warn", f"{seen}: above {', '.join(over)}", next="alarms/review")
    return asked.answer("ok", seen)
