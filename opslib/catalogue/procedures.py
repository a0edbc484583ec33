"""The procedures: one notebook each, described by its own first cells."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from opslib.catalogue import parameters
from opslib.catalogue.parameters import Parameter
from opslib.core import UsageError, paths, unknown_name

EFFECTS = ("read", "change", "destroy")


@dataclass(frozen=True)
class Procedure:
    """`name` is `<chapter>/<name>`; `when` the symptoms it is for, one a list item."""

    name: str
    title: str
    when: tuple[str, ...]
    effect: str
    takes: str
    owner: str
    parameters: tuple[Parameter, ...]
    path: Path

    @property
    def chapter(self) -> str:
        return self.name.split("/")[0]

    @property
    def changes(self) -> bool:
        """Does it make a plan, which can be approved?"""
        return any(parameter.name == "approved" for parameter in self.parameters)


def list_procedures() -> list[Procedure]:
    """Every procedure, in order of chapter and name."""
    return [load(path) for path in _files()]


def _files() -> list[Path]:
    """Every notebook in a chapter; Jupyter's own copies are in folders that begin with a point."""
    return sorted(paths.notebooks().glob("[!.]*/[!.]*.ipynb"))


def find(name: str) -> Procedure:
    """The procedure `<chapter>/<name>`. Raises UsageError that offers the nearest."""
    path = paths.notebooks() / f"{name}.ipynb"
    if not re.fullmatch(r"[\w-]+/[\w-]+", name) or not path.is_file():
        known = [f"{p.parent.name}/{p.stem}" for p in _files()]
        raise unknown_name("procedure", name, known)
    return load(path)


def load(path: Path) -> Procedure:
    """Read a notebook's description.

    Raises UsageError when its first cells do not say what they must.
    """
    name = f"{path.parent.name}/{path.stem}"
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError) as exc:
        raise UsageError(f"{path} is not a readable notebook: {exc}.") from exc
    head = "".join(cells[0]["source"]) if cells else ""
    title = re.match(r"# (.+)", head)
    items = re.findall(r"^- \*\*(\w+)\*\*: (.+)$", head, re.M)
    said = {key.lower(): text.strip() for key, text in items}
    lacking = {"when", "effect", "takes", "owner"}.difference(said)
    effect = re.split(r"\W", said.get("effect", ""))[0]
    if title is None or lacking or effect not in EFFECTS:
        what = ", ".join(sorted(lacking)) or "a title or a known effect"
        raise UsageError(f"{name}: its first cell lacks {what}.")
    tagged = [cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", ())]
    if len(tagged) != 1:
        raise UsageError(f"{name}: needs one cell tagged 'parameters', has {len(tagged)}.")
    found = parameters.parse("".join(tagged[0]["source"]), name)
    when = tuple(part.strip(" .") for part in said["when"].split(";"))
    return Procedure(
        name, title[1].strip(), when, effect, said["takes"], said["owner"], tuple(found), path
    )
