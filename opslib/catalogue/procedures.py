"""The procedures: one notebook each, described by its own first cells."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from opslib.catalogue import parameters
from opslib.catalogue.parameters import Parameter
from opslib.core import UsageError, paths, unknown_name
from opslib.core.defects import in_a_line

T = TypeVar("T")
U = TypeVar("U")
LeftOut = Callable[[str], None]  # is told of what cannot be read, and why
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
    """Every procedure, in order of chapter and name. Raises UsageError when one cannot be read."""
    return [load(path) for path in files()]


def readable(read: Callable[[T], U], several: Iterable[T], left_out: LeftOut) -> list[U]:
    """What can be read of several; why another cannot is handed to `left_out`."""
    found = []
    for each in several:
        try:
            found.append(read(each))
        except UsageError as exc:
            left_out(str(exc))
    return found


def readable_ones(left_out: LeftOut = lambda _: None) -> list[Procedure]:
    """Every procedure that can be read."""
    return readable(load, files(), left_out)


def files() -> list[Path]:
    """Every notebook in a chapter; Jupyter's own copies are in folders that begin with a point."""
    return sorted(paths.notebooks().glob("[!.]*/[!.]*.ipynb"))


def names() -> list[str]:
    """Of every procedure, whether or not it can be read."""
    return [f"{path.parent.name}/{path.stem}" for path in files()]


def find(name: str) -> Procedure:
    """The procedure `<chapter>/<name>`. Raises UsageError that offers the nearest."""
    path = paths.notebooks() / f"{name}.ipynb"
    if not re.fullmatch(r"[\w-]+/[\w-]+", name) or not path.is_file():
        raise unknown_name("procedure", name, names())
    return load(path)


def load(path: Path) -> Procedure:
    """Read a notebook's description.

    Raises UsageError when it is none, or its first cells do not say what they must.
    """
    try:
        return _read(path)
    except UsageError:
        raise
    except Exception as exc:
        raise UsageError(f"{path} is not a readable notebook: {in_a_line(exc)}.") from exc


def _read(path: Path) -> Procedure:
    name = f"{path.parent.name}/{path.stem}"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    head = "".join(cells[0]["source"]) if cells else ""
    title = re.match(r"# (.+)", head)
    items = re.findall(r"^- \*\*(\w+)\*\*: (.+)$", head, re.M)
    said = {key.lower(): text.strip() for key, text in items}
    lacking = {"when", "effect", "takes", "owner"}.difference(said)
    effect = re.split(r"\W", said.get("effect", ""))[0]
    if title is None or lacking or effect not in EFFECTS:
        what = ", ".join(sorted(lacking)) or "a title or a known effect"
        raise UsageError(f"{name}: its first cell lacks {what}.")
    tagged = parameters.tagged(cells)
    if len(tagged) != 1:
        raise UsageError(f"{name}: needs one cell tagged 'parameters', has {len(tagged)}.")
    found = parameters.parse(tagged[0], name)
    when = tuple(part.strip(" .") for part in said["when"].split(";"))
    return Procedure(
        name, title[1].strip(), when, effect, said["takes"], said["owner"], tuple(found), path
    )
