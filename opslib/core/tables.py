"""DataFrames with declared columns, also when empty; rows in parts; small escaped HTML tables."""

from __future__ import annotations

import html
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from opslib.core import redaction
from opslib.core.strict_yaml import Json as Json
from opslib.core.text import cut, printable, visible, whole

if TYPE_CHECKING:
    import pandas as pd

Frame: TypeAlias = "pd.DataFrame"  # pandas is imported where a table is made: that takes long
Params: TypeAlias = Mapping[str, Any]  # values by name, given only to be read
T = TypeVar("T")
UTC_TIME = "datetime64[us, UTC]"
# What a notebook shows once: in a dark theme pictures that were drawn on white are turned round,
# and a status is as bright as it has to be there.
_DARK = 'body[data-jp-theme-light="false"]'
IN_THE_DARK = (
    f"<style>{_DARK} img.jp-needs-light-background{{filter:invert(.93) hue-rotate(180deg)}}"
    f"{_DARK} .opslib-findings td:first-child{{filter:brightness(1.8)}}</style>"
)
_ROWS = 60  # of a long table are shown


def dtypes(text: str) -> dict[str, str]:
    """Columns and their dtypes for `frame`: a line each, `name dtype`; `utc` is UTC_TIME."""
    pairs = (line.split() for line in text.strip().splitlines())
    return {name: UTC_TIME if kind == "utc" else kind for name, kind in pairs}


