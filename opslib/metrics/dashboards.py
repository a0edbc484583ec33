"""CloudWatch dashboards, drawn from their own definition: whatever metrics, math and thresholds they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.checks.plots import Line, Panel, Plotted
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.findings import Finding, Findings
from opslib.core.reads import metrics
from opslib.core.tables import frame
from opslib.core.text import count, number
from opslib.core.times import Window, window

if TYPE_CHECKING:
    import pandas as pd

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


@dataclass(frozen=True)
class Widget:
    """A metric widget: its queries for GetMetricData, ids made unique, and what is written on it."""

    title: str
    unit: str
    queries: tuple[dict[str, Any], ...]
    thresholds: tuple[tuple[str, float], ...]
    alone: bool  # METRICS() in its math means all metrics of the request, so it has one of its own


def widgets(ops: Connection, dashboard: str) -> tuple[list[Widget], list[str]]:
    """The metric widgets of a dashboard, and in words what is not drawn (CloudWatch GetDashboard).

    `dashboard` is a name as the target's file calls it, or the dashboard's own.
    """
    name = ops.target["dashboards"].get(dashboard, dashboard)
    body = json.loads(ops.call("cloudwatch", "get_dashboard", DashboardName=name)["DashboardBody"])
    drawn, left = [], []
    for place, widget in enumerate(body.get("widgets", ())):
        properties = widget.get("properties", {})
        title = (
            properties.get("title") or properties.get("markdown", "")[:40] or f"widget {place + 1}"
        )
        if widget.get("type") != "metric":
            left.append(f"{title!r} ({widget.get('type')})")
        elif properties.get("region", ops.target.region) != ops.target.region:
            left.append(f"{title!r} (of {properties['region']})")
        elif not properties.get("metrics"):
            left.append(f"{title!r} (no metrics of its own)")
        else:
            drawn.append(_widget(f"w{place}", title, properties))
    return drawn, left


def _widget(prefix: str, title: str, properties: dict[str, Any]) -> Widget:
    rows = list(_unfolded(properties["metrics"]))
    queries = tuple(_queries(prefix, rows, properties))
    horizontal = properties.get("annotations", {}).get("horizontal", ())
    marks = [
        mark for item in horizontal for mark in (item if isinstance(item, list) else [item])
    ]  # a list is a band
    limits = tuple(
        (str(mark.get("label", "threshold")), float(mark["value"]))
        for mark in marks
        if "value" in mark
    )
    alone = any("METRICS(" in query.get("Expression", "").upper() for query in queries)
    return Widget(title, _unit(rows, properties), queries, limits, alone)


def _unfolded(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Each row's metric (namespace, name, dimensions …) and options; `.` repeats the item above it, `...` all but the last."""
    above: list[str] = []
    for row in rows:
        options = row[-1] if row and isinstance(row[-1], dict) else {}
        names = [str(item) for item in row if not isinstance(item, dict)]
        if "..." in names:
            at = names.index("...")
            tail = names[at + 1 :]
            names = [*names[:at], *above[at : len(above) - len(tail)], *tail]
        names = [
            above[i] if name == "." and i < len(above) else name for i, name in enumerate(names)
        ]
        above = names or above
        yield names, options


def _queries(
    prefix: str, rows: list[tuple[list[str], dict[str, Any]]], properties: dict[str, Any]
) -> Iterator[Any]:
    own = {options["id"] for _, options in rows if "id" in options}
    for place, (names, options) in enumerate(rows):
        id = f"{prefix}_{options.get('id', f'line{place}')}"
        query: dict[str, Any] = {
            "Id": id,
            "ReturnData": options.get("visible", properties.get("visible", True)),
        }
        if "label" in options:
            query["Label"] = options["label"]
        period = int(options.get("period", properties.get("period", 300)))
        if "expression" in options:
            query |= {"Expression": _renamed(options["expression"], own, prefix), "Period": period}
        else:
            dimensions = [
                {"Name": n, "Value": v} for n, v in zip(names[2::2], names[3::2], strict=True)
            ]
            metric = {"Namespace": names[0], "MetricName": names[1], "Dimensions": dimensions}
            stat = options.get("stat", properties.get("stat", "Average"))
            query["MetricStat"] = {"Metric": metric, "Period": period, "Stat": stat}
        yield query


def _renamed(expression: str, own: set[str], prefix: str) -> str:
    """The expression with this widget's ids as they are in the request; what stands in quotes is left alone."""
    parts = re.split(r"""("[^"]*"|'[^']*')""", expression)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(
            r"\b[a-z]\w*\b", lambda hit: f"{prefix}_{hit[0]}" if hit[0] in own else hit[0], parts[i]
        )
    return "".join(parts)


