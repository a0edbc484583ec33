"""What the command prints: tables that fit the terminal, progress as lines or as one line that is
written over.
"""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import Any

from opslib.core.redaction import mask, mask_tree
from opslib.core.tables import text_table
from opslib.core.text import plain as plain
from opslib.core.text import visible

_COLOURS = {
    "ok": "32",
    "warn": "33",
    "attention": "33",
    "critical": "31;1",
    "failed": "31;1",
    "unknown": "35",
}
_SHORT = 20
_LONG_WORD = 30


def as_json(value: Any) -> str:
    """JSON, masked, in which what would not be seen is escaped."""
    said = json.dumps(mask_tree(value), indent=2, ensure_ascii=False, default=str)
    return "".join(c if c == "\n" or visible(c) == c else json.dumps(c)[1:-1] for c in said)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Aligned text: on a terminal its widest columns are wrapped to fit, else a line is a row.

    A short column is not wrapped, and a word is broken only when it is long.
    """
    lines = [list(header), *([plain(mask(str(cell))) for cell in row] for row in rows)]
    if not sys.stdout.isatty():
        return text_table(lines[0], ([" ".join(cell.split()) for cell in row] for row in lines[1:]))
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    words = [max(map(len, " ".join(column).split()), default=0) for column in columns]
    least = [max(_SHORT, min(longest, _LONG_WORD)) for longest in words]
    room = shutil.get_terminal_size((110, 24)).columns
    while sum(widths) + 2 * (len(widths) - 1) > room:
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    head, *body = (
        part
        for line in lines
        for part in zip_longest(
            *(
                textwrap.wrap(*each, break_on_hyphens=False)
                for each in zip(line, widths, strict=True)
            ),
            fillvalue="",
        )
    )
    text = text_table(head, body).splitlines()
    return "\n".join(coloured(line[: widths[0]]) + line[widths[0] :] for line in text)


def coloured(text: str) -> str:
    """A status in its colour, on a terminal; not where NO_COLOR is set (https://no-color.org)."""
    code = _COLOURS.get(text.strip())
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return f"\x1b[{code}m{text}\x1b[0m" if code and wanted else text


def called(name: str, target: str, among: Collection[tuple[str, str]]) -> str:
    """What tells a run from others: its target, its procedure, or both; nothing when it is the only
    one.
    """
    several_names, several_targets = (len(set(column)) > 1 for column in zip(*among, strict=True))
    return " on ".join([name] * several_names + [target] * several_targets)


class Progress:
    """Tells on stderr how far a run is: on a terminal one line written over, else one a section."""

    def __init__(self, label: str = "") -> None:
        self._label = f"{label}: " if label else ""
        self._tty = sys.stderr.isatty() and not label
        self._section = ""

    def __call__(self, cell: int, cells: int, text: str) -> None:
        text = plain(mask(text))
        place = f"[{cell}/{cells}] " if cells else ""
        if self._tty and cells:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{place}{text}"[: width + 4], end="", file=sys.stderr, flush=True)
        elif not cells or text != self._section:
            print(f"{self._label}{place}{text}", file=sys.stderr, flush=True)
        self._section = text if cells else self._section

    def end(self) -> None:
        if self._tty:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
