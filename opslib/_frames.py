"""DataFrames with declared columns, also when empty; and small escaped HTML tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

UTC_TIME = "datetime64[us, UTC]"


def frame(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """A DataFrame with exactly these columns and dtypes, whatever the rows; times become UTC."""
    import pandas as pd

    made = pd.DataFrame(list(rows), columns=list(columns))
    for name, dtype in columns.items():
        if dtype == UTC_TIME:
            made[name] = pd.to_datetime(made[name], utc=True).astype(UTC_TIME)
        else:
            made[name] = made[name].astype(dtype)
    return made


def html_frame(shown: pd.DataFrame) -> str:
    """A DataFrame as pandas shows it (escaped), with room for a log line or an error's text."""
    import pandas as pd

    with pd.option_context("display.max_colwidth", 300):
        return str(shown._repr_html_())


def html_table(header: Sequence[str], rows: Iterable[Sequence[Any]], css: str) -> str:
    """An HTML table in which every cell is escaped."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(v))}</td>" for v in row) + "</tr>" for row in rows)
    return f'<table class="{css}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def text_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The same as aligned text; the last column is not padded."""
    lines = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in lines)
