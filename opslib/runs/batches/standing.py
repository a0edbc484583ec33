"""What a process would run an item with: so that two can tell whether they would do the same."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import opslib
from opslib.catalogue import procedures
from opslib.core import Json, beside, paths
from opslib.records import copies, index
from opslib.records.chain import database

_MEANINGS = beside(__file__, "standing")


def standing(names: Sequence[str], targets: Sequence[str], head: tuple[int, str]) -> Json:
    """Digests of the code, these procedures, these targets' files and all runbooks; where records
    are kept, and whether the index has that head of its chain.

    Raises OpsError: a procedure is not there, or the index does not answer.
    """
    books = sorted((paths.parameters() / "runbooks").glob("*.yaml"))
    described = [
        paths.parameters() / "targets" / f"{name.removeprefix('lab/')}.yaml" for name in targets
    ]
    return {
        "opslib": _code(),
        "procedures": _digest(procedures.find(name).path for name in sorted({*names})),
        "parameters": _digest([*books, *sorted({*described})]),
        "records": copies.where(),
        "index": database.file() is None and index.has(*head),
    }


def differs(here: Json, there: Json) -> str:
    """What a worker has that is not as it is here; empty: nothing."""
    for name, meaning in _MEANINGS.items():
        if here[name] != there.get(name):
            return str(meaning).format(here=here[name], there=there.get(name, "nothing said"))
    return ""


@cache
def _code() -> str:
    """Of this process: what was imported is not read again."""
    folder = Path(opslib.__file__).parent
    files = (path for path in folder.rglob("*") if path.suffix in (".py", ".json", ".yaml"))
    return _digest(sorted(files), folder)


def _digest(files: Iterable[Path], below: Path | None = None) -> str:
    """Of their names and what is in them; one that is not there counts as empty."""
    said = hashlib.sha256()
    for path in files:
        content = path.read_bytes() if path.is_file() else b""
        name = path.relative_to(below) if below else path.name
        said.update(f"{name} {len(content)}\n".encode() + content)
    return said.hexdigest()[:12]