def batched(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """In parts of so many, in their order."""
    return [items[at : at + size] for at in range(0, len(items), size)]


def frame(rows: Iterable[Any], columns: Mapping[str, str]) -> Frame:
    """A DataFrame with exactly these columns and dtypes, whatever the rows; times become UTC.

    A row: a mapping, or a value for each column in their order.
    """
    said = [
        row if isinstance(row, Mapping) else dict(zip(columns, row, strict=True)) for row in rows
    ]
    return framed({name: [row.get(name) for row in said] for name in columns}, columns)


def framed(values: Mapping[str, Any], columns: Mapping[str, str]) -> Frame:
    """The same of what stands in each column: a table of pandas' own is made of rows slowly."""
    import pandas as pd

    return pd.DataFrame({name: _column(values[name], of) for name, of in columns.items()})


def _column(values: Any, dtype: str) -> Any:
    import pandas as pd

    if dtype == UTC_TIME:
        return pd.to_datetime(values, utc=True).as_unit("us")
    try:
        return pd.array(values, dtype=dtype)
    except UnicodeEncodeError:  # half a character, of a text that was cut
        return pd.array([whole(v) if isinstance(v, str) else v for v in values], dtype=dtype)


def first_rows(found: Frame) -> str:
    """The first rows, in a line: `kind, spans: file, 12; agent, 7`."""
    first = found.head(9)
    said = first.astype(str).mask(first.isna(), "").to_numpy()
    rows = [", ".join(map(str, row)) for row in (found.columns, *said)]
    return cut(f"{rows[0]}: {'; '.join(rows[1:])}", 400) if rows[1:] else "none"


def html_frame(shown: Frame) -> str:
    """A DataFrame as an escaped HTML table, read from the left, with room for a log line or an
    error's text.

    Times are to the second, numbers as one reads them, and an index that only counts the rows is
    left out.
    """
    import pandas as pd

    if not isinstance(shown.index, pd.RangeIndex):
        names = [name or "" for name in shown.index.names]
        shown = shown.reset_index(names=names, allow_duplicates=True)
    hidden, half = len(shown) - _ROWS, _ROWS // 2
    parts = [shown.head(half), shown.tail(half)] if hidden > 0 else [shown]
    rows = [row for part in parts for row in part.itertuples(index=False, name=None)]
    cells = [[cut(_in_cell(value), 300) for value in row] for row in rows]
    if hidden <= 0:
        return html_table([*shown.columns], cells, "dataframe")
    cells.insert(half, ["..."] * len(shown.columns))
    return f"{html_table([*shown.columns], cells, 'dataframe')}<p>{hidden} more rows.</p>"


def _in_cell(value: Any) -> str:
    """A time to the second, a number as one reads it, nothing of what is not there."""
    if isinstance(value, float):
        return _read(value) if value == value else ""
    if getattr(value, "tzinfo", None):
        return f"{value:%Y-%m-%d %H:%M:%S}" + (f"{value:%z}" if value.utcoffset() else " UTC")
    return "" if value is None or type(value).__name__ in ("NaTType", "NAType") else str(value)


def text_frame(shown: Frame, **how: Any) -> str:
    """A DataFrame as text, as `to_string` makes it: what is in it masked, and made visible."""
    kinds = [safe if kind.kind in "OSU" else None for kind in shown.dtypes]
    made = shown.set_axis(_named(shown.index)).set_axis([*map(safe, shown.columns)], axis=1)
    return str(made.to_string(formatters=kinds, **how))


def _named(index: Any) -> Any:
    one_text = index.nlevels == 1 and index.dtype.kind == "O"
    return index.map(safe, na_action="ignore") if one_text else index


def safe(value: Any) -> str:
    """Text of anyone's on one line: masked, and nothing in it that is not seen."""
    return visible(redaction.mask(str(value)))


def _read(value: float) -> str:
    """64,000,000,000; 23.42; 0.00107: never with an exponent, and a whole number whole."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000 or value == round(value):
        return f"{value:,.0f}"
    return f"{float(f'{value:.4g}'):.12f}".rstrip("0").rstrip(".")


def show_frames() -> None:
    """Let every DataFrame that a cell of this process's Jupyter kernel shows be read as
    `html_frame`. Idempotent.
    """
    ipython = sys.modules.get("IPython")
    if shell := ipython and ipython.get_ipython():
        shown, plain = map(shell.display_formatter.formatters.get, ("text/html", "text/plain"))
        for module in ("pandas.core.frame", "pandas"):
            shown.for_type_by_name(module, "DataFrame", html_frame)
            for kind in ("DataFrame", "Series"):
                plain.for_type_by_name(module, kind, _in_text)


def _in_text(shown: Any, printer: Any, _cycle: bool) -> None:
    from pandas.io.formats.format import get_dataframe_repr_params

    if shown.ndim == 2:
        printer.text(text_frame(shown, **get_dataframe_repr_params()))
    else:
        made = shown.map(safe, na_action="ignore") if shown.dtype.kind in "OSU" else shown
        printer.text(repr(made.set_axis(_named(shown.index))))


def escaped(value: Any) -> str:
    """Text for HTML, masked and visible.

    A notebook sets what stands between two $, \\( and \\), or after \\begin, as a formula: in
    elements of their own these signs stay text.
    """
    return re.sub(r"[$\\]", lambda hit: f"<span>{hit[0]}</span>", html.escape(safe(value)))


def html_table(header: Sequence[Any], rows: Iterable[Sequence[Any]], css: str) -> str:
    """An HTML table in which every cell is escaped; a status of ours in it stands out."""
    head = "".join(f'<th style="{_LEFT}">{escaped(name)}</th>' for name in header)
    colours = {} if css == "dataframe" else _COLOURS
    body = "".join(
        f"<tr>{''.join(_cell(v, colours.get(str(v))) for v in row)}</tr>" for row in rows
    )
    return f'<table class="{css}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


_LONG_WORD = r"[^\s<]{26}"
_BREAKS = ";overflow-wrap:anywhere;min-width:9em"  # else it pushes what is beside it off the page
_LEFT = "text-align:left;vertical-align:top"
_COLOURS = {"ok": "#1a7f37", "warn": "#9a6700", "unknown": "#6639ba", "critical": "#cf222e"}


def _cell(value: Any, colour: str | None) -> str:
    style = f"{_LEFT};color:{colour};font-weight:bold" if colour else _LEFT
    if re.search(_LONG_WORD, str(value)):
        style += _BREAKS
    return f'<td style="{style}">{escaped(value)}</td>'


def text_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The same as aligned text; the last column is not padded."""
    lines = [[printable(redaction.mask(str(each))) for each in row] for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