def _unit(rows: list[tuple[list[str], dict[str, Any]]], properties: dict[str, Any]) -> str:
    written = properties.get("yAxis", {}).get("left", {}).get("label")
    units = {_UNITS.get(names[1], "count") for names, _ in rows if len(names) > 1}
    return str(written) if written else units.pop() if len(units) == 1 else "value"


def read(ops: Connection, drawn: Sequence[Widget], within: Window) -> pd.DataFrame:
    """The points of all widgets in one GetMetricData (as long as they are 500 queries). Columns: metrics.SERIES."""
    import pandas as pd

    batches: list[list[dict[str, Any]]] = [[]]
    for widget in drawn:
        if len(batches[-1]) + len(widget.queries) > metrics.PAGE:
            batches.append([])
        batches.insert(0, list(widget.queries)) if widget.alone else batches[-1].extend(
            widget.queries
        )
    asked = [batch for batch in batches if batch]
    found = ops.gather(*(lambda batch=batch: metrics.query(ops, batch, within) for batch in asked))
    return pd.concat(found, ignore_index=True) if found else frame((), metrics.SERIES)


@check("What does the dashboard show?")
def check_dashboard(ops: Connection, dashboard: str, hours: float = 24) -> Findings:
    """A finding for each widget: above a threshold that is written on it, or without data. Evidence: WIDGETS."""
    within = window(ops, hours * 60)
    drawn, left = widgets(ops, dashboard)
    if not drawn:
        raise OpsError(
            f"Dashboard {dashboard!r} has no metric widget that can be drawn: {', '.join(left) or 'it is empty'}."
        )
    points = read(ops, drawn, within)
    panels = [_panel(widget, points) for widget in drawn]
    found = [_finding(widget, panel) for widget, panel in zip(drawn, panels, strict=True)]
    note = f"{within}. {len(points):,} points." + (
        f" Not drawn: {', '.join(left)}." if left else ""
    )
    return Plotted(found, frame(_rows(panels), WIDGETS), note, panels, within)


def _panel(widget: Widget, points: pd.DataFrame) -> Panel:
    found = [
        (str(label), series)
        for query in widget.queries
        for label, series in points[points["id"] == query["Id"]].groupby("label", sort=False)
    ]
    labels = distinct([label for label, _ in found])
    lines = [
        Line(label, list(series["time"]), list(series["value"]))
        for label, (_, series) in zip(labels, found, strict=True)
    ]
    return Panel(widget.title, widget.unit, lines, widget.thresholds)


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels without the words that all of them begin or end with: what is left tells the lines apart."""
    parts = [re.split(r"([ \-/_])", label) for label in labels]
    if len(set(labels)) < 2:
        return list(labels)
    while all(len(p) > 2 for p in parts) and len({tuple(p[:2]) for p in parts}) == 1:
        parts = [p[2:] for p in parts]
    while all(len(p) > 2 for p in parts) and len({tuple(p[-2:]) for p in parts}) == 1:
        parts = [p[:-2] for p in parts]
    return ["".join(p) for p in parts]


def _finding(widget: Widget, panel: Panel) -> Finding:
    source = f"GetMetricData of {widget.title}"
    threshold = ", ".join(
        _limit(name, number(value, widget.unit)) for name, value in widget.thresholds
    )
    if not panel.lines:
        return Finding("unknown", widget.title, "no data", threshold, source)
    now = max(line.values[-1] for line in panel.lines)
    highest = max(max(line.values) for line in panel.lines)
    seen = f"{count(len(panel.lines), 'line')}, now at most {number(now, widget.unit)}, highest {number(highest, widget.unit)}"
    over = [name for name, value in widget.thresholds if now > value]
    if over:
        return Finding(
            "warn",
            widget.title,
            f"{seen}: above {', '.join(over)}",
            threshold,
            source,
            next="alarms/review",
        )
    return Finding("ok", widget.title, seen, threshold, source)


def _limit(name: str, value: str) -> str:
    """`alarm 2,000 ms`; a line that is named by its value, as 90 %, is said once, and one named by a number apart."""
    if name == value:
        return value
    return f"{name}: {value}" if name[:1].isdigit() else f"{name} {value}"


def _rows(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        for line in panel.lines:
            yield {
                "widget": panel.title,
                "line": line.label,
                "now": line.values[-1],
                "lowest": min(line.values),
                "highest": max(line.values),
                "points": len(line.values),
            }
