"""A procedure opened to be worked in: a copy with its parameters, checked as for a run."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from opslib.core import Json, UsageError, escaped, paths, redaction
from opslib.core.checks import notes
from opslib.records.sittings import places

_LINK = re.compile(r"\]\(([\w./-]+\.ipynb)\)")
_USUAL = "# What it takes, and what that usually is. What holds here stands below.\n"
_OUTSIDE = (
    "it cannot be opened there, for records are kept outside of this project. Set OPSLIB_RECORDS "
    "to a folder in it, or to none, and start ./run lab anew"
)


@dataclass(frozen=True)
class Opened:
    """`url`: in the JupyterLab that serves this project; empty when none runs."""

    id: str
    name: str
    target: str
    path: Path
    url: str = ""

    def __repr__(self) -> str:
        closed = f"no JupyterLab of this project runs: ./run lab, then open {self.shown}"
        where = self.url or (closed if self._inside else _OUTSIDE)
        return f"{self.name} on {self.target}: {self.path}\nin JupyterLab: {where}"

    @property
    def _inside(self) -> bool:
        return self.path.resolve().is_relative_to(paths.project_root())

    @property
    def shown(self) -> str:
        """The path as JupyterLab knows it."""
        if not self._inside:
            return str(self.path)
        return self.path.resolve().relative_to(paths.project_root()).as_posix()

    def _repr_html_(self) -> str:
        told = f"{escaped(self.name)} on {escaped(self.target)}"
        if not self.url and not self._inside and url_of(paths.project_root()):
            return f"<p>{told}: {escaped(self.shown)}<br>{escaped(_OUTSIDE)}</p>"
        opens = escaped(json.dumps({"path": self.shown}))
        return (
            f'<p>Opened: <a href="#" data-commandlinker-command="docmanager:open" '
            f'data-commandlinker-args="{opens}">{told}</a> ({escaped(self.shown)})</p>'
        )


def open_sitting(
    name: str, target: str, parameters: Mapping[str, Any] | None = None, note: str = ""
) -> Opened:
    """Copy a procedure, or a runbook's entry, to be worked in on a target; where it is.

    Values given as text are read as the parameter's type; what `run` chooses is chosen. `note` is
    put where the operator's is. Raises UsageError before anything is written; OpsError when records
    cannot be written.
    """
    from nbformat import v4

    from opslib.records import facts, files, records
    from opslib.runs import runs
    from opslib.runs.batches import items

    given = dict(parameters or {})
    if secret := redaction.typed_secrets(given):
        raise UsageError(
            f"{secret[0]} is a secret, and a sitting is a file. Open it without, and have the "
            "notebook read it."
        )
    procedure, wanted = runs.prepare(name, target, given, apply=False)
    notebook = items.filled(procedure, wanted)
    id = records.new_id()
    said: Json = {"id": id, "name": name, "procedure": procedure.name, "target": target}
    said["parameters"] = facts.parameters(notebook)
    notebook["metadata"].pop("papermill", None)
    _put_form(notebook)
    for number, cell in enumerate(notebook["cells"]):
        _prepared(cell, procedure.path.parent)
        cell.setdefault("id", f"cell-{number}")
    said["cells"] = [cell["id"] for cell in notebook["cells"]]
    if note:
        items.put_note(notebook, note)
        said["note"] = vars(notes.noted(note))
    notebook["metadata"]["opslib"] = {"sitting": said}
    path = places.folder() / f"{id}.ipynb"
    files.require_writable(path.parent)
    files.write_atomically(path, f"{v4.nbjson.writes(notebook)}\n".encode())
    return Opened(id, name, target, path, url_of(path))


def _prepared(cell: Any, folder: Path) -> None:
    """Its code is folded, but for what is set here; a link leads to where it led."""
    cell["metadata"].pop("papermill", None)
    cell["source"] = cell["source"].rstrip()
    if cell["cell_type"] == "code" and "injected-parameters" not in (tags := _tags(cell)):
        cell["metadata"].setdefault("jupyter", {})["source_hidden"] = True
        cell["source"] = _USUAL * ("parameters" in tags) + cell["source"]
    if cell["cell_type"] == "markdown":
        cell["source"] = _LINK.sub(
            lambda hit: f"]({os.path.relpath(folder / hit[1], places.folder())})", cell["source"]
        )


def _tags(cell: Any) -> list[str]:
    return list(cell["metadata"].get("tags", ()))


def _put_form(notebook: Any) -> None:
    """Below the parameters: the same as controls, where somebody is there."""
    from nbformat import v4

    tagged = (at for at, cell in enumerate(notebook["cells"]) if "parameters" in str(_tags(cell)))
    if after := max(tagged, default=0):
        cell = v4.new_code_cell("from opslib.desk.forms import form\n\nform()", id="form")
        notebook["cells"].insert(after + 1, cell)


def url_of(path: Path) -> str:
    """In the JupyterLab of this machine that serves a folder above it; without its token."""
    from jupyter_server.serverapp import list_running_servers

    for server in list_running_servers():
        root = Path(server.get("root_dir") or "/nowhere").resolve()
        if path.resolve().is_relative_to(root):
            inside = path.resolve().relative_to(root).as_posix()
            return f"{server['url']}lab/tree/{quote(inside)}"
    return ""
