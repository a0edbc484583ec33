"""The post-mortem's files: a notebook and Markdown beside it, made again without losing words.

A cell is known by its id. A cell of facts is made anew; what somebody wrote into it is kept in a
cell below. A cell of words is left as it is as soon as somebody wrote in it, and so is every cell
that somebody added.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opslib.core import OpsError, paths, redaction, removal
from opslib.incidents.incidents import Incident
from opslib.incidents.papers.pictures import TABLE, Pictures
from opslib.incidents.papers.sections import FACTS, Part, PostMortem
from opslib.records import copies, files, records

FOLDER = copies.EVENTS  # in the records folder
_MADE = "made"  # in a cell's metadata: the hash of the text that we put there
_KEPT = "kept-"


def folder(id: str) -> Path:
    """Raises OpsError for what is a path."""
    return paths.records() / FOLDER / records.place(id).stem


def link(id: str) -> str:
    """A record's page, from a post-mortem."""
    return f"../../{records.place(id).with_suffix('.html').as_posix()}"


def make(incident: Incident) -> list[Path]:
    """The notebook and its Markdown. Raises OpsError: what is there cannot be read, or written."""
    import nbformat

    notebook = folder(incident.id) / "post-mortem.ipynb"
    before = _cells(notebook)
    facts = PostMortem(incident, link)
    made = nbformat.v4.new_notebook(cells=list(_merged(facts.parts(), before)))
    made["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    text = redaction.mask("\n\n".join(cell["source"] for cell in made["cells"]) + "\n")
    written = {notebook: nbformat.writes(made), notebook.with_suffix(".md"): text}
    try:
        notebook.parent.mkdir(parents=True, exist_ok=True)
        for path, content in written.items():
            files.write_atomically(path, content.encode(errors="backslashreplace"))
        _write_pictures(notebook.parent, facts.pictures)
    except OSError as exc:
        raise OpsError(f"{notebook} cannot be written: {files.reason(exc)}.") from exc
    return [*written]


def _write_pictures(folder: Path, made: Pictures) -> None:
    """Beside the notebook; those of before that it does not show any more go."""
    new = {each.name: each.png for each in made.drawn}
    new |= {TABLE: redaction.mask(made.table).encode()} if made.table else {}
    for name, content in new.items():
        files.write_atomically(folder / name, content)
    for path in folder.glob("metrics*"):
        if path.name not in new:
            removal.remove_file(path)


def _cells(path: Path) -> list[Any]:
    """Those of the notebook that is there. Raises OpsError: then nothing is written over it."""
    import nbformat

    if not path.exists():
        return []
    try:
        return list(nbformat.read(path, as_version=4)["cells"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise OpsError(
            f"{path} cannot be read ({exc}), and somebody's words may be in it: nothing was "
            "written. Move it away, and make it again."
        ) from exc


def _merged(parts: Iterator[Part], before: Sequence[Any]) -> Iterator[Any]:
    """The parts with the words of before; a cell that we did not make stays below the one that it
    stood below.
    """
    known = {cell.get("id"): cell for cell in before}
    wanted = list(parts)
    names = {part.name for part in wanted}
    below: dict[str, list[Any]] = {}
    last = ""
    for cell in before:
        if cell.get("id") in names:
            last = cell["id"]
        else:
            below.setdefault(last, []).append(cell)
    yield from below.get("", ())
    for part in wanted:
        was = known.get(part.name)
        if part.kind == FACTS:
            yield _made(part)
            if was is not None and _is_written(was):
                yield _kept(was, known)
        else:
            yield was if was is not None and _is_written(was) else _made(part)
        yield from below.get(part.name, ())


def _made(part: Part) -> Any:
    from nbformat import v4

    text = redaction.mask(part.text)
    about = {"tags": [part.kind], "opslib": {_MADE: _hash(text)}}
    return v4.new_markdown_cell(text, id=part.name, metadata=about)


def _kept(was: Any, known: dict[Any, Any]) -> Any:
    """What somebody wrote into a cell of facts, in a cell of its own."""
    from nbformat import v4

    number = next(n for n in range(1, len(known) + 2) if f"{_KEPT}{was['id']}-{n}" not in known)
    id = f"{_KEPT}{was['id']}-{number}"
    return v4.new_markdown_cell(was["source"], id=id, metadata={"tags": ["words"]})


def _is_written(cell: Any) -> bool:
    """Did somebody change the text that we put there?"""
    made = cell["metadata"].get("opslib", {}).get(_MADE)
    return bool(made != _hash(cell["source"]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.strip().encode(errors="backslashreplace")).hexdigest()
