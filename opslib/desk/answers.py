"""Below an answer: the check once more, and its table to filter and sort."""

from functools import cache
from typing import Any

import ipywidgets

from opslib.core import SEVERITY, Connection, Findings, Frame
from opslib.core.tables import html_frame
from opslib.desk.panels import Panel, Widget, button, close_set, column, link, row, said, say

_LEAST = 5  # rows; fewer are seen at one look
_BOX = {"max_height": "24em", "overflow": "auto", "border": "1px solid var(--jp-border-color1)"}


@cache
class Below:
    """Told of what a cell shows; when the cell has ended, there is what can be done with it.

    One a kernel's shell; `ops` is its newest connection.
    """

    ops: Connection

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._seen, self._found = 0, Findings()
        self._table: Frame | None = None
        self._before: dict[str, str] = {}  # the last answer of each cell, with its time
        shell.events.register("pre_execute", self._begins)
        shell.events.register("post_execute", self._ends)

    def shows(self, shown: Any, **_: Any) -> dict[str, Any]:
        """For IPython's formatter: how it looks is left to what it is."""
        if isinstance(shown, Findings):
            self._found, self._table = shown, shown.evidence
            return dict(shown._repr_mimebundle_())
        self._table = shown
        return {}

    def _begins(self) -> None:
        self._seen, self._found, self._table = len(self.ops.findings), Findings(), None

    def _ends(self) -> None:
        parts, text = list[Widget](), ""
        if self._found and any(f in self.ops.findings[self._seen :] for f in self._found):
            parts.append(link("Once more", "notebook:run-cell", "Runs this cell again"))
            text = self._told()
        told, box = [said(text)] * bool(text), column([])
        if self._table is not None and len(self._table) >= _LEAST:
            sift = button("Filter and sort", lambda: _open(box, table))
            table = self._table
            parts.append(sift)
        if parts:
            Panel(column([*told, row(*parts), box]), text)

    def _told(self) -> str:
        """When this was answered; and what was, when this cell was run before."""
        cell = (self._shell.kernel.get_parent("shell").get("metadata") or {}).get("cellId", "")
        now = f"{self.ops.now():%H:%M:%S} UTC: {_counted(self._found)}"
        before, self._before[cell] = self._before.get(cell, ""), now
        return f"At {now}\nBefore, at {before}" if before else ""


def _counted(found: Findings) -> str:
    """2 critical, 1 ok; of what is not well, what the worst says."""
    told = [f"{n} {s}" for s in reversed(SEVERITY) if (n := sum(f.status == s for f in found))]
    worst = [f"{f.check}: {f.seen}" for f in found.troubles[:1]]
    return "; ".join([", ".join(told), *worst])


def _open(box: Widget, table: Frame) -> None:
    """Words that a row must hold, and the column to sort by; pressed again, it is gone."""
    if box.children:
        box.children = ()
        return
    words = ipywidgets.Text(placeholder="rows that hold …", layout={"width": "18em"})
    names = [str(name) for name in table.columns]
    by = ipywidgets.Dropdown(
        options=["as it is", *names], tooltip="sort by", layout={"width": "14em"}
    )
    falling = ipywidgets.Checkbox(
        description="the last first", indent=False, layout={"width": "auto"}
    )
    told, shown = said(), ipywidgets.HTML().add_class("jp-RenderedHTMLCommon")
    rows = table.astype(object).where(table.notna(), "").itertuples(index=False)
    text = [" ".join(map(str, row)).lower() for row in rows]

    def draw(_: object = None) -> None:
        wanted = words.value.lower().split()
        found = table[[all(word in row for word in wanted) for row in text]]
        if by.index:
            column = found.iloc[:, by.index - 1].reset_index(drop=True)  # two may have one name
            try:
                order = column.sort_values(ascending=not falling.value)
            except (TypeError, ValueError):  # no value of it is less than another: by its words
                words_of = column.map(str, na_action="ignore")
                order = words_of.sort_values(ascending=not falling.value)
            found = found.iloc[order.index]
        say(told, f"{len(found):,} of {len(table):,} rows")
        shown.value = close_set(html_frame(found))  # escaped there

    for each in (words, by, falling):
        each.observe(draw, "value")
    draw()
    box.children = (row(words, by, falling, told), ipywidgets.Box([shown], layout=_BOX))
