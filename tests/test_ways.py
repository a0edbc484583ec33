"""No way leads nowhere: every procedure that a finding, an error or a text names is there."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from opslib.catalogue import procedures, runbooks
from opslib.core import paths
from tests.rooms import LIBRARY

CHAPTERS = sorted({path.parent.name for path in procedures.files()})
_WAY = re.compile(rf"(?<![\w/.-])((?:{'|'.join(CHAPTERS)})/[a-z][a-z-]+)(?![\w/.]|-)")
NAMES = set(procedures.names())


def texts() -> Iterator[tuple[str, str]]:
    """The file and each text in the library that names a procedure."""
    for file in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name in _WAY.findall(node.value):
                    yield str(file.relative_to(LIBRARY)), name
    for file in (path for path in LIBRARY.rglob("*.yaml") if "lab" not in path.parts):
        for name in re.findall(r"\bnext: *([\w/-]+)", file.read_text()):
            yield str(file.relative_to(LIBRARY)), name


@pytest.mark.slow
def test_every_procedure_that_the_library_names_is_there() -> None:
    named = set(texts())
    assert len({name for _, name in named}) > 30
    assert {(file, name) for file, name in named if name not in NAMES} == set()


@pytest.mark.parametrize("system", runbooks.systems())
def test_every_way_that_a_target_gives_its_alarms_is_there(system: str) -> None:
    known = NAMES | {entry.name for entry in runbooks.entries(system)}
    for file in (paths.parameters() / "targets").glob(f"{system}-*.yaml"):
        expected = yaml.safe_load(file.read_text())["alarms"]["expected"]
        named = {f"{system}/{entry}" for entry in expected.values()}
        assert named, file
        assert named <= known, file


def links(notebook: Path) -> Iterator[str]:
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "markdown":
            yield from re.findall(r"\]\(([^)#:]+\.ipynb)\)", "".join(cell["source"]))


@pytest.mark.parametrize("notebook", procedures.files(), ids=lambda path: f"{path.parent.name}")
def test_every_link_of_a_notebook_leads_to_another(notebook: Path) -> None:
    for link in links(notebook):
        target = (notebook.parent / link).resolve()
        assert target.is_file(), link
        assert target != notebook.resolve(), link
