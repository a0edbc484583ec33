"""Plots for an operator: findings with the panels that show what they were read from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from opslib.core.checks import drawing
from opslib.core.checks import marks as happened
from opslib.core.checks.drawing import CELL, page
from opslib.core.checks.marks import MARKS
from opslib.core.checks.panels import Line, Panel, words
from opslib.core.findings import MIME, Finding, Findings
from opslib.core.tables import Frame, Json, escaped
from opslib.core.text import number
from opslib.core.times import Window, moment

__all__ = [
    "CELL",
    "MARKS",
    "Line",
    "Panel",
    "Picture",
    "Plotted",
    "bars",
    "draw",
    "page",
    "words",
]
BARS = 40  # that one can read in a picture


@dataclass(frozen=True)
class Picture:
    """A drawn page.

    Shown as PNG where pictures are shown, and in words everywhere; empty when nothing could be
    read. `panels`: the words of each, by which a page cuts it.
    """

    png: bytes = field(repr=False)
    words: str = ""
    panels: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, **_: Any) -> tuple[Json, Json]:
        import base64

        if not self.png:
            return {"text/plain": self.words}, {}
        picture, words = base64.b64encode(self.png).decode(), escaped(self.words)
        source = f"data:image/png;base64,{picture}"
        data = {
            "image/png": picture,
            # For who does not see it: JupyterLab says no word of a PNG.
            "text/html": f'<img class="jp-needs-light-background" alt="{words}" src="{source}">',
            "text/plain": self.words,
            MIME: {"picture": {"panels": self.panels}},
        }
        # By this JupyterLab knows it as drawn on white, and `connect` turns that round in the dark.
        return data, {"needs_background": "light"}


class Plotted(Findings):
    """Findings together with the panels that show what they were read from.

    `marks`: what happened meanwhile, as MARKS says.
    """

    def __init__(
        self,
        found: Iterable[Finding],
        evidence: Frame | None,
        note: str,
        panels: Sequence[Panel],
        within: Window,
        marks: Frame | None = None,
    ) -> None:
        super().__init__(found, evidence, note)
        self.panels, self.within, self.marks = panels, within, marks


def draw(
    found: Findings, since: str = "", until: str = "", marks: Frame | Findings | None = None
) -> Picture:
    """The pictures that belong to findings.

    A page of small multiples, two in a row, over the same window of time. `since` and `until` shade
    an incident: ago (`2h`) or ISO times, UTC. `marks`: what happened meanwhile, each a line with
    its label: a table of `time`, `what` and perhaps `kind` (deployment, change, alarm), or findings
    with such a table. Findings of what could not be read have no picture.
    """
    if not isinstance(found, Plotted):  # it could not be read; its finding says why
        why = "; ".join(f.seen for f in found) or found.note
        return Picture(b"", f"Nothing to draw: {why}")
    told = [f"{panel.title}: {words(panel)}" for panel in found.panels]
    said, incident, end = list(told), None, found.within.end
    if since:
        incident = Window(moment(since, end), moment(until, end) if until else end)
        said.append(f"Shaded: {incident}.")
    events = happened.within(found.within, [found.marks, marks])
    if events:
        said.append(happened.told(events, found.within))
    strokes = happened.strokes(events, found.within)
    png = page(found.panels, found.within, incident, strokes)
    return Picture(png, "\n".join(said), tuple(told))


def bars(title: str, unit: str, labels: Sequence[str], values: Sequence[float]) -> Picture:
    """One horizontal bar a label, in their order from the top, its value beside it.

    At most BARS.
    """
    if not labels:
        return Picture(b"", f"{title}: no row, so nothing to draw.")
    heights = list(values[:BARS])
    told = zip(labels, heights, strict=False)
    said = ", ".join(f"{label} {number(value)}" for label, value in told)
    left = f"; {len(labels) - BARS} more are not drawn" if len(labels) > BARS else ""
    png = drawing.bars(title, unit, labels[:BARS], heights)
    return Picture(png, f"{title} ({unit}): {said}{left}")
