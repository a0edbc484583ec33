"""What cells print and show, up to a size; the rest is beside the record, and a line says where."""

import base64
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from opslib.core import Json, beside, cut, redaction
from opslib.records.files import sha256, write_atomically

CELL = 200_000  # bytes of text kept of one cell
RECORD = 4_000_000  # of all cells together
IMAGE = 3_000_000  # of one image; images do not count towards the others
IMAGES = 8_000_000  # of all images together
DISPLAYS = 500  # outputs of one cell
SPILL = 5_000_000  # of what is put beside the record; more than that is counted and let go
_TRACEBACK = 20_000  # of one entry of a traceback
_PLACE = 200  # bytes that an output takes beside what it says

_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")  # what a progress bar wrote over
_SUFFIXES = beside(__file__, "outputs")


class Outputs:
    """The outputs of one record. Every text in a spilled file is masked, as the record is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder  # <id>.spill
        self._used: Counter[int] = Counter()  # bytes of each cell
        self._pictures: Counter[int] = Counter()  # the same of its images
        self._beside: dict[str, list[str | bytes]] = {}  # what did not fit, by file name
        self._room = SPILL
        self._lost: Counter[str] = Counter()  # characters that did not fit there either
        self._left_out: Counter[int] = Counter()  # outputs of a cell that has too many
        self._dirty: set[str] = set()

    def take(self, outs: list[Any], cell_index: int) -> None:
        """Fit the last output of a cell, just appended, into what may be kept."""
        out = outs[-1]
        if out["output_type"] == "stream":
            self._take_stream(outs, cell_index)
        elif len(outs) > DISPLAYS:
            outs.pop()
            self._left_out[cell_index] += 1
        elif out["output_type"] == "error":
            out["evalue"] = _shortened(out["evalue"])
            entries = out["traceback"][-50:] if self._left(cell_index) else []
            out["traceback"] = [_shortened(entry) for entry in entries]
            if size(json.dumps(out)) > self._left(cell_index):
                out["traceback"] = []
            self._used[cell_index] += size(json.dumps(out))
        else:
            self.fit(out, cell_index, len(outs))

    def forget(self, cell_index: int) -> None:
        """The cell cleared its output."""
        for counter in (self._used, self._pictures, self._left_out):
            del counter[cell_index]

    def _left(self, cell_index: int) -> int:
        return max(0, min(CELL - self._used[cell_index], RECORD - self._used.total()))

    def _take_stream(self, outs: list[Any], cell_index: int) -> None:
        out = outs.pop()
        text, left = out["text"], self._left(cell_index)
        took = size(text)
        # Once full, it stays so: a later, shorter line must not come before this one.
        self._used[cell_index] += min(took, left)
        if took > left:
            end = text.rfind("\n", 0, left * len(text) // took) + 1
            self._put_beside(_name(cell_index, "txt"), text[end:])
            text = text[:end]
        before = outs[-1] if outs else {}
        if (before.get("output_type"), before.get("name")) == ("stream", out["name"]):
            before["text"] += text
        elif text and len(outs) > DISPLAYS:
            self._left_out[cell_index] += 1
        elif text:
            self._used[cell_index] += _PLACE
            out["text"] = text
            outs.append(out)

    def fit(self, out: Any, cell_index: int, number: int) -> None:
        """Fit what a cell shows into what may be kept; `number` is its place in the cell."""
        data = out["data"]
        self._used[cell_index] += _PLACE
        if size(json.dumps(out.get("metadata", {}))) > _PLACE:
            out["metadata"] = {}
        notes = []
        for mime in sorted(data, key=lambda mime: mime != "text/plain"):
            text = data[mime] if isinstance(data[mime], str) else json.dumps(data[mime])
            picture = mime.startswith("image/") and mime != "image/svg+xml"
            took, room = size(text), self._left(cell_index)
            if picture:
                room = min(IMAGE, IMAGES - self._pictures.total())
            if took <= room:
                (self._pictures if picture else self._used)[cell_index] += took
                continue
            suffix = _SUFFIXES.get(mime, "json" if "json" in mime else "txt")
            name = _name(cell_index, suffix, number)
            kept = self._put_beside(name, _picture(text) if picture else text)
            where = f"{self._folder.name}/{name}" if kept else "not kept, for there was too much"
            notes.append(f"… {mime}, {len(text):,} characters: {where}")
            del data[mime]
            if mime == "text/plain":
                notes.insert(0, cut(text, min(2000, room)))
        if notes:
            data["text/plain"] = "\n".join((data.get("text/plain", ""), *notes)).strip("\n")
            self._used[cell_index] += size("\n".join(notes))

    def _put_beside(self, name: str, content: str | bytes) -> bool:
        """Whether anything of it has room there; a picture has whole or not at all."""
        kept = content[: self._room]
        if isinstance(content, bytes) and len(kept) < len(content):
            kept = b""
        self._lost[name] += len(content) - len(kept)
        if kept:
            self._room -= len(kept)
            self._beside.setdefault(name, []).append(kept)
            self._dirty.add(name)
        return bool(kept)

    def finish(self, cell: Any, cell_index: int) -> None:
        """The cell has ended: drop what progress bars wrote over, and say where the rest is."""
        for out in cell.get("outputs", ()):
            if out["output_type"] == "stream" and "\r" in out["text"]:
                out["text"] = _OVERWRITTEN.sub("", out["text"])
        name, said = _name(cell_index, "txt"), []
        spilled, lost = sum(map(len, self._beside.get(name, ()))), self._lost[name]
        gone = f" ({lost:,} more were not kept)" if lost else ""
        if spilled:
            said.append(f"… the next {spilled:,} characters{gone}: {self._folder.name}/{name}\n")
        elif lost:
            said.append(f"… the next {lost:,} characters were not kept: there was too much.\n")
        if left_out := self._left_out[cell_index]:
            said.append(f"… {left_out:,} more outputs of this cell were not kept.\n")
        if said:
            out = type(cell)(output_type="stream", name="stderr", text="".join(said))
            cell["outputs"].append(out)

    def save(self, *, everything: bool = False) -> None:
        """Write the files that are new or have grown; all of them when masking has changed.

        Raises OSError, after it has tried all.
        """
        trouble: OSError | None = None
        for name in sorted(self._beside if everything else self._dirty):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                write_atomically(self._folder / name, self._masked(name))
                self._dirty.discard(name)
            except OSError as exc:
                trouble = trouble or exc
        if trouble:
            raise trouble

    def _masked(self, name: str) -> bytes:
        parts = self._beside[name]
        texts = [part for part in parts if isinstance(part, str)]
        if not texts:
            return b"".join(part for part in parts if isinstance(part, bytes))
        self._beside[name] = ["".join(texts)]
        return redaction.mask("".join(texts)).encode(errors="backslashreplace")

    def name_lost(self, cells: list[Any], why: str) -> None:
        """Say of files that could not be written that they are not there; `cells` name them."""
        for name in self._beside:
            place = f"{self._folder.name}/{name}"
            if (self._folder / name).exists() and name not in self._dirty:
                continue
            _replace(cells, place, f"not kept: {why}")

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


class Capped:
    """For a client of nbclient, which makes a kernel's messages a cell's outputs: what fits."""

    capped: Outputs

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "update_display_data":
            self.capped.fit(msg["content"], cell_index, 0)
        return super().process_message(msg, cell, cell_index)  # type: ignore[misc]

    def output(self, outs: list[Any], msg: Any, display_id: Any, cell_index: int) -> Any:
        out = super().output(outs, msg, display_id, cell_index)  # type: ignore[misc]
        if out is not None and outs and outs[-1] is out:
            self.capped.take(outs, cell_index)
        return out

    def clear_output(self, outs: list[Any], msg: Any, cell_index: int) -> None:
        super().clear_output(outs, msg, cell_index)  # type: ignore[misc]
        self.capped.forget(cell_index)


def _replace(cells: list[Any], said: str, instead: str) -> None:
    for out in (out for cell in cells for out in cell.get("outputs", ())):
        held, key = (out, "text") if "text" in out else (out.get("data", {}), "text/plain")
        if said in held.get(key, ""):
            held[key] = held[key].replace(said, instead)


def _name(cell_index: int, suffix: str, number: int = 0) -> str:
    return f"cell-{cell_index + 1:02d}{f'-output-{number:02d}' if number else ''}.{suffix}"


def _picture(text: str) -> str | bytes:
    try:
        return base64.b64decode(text)
    except ValueError:  # it is none
        return text


def size(text: str) -> int:
    """Bytes that a text takes in a file of JSON."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return len(text)
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))


def _shortened(text: str) -> str:
    half = _TRACEBACK // 2
    if len(text) <= _TRACEBACK:
        return text
    # Masked before it is cut, and no more of it than is needed.
    return (
        f"{redaction.mask(text[: 2 * half])[:half]}\n…\n{redaction.mask(text[-2 * half :])[-half:]}"
    )
