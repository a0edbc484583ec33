"""What cells print and show, up to a size; the rest is beside the record, and a line says where."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from opslib.core import Json, redaction
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
        self._used: Counter[int] = Counter()  # characters of each cell
        self._beside: dict[str, str | bytes] = {}  # what did not fit, by file name
        self._lost: Counter[str] = Counter()  # characters that did not fit there either
        self._dirty: set[str] = set()
        self._saved: dict[str, int] = {}  # how much of each is in its file

    def take(self, outs: list[Any], cell_index: int) -> None:
        """Fit the last output of a cell, just appended, into what may be kept."""
        out = outs[-1]
        if out["output_type"] == "stream":
            self._take_stream(outs, cell_index)
        elif out["output_type"] == "error":
            out["evalue"] = _shortened(out["evalue"])
            out["traceback"] = [_shortened(entry) for entry in out["traceback"][-50:]]
        else:
            self._take_display(out["data"], len(outs), cell_index)

    def forget(self, cell_index: int) -> None:
        """The cell cleared its output."""
        del self._used[cell_index]

    def _left(self, cell_index: int) -> int:
        return max(0, min(CELL - self._used[cell_index], RECORD - self._used.total()))

    def _take_stream(self, outs: list[Any], cell_index: int) -> None:
        out = outs.pop()
        text, left = out["text"], self._left(cell_index)
        # Once full, it stays so: a later, shorter line must not come before this one.
        self._used[cell_index] += min(len(text), left)
        if len(text) > left:
            cut = text.rfind("\n", 0, left) + 1
            self._put_beside(_name(cell_index, "txt"), text[cut:])
            text = text[:cut]
        before = outs[-1] if outs else {}
        if (before.get("output_type"), before.get("name")) == ("stream", out["name"]):
            before["text"] += text
        elif text:
            out["text"] = text
            outs.append(out)

    def _take_display(self, data: Json, number: int, cell_index: int) -> None:
        for mime, value in list(data.items()):
            picture = mime.startswith("image/") and mime != "image/svg+xml"
            text = value if isinstance(value, str) else json.dumps(value)
            if len(text) <= (IMAGE if picture else self._left(cell_index)):
                self._used[cell_index] += 0 if picture else len(text)
                continue
            suffix = _SUFFIXES.get(mime, "json" if "json" in mime else "txt")
            name = _name(cell_index, suffix, number)
            self._put_beside(name, base64.b64decode(value) if picture else text)
            del data[mime]
            plain = data.get("text/plain", "")[:2000]
            note = f"… {mime}, {len(text):,} characters: {self._folder.name}/{name}"
            data["text/plain"] = f"{plain}\n{note}".lstrip("\n")

    def _put_beside(self, name: str, content: str | bytes) -> None:
        if isinstance(content, str):
            room = max(0, SPILL - sum(map(len, self._beside.values())))
            self._lost[name] += len(content[room:])
            content = str(self._beside.get(name, "")) + content[:room]
        self._beside[name] = content
        self._dirty.add(name)

    def finish(self, cell: Any, cell_index: int) -> None:
        """The cell has ended: drop what progress bars wrote over, and say where the rest is."""
        for out in cell.get("outputs", ()):
            if out["output_type"] == "stream" and "\r" in out["text"]:
                out["text"] = _OVERWRITTEN.sub("", out["text"])
        name = _name(cell_index, "txt")
        if name in self._beside:
            size, lost = len(self._beside[name]), self._lost[name]
            gone = f" ({lost:,} more were not kept)" if lost else ""
            text = f"… the next {size:,} characters{gone}: {self._folder.name}/{name}\n"
            cell["outputs"].append(type(cell)(output_type="stream", name="stderr", text=text))

    def save(self, *, everything: bool = False) -> None:
        """Write the files that are new or have grown; all of them when masking has changed.

        Raises OSError.
        """
        for name in sorted(self._beside if everything else self._dirty):
            self._folder.mkdir(parents=True, exist_ok=True)
            content = self._beside[name]
            masked = redaction.mask(content).encode() if isinstance(content, str) else content
            write_atomically(self._folder / name, masked)
            self._saved[name] = len(content)
        self._dirty = set()

    def disown(self, cells: list[Any], why: str) -> None:
        """Say of what is beside the record that it is not, or not whole, where that is so."""
        for name, content in self._beside.items():
            said, kept = f"{self._folder.name}/{name}", self._saved.get(name, 0)
            if kept < len(content):
                instead = f"not kept: {why}"
                if kept:
                    instead = f"only the first {kept:,} were kept ({why}): {said}"
                _replace(cells, said, instead)

    def listed(self) -> list[Json]:
        """The files beside the record: `file`, `bytes`, `sha256`; the record's seal covers them."""
        return [
            {
                "file": f"{self._folder.name}/{file.name}",
                "bytes": file.stat().st_size,
                "sha256": sha256(file),
            }
            for file in sorted(self._folder.glob("*"))
        ]


def _replace(cells: list[Any], said: str, instead: str) -> None:
    for out in (out for cell in cells for out in cell.get("outputs", ())):
        held, key = (out, "text") if "text" in out else (out.get("data", {}), "text/plain")
        if said in held.get(key, ""):
            held[key] = held[key].replace(said, instead)


def _name(cell_index: int, suffix: str, number: int = 0) -> str:
    return f"cell-{cell_index + 1:02d}{f'-output-{number:02d}' if number else ''}.{suffix}"


def _shortened(text: str) -> str:
    half = _TRACEBACK // 2
    return text if len(text) <= _TRACEBACK else f"{text[:half]}\n…\n{text[-half:]}"
