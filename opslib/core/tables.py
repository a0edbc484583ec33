"""DataFrames with declared columns, also when empty; and small escaped HTML tables."""

from __future__ import annotations

import html
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

Frame: TypeAlias = "pd.DataFrame"  # pandas is imported where a table is made: that takes long
Json: TypeAlias = dict[str, Any]  # an object, as AWS and files describe one
Params: TypeAlias = Mapping[str, Any]  # values by name, given only to be read
UTC_TIME = "datetime64[us, UTC]"


def frame(rows: Iterable[Params], columns: Mapping[str, str]) -> Frame:
    """A DataFrame with exactly these columns and dtypes, whatever the rows; times become UTC."""
    import pandas as pd

    made = pd.DataFrame(list(rows), columns=list(columns))
    for name, dtype in columns.items():
        if dtype == UTC_TIME:
            made[name] = pd.to_datetime(made[name], utc=True)
    return made.astype(columns)


def html_frame(shown: Frame) -> str:
    """A DataFrame as an escaped HTML table, read from the left, with room for a log line or an
    error's text.

    Times are to the second, numbers as one reads them, and an index that only counts the rows is
    left out.
    """
    import pandas as pd

    times = {
        name: _moment for name, kind in shown.dtypes.items() if isinstance(kind, pd.DatetimeTZDtype)
    }
    counted = isinstance(shown.index, pd.RangeIndex)
    with pd.option_context("display.max_colwidth", 300):
        table = shown.to_html(
            index=not counted,
            max_rows=60,
            border=0,
            justify="left",
            na_rep="",
            formatters=times,
            float_format=_read,
        )
    # What is in the cells is escaped: these tags are pandas' own.
    left = re.sub("<(t[dh])>", rf'<\1 style="{_LEFT}">', table.replace("$", _DOLLAR))
    hidden = len(shown) - 60
    return left + (f"<p>{hidden} more rows.</p>" if hidden > 0 else "")


def _moment(time: Any) -> str:
    if time != time:
        return ""
    return f"{time:%Y-%m-%d %H:%M:%S}" + (f"{time:%z}" if time.utcoffset() else " UTC")


def _read(value: float) -> str:
    """64,000,000,000; 23.42; 0.00107: never with an exponent, and a whole number whole."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000 or value == round(value):
        return f"{value:,.0f}"
    return f"{float(f'{value:.4g}'):.12f}".rstrip("0")


def show_frames() -> None:
    """Let every DataFrame that a cell of this process's Jupyter kernel shows be read as
    `html_frame`. Idempotent.
    """
    ipython = sys.modules.get("IPython")
    if shell := ipython and ipython.get_ipython():
        shown = shell.display_formatter.formatters["text/html"]
        for module in ("pandas.core.frame", "pandas"):
            shown.for_type_by_name(module, "DataFrame", html_frame)


def escaped(value: Any) -> str:
    """Text for HTML.

    A notebook sets what stands between two $ as a formula: in elements of their own they stay text.
    """
    return html.escape(str(value)).replace("$", _DOLLAR)


def html_table(header: Sequence[str], rows: Iterable[Sequence[Any]], css: str) -> str:
    """An HTML table in which every cell is escaped; a status in the first column stands out."""
    head = "".join(f'<th style="{_LEFT}">{html.escape(name)}</th>' for name in header)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<table class="{css}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


_LONG_WORD = 25
_DOLLAR = "<span>$</span>"
_LEFT = "text-align:left;vertical-align:top"
_COLOURS = {"ok": "#1a7f37", "warn": "#9a6700", "unknown": "#6639ba", "critical": "#cf222e"}


def _cell(value: Any) -> str:
    colour = _COLOURS.get(str(value))
    style = f"{_LEFT};color:{colour};font-weight:bold" if colour else _LEFT
    if any(
        len(word) > _LONG_WORD for word in str(value).split()
    ):  # else a call pushes what is beside it off the page
        style += ";overflow-wrap:anywhere;min-width:9em"
    return f'<td style="{style}">{escaped(value)}</td>'


def text_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The same as aligned text; the last column is not padded."""
    lines = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
