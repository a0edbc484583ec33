"""What cells print and show, kept up to a size; the rest goes to files beside the record, and a line says where."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from opslib.core import redaction
from opslib.records.files import sha256, write_atomically

CELL = 200_000  # characters kept of one cell
RECORD = 5_000_000  # of all cells together
IMAGE = 5_000_000  # of one image; images do not count towards the others
SPILL = 50_000_000  # of what is put beside the record; more than that is counted and let go
_TRACEBACK = 20_000  # of one entry of a traceback

_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")  # what a progress bar wrote over
_SUFFIXES = {
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/json": "json",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
}


class Outputs:
    """The outputs of one record. Every text in a spilled file is masked, as the record is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder  # <id>.spill
        self._used: dict[int, int] = defaultdict(int)
        self._rest: dict[str, list[str]] = {}  # file name: text that did not fit
        self._images: dict[str, bytes] = {}
        self._spilled = 0
        self._lost: dict[str, int] = defaultdict(int)
        self._dirty: set[str] = set()

    def take(self, outs: list[Any], cell_index: int) -> None:
        """Fit the last output of a cell, just appended, into what may be kept."""
        out = outs[-1]
        if out["output_type"] == "stream":
            self._take_stream(outs, cell_index)
        elif out["output_type"] == "error":
            _shorten_error(out)
        else:
            self._take_display(out, len(outs), cell_index)

    def forget(self, cell_index: int) -> None:
        """The cell cleared its output."""
        self._used.pop(cell_index, None)

    def _left(self, cell_index: int) -> int:
        return max(0, min(CELL - self._used[cell_index], RECORD - sum(self._used.values())))

    def _take_stream(self, outs: list[Any], cell_index: int) -> None:
        out = outs[-1]
        text, left = out["text"], self._left(cell_index)
        if len(text) > left:
            cut = text.rfind("\n", 0, left) + 1
            self._spill(_name(cell_index, "txt"), text[cut:])
            self._used[cell_index] += (
                left  # full: a later, shorter line must not come before this one
            )
            text = text[:cut]
        else:
            self._used[cell_index] += len(text)
        if (
            len(outs) > 1
            and outs[-2]["output_type"] == "stream"
            and outs[-2]["name"] == out["name"]
        ):
            outs.pop()
            outs[-1]["text"] += text
        elif text:
            out["text"] = text
        else:
            outs.pop()

    def _take_display(self, out: Any, number: int, cell_index: int) -> None:
        for mime, value in list(out["data"].items()):
            picture = mime.startswith("image/") and mime != "image/svg+xml"
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text) <= (IMAGE if picture else self._left(cell_index)):
                self._used[cell_index] += 0 if picture else len(text)
                continue
            name = _name(
                cell_index, _SUFFIXES.get(mime, "json" if "json" in mime else "txt"), number
            )
            if picture:
                self._images[name] = base64.b64decode(value)
                self._dirty.add(name)
            else:
                self._spill(name, text)
            del out["data"][mime]
            note = f"… {mime}, {len(text):,} characters: {self._folder.name}/{name}"
            out["data"]["text/plain"] = "\n".join(
                filter(None, [out["data"].get("text/plain", "")[:2000], note])
            )

    def _spill(self, name: str, text: str) -> None:
        room = max(0, SPILL - self._spilled)
        self._lost[name] += len(text) - len(text[:room])
        self._spilled += len(text[:room])
        self._rest.setdefault(name, []).append(text[:room])
        self._dirty.add(name)

    def finish(self, cell: Any, cell_index: int) -> None:
        """The cell has ended: drop what progress bars wrote over, and say where the rest is."""
        for out in cell.get("outputs", ()):
            if out["output_type"] == "stream" and "\r" in out["text"]:
                out["text"] = _OVERWRITTEN.sub("", out["text"])
        name = _name(cell_index, "txt")
        if name in self._rest:
            size = sum(map(len, self._rest[name]))
            gone = f" ({self._lost[name]:,} more were not kept)" if self._lost[name] else ""
            text = f"… the next {size:,} characters{gone}: {self._folder.name}/{name}\n"
            cell["outputs"].append(type(cell)(output_type="stream", name="stderr", text=text))

    def save(self, *, everything: bool = False) -> None:
        """Write the files that are new or have grown; all of them when masking has changed. Raises OSError."""
        names = set(self._rest) | set(self._images) if everything else self._dirty
        if names:
            self._folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            write_atomically(self._folder / name, self._content(name))
        self._dirty = set()

    def _content(self, name: str) -> bytes:
        return self._images.get(name) or redaction.mask("".join(self._rest[name])).encode()

    def listed(self) -> list[dict[str, Any]]:
        """The files beside the record: `file`, `bytes`, `sha256`; the seal of the record covers them."""
        files = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        return [
            {
                "file": f"{self._folder.name}/{f.name}",
                "bytes": f.stat().st_size,
                "sha256": sha256(f),
            }
            for f in files
        ]


def _name(cell_index: int, suffix: str, number: int = 0) -> str:
    return f"cell-{cell_index + 1:02d}{f'-output-{number:02d}' if number else ''}.{suffix}"


def _shorten_error(out: Any) -> None:
    out["evalue"] = _shortened(out["evalue"])
    out["traceback"] = [_shortened(entry) for entry in out["traceback"][-50:]]


def _shortened(text: str) -> str:
    return (
        text
        if len(text) <= _TRACEBACK
        else f"{text[: _TRACEBACK // 2]}\n…\n{text[-_TRACEBACK // 2 :]}"
    )
