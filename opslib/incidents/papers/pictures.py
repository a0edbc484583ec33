"""Key metrics over an incident: drawn with its marks, told in words, and their values as CSV.

The values are those that the look at the account kept, so anybody can draw them again.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from opslib.core import Json, Window, clock
from opslib.incidents import looks
from opslib.incidents.incidents import Incident
from opslib.incidents.timelines import CORRECTED, Row, Timeline, kept, written

MOST, CALM = 6, 3  # pictures in a post-mortem; of what was within its threshold, to rule it out
TABLE = "metrics.csv"
_MARKED = ("deployment", "change", "undo", "milestone")  # and alarms that begin or end
_HEADER = ("time", "metric", "title", "line", "value", "unit")


class Picture(NamedTuple):
    """`name`: of its file; `words`: what it shows, for who does not see it."""

    name: str
    title: str
    words: str
    png: bytes


class Pictures(NamedTuple):
    """`drawn`: those beyond their threshold first; `others`: titles that are not drawn; `table`:
    the values of all of them as CSV, empty where nobody looked.
    """

    drawn: Sequence[Picture] = ()
    others: Sequence[str] = ()
    table: str = ""


def pictures(
    incident: Incident, made: Timeline, hide: Callable[[str], str] = lambda text: text
) -> Pictures:
    """Of the newest look at the account that kept what it measured. `hide`: people's names."""
    measured = (kept(made.looked, looks.MEASURED) if made.looked else None) or []
    known = [each for each in measured if any(line["points"] for line in each["lines"])]
    if not known:
        return Pictures()
    ordered = sorted(known, key=lambda each: not each["beyond"])
    many = min(MOST, CALM + sum(bool(each["beyond"]) for each in known))
    drawn = [_drawn(each, incident, made, hide) for each in ordered[:many]]
    others = [str(each["title"]) for each in ordered[many:]]
    return Pictures(drawn, others, written(_HEADER, _rows(known)))


def _drawn(of: Json, incident: Incident, made: Timeline, hide: Callable[[str], str]) -> Picture:
    from opslib.core.checks import marks, plots
    from opslib.core.checks.panels import Panel, words

    lines = [plots.Line(line["label"], _series(line["points"])) for line in of["lines"]]
    limits = [(str(name), float(value)) for name, value in of["thresholds"]]
    panel = Panel(of["title"], of["unit"], lines, limits)
    around = Window(*map(datetime.fromisoformat, of["around"]))
    end = around.end
    told = [
        marks.Mark(row.time, row.kind, hide(row.what))
        for row in made.rows
        if _is_marked(row) and around.start <= row.time <= end
    ]
    shaded = Window(incident.began, min(incident.span.end, end))
    png = plots.page([panel], around, shaded, marks.strokes(told, around))
    said = f"{of['title']} from {clock(around.start, end)} to {clock(end, end)} UTC: {words(panel)}"
    beside = "; ".join(f"{mark.what.partition(' (')[0]} {clock(mark.time, end)}" for mark in told)
    name = f"metrics-{of['metric']}.png"
    return Picture(name, of["title"], said + (f". Marked: {beside}" if beside else ""), png)


def _is_marked(row: Row) -> bool:
    rings = row.kind == "alarm" and ("to ALARM" in row.what or "ALARM to" in row.what)
    return rings or (row.kind in _MARKED and not row.what.endswith(CORRECTED))


def _series(points: Sequence[Sequence[Any]]) -> Any:
    import pandas as pd

    index = pd.DatetimeIndex([datetime.fromisoformat(at) for at, _ in points], tz="UTC")
    return pd.Series([float(value) for _, value in points], index=index)


def _rows(measured: Sequence[Json]) -> Iterator[tuple[Any, ...]]:
    for of in measured:
        for line in of["lines"]:
            for at, value in line["points"]:
                yield at, of["metric"], of["title"], line["label"], value, of["unit"]
