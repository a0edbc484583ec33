"""Nothing is removed that we did not make and mark: files, folders, links, what others own."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib.core import removal
from opslib.records import facts, interruptions
from opslib.runs import kernels
from tests import rooms
from tests.rooms import LIBRARY, ROOT

TOKEN = "0123456789abcdef" * 2
OTHER = "f" * 32
ONE_PLACE = LIBRARY / "core" / "removal.py"
# Calls that remove or write over, by module and by method. `replace` and `rename` of text and of
# tables have another number of arguments, or keywords.
_OF_MODULES = {
    "os": {"remove", "unlink", "rmdir", "removedirs", "replace", "rename", "renames", "truncate"},
    "shutil": {"rmtree", "move"},
}
_OF_PATHS = {"unlink", "rmdir"}
_TO_PATHS = {"replace", "rename"}
_PROGRAMS = {"rm", "rmdir", "unlink", "shred", "mv"}


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "ours"
    (folder / "below" / "deep").mkdir(parents=True)
    (folder / "below" / "deep" / "file").write_text("x")
    removal.mark(folder, TOKEN)
    return folder


@pytest.fixture
def decoy(tmp_path: Path) -> Path:
    folder = tmp_path / "decoy"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    return folder


def test_a_folder_with_our_mark_goes_with_all_that_is_in_it(ours: Path) -> None:
    assert removal.remove(ours, TOKEN)
    assert not ours.exists()


@pytest.mark.parametrize("token", [OTHER, "", "*"])
def test_a_folder_with_another_mark_stays(ours: Path, token: str) -> None:
    assert not removal.remove(ours, token)
    assert (ours / "below" / "deep" / "file").read_text() == "x"


@pytest.mark.parametrize(
    "text", ["", TOKEN, f"Made by opslib, which may remove it. {TOKEN}", "\x00" * 300]
)
def test_a_folder_whose_mark_reads_otherwise_stays(decoy: Path, text: str) -> None:
    (decoy / removal.MARKER).write_text(text)
    assert removal.token_of(decoy) is None
    assert not removal.remove(decoy, TOKEN)
    assert (decoy / "precious").read_text() == "mine"


def test_a_mark_that_is_a_link_or_a_pipe_is_none(ours: Path, decoy: Path) -> None:
    (decoy / removal.MARKER).symlink_to(ours / removal.MARKER)
    assert not removal.remove(decoy, TOKEN)
    (decoy / removal.MARKER).unlink()
    os.mkfifo(decoy / removal.MARKER)
    assert not removal.remove(decoy, TOKEN)
    assert (decoy / "precious").read_text() == "mine"


def test_a_link_to_a_marked_folder_is_not_that_folder(ours: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ours)
    assert not removal.remove(tmp_path / "link", TOKEN)
    assert (ours / "below").is_dir()


def test_of_links_in_our_folder_only_the_links_go(ours: Path, decoy: Path) -> None:
    (ours / "to-folder").symlink_to(decoy)
    (ours / "below" / "to-file").symlink_to(decoy / "precious")
    assert removal.remove(ours, TOKEN)
    assert not ours.exists()
    assert (decoy / "precious").read_text() == "mine"


@pytest.mark.parametrize("name", ["../decoy", "..", ".", "", "below/deep", "/tmp"])
def test_a_name_that_leads_elsewhere_removes_nothing(ours: Path, decoy: Path, name: str) -> None:
    removal.remove(ours, TOKEN, name)
    assert (decoy / "precious").read_text() == "mine"
    assert (ours / "below" / "deep" / "file").read_text() == "x"


def test_what_takes_the_folders_place_meanwhile_is_not_touched(
    ours: Path, decoy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = removal._token

    def swapped(here: int) -> str | None:
        told = look(here)
        ours.rename(ours.with_name("moved"))
        ours.symlink_to(decoy)
        return told

    monkeypatch.setattr(removal, "_token", swapped)
    removal.remove(ours, TOKEN)
    assert (decoy / "precious").read_text() == "mine"


def test_a_folder_of_another_user_stays(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert not removal.remove(ours, TOKEN)
    assert (ours / "below").is_dir()


def test_a_file_is_removed_and_a_link_or_folder_of_its_name_is_not(decoy: Path) -> None:
    file, link = decoy / "temporary", decoy / "link"
    file.write_text("x")
    link.symlink_to(decoy / "precious")
    for path in (file, link, decoy, decoy / "not-there"):
        removal.remove_file(path)
    assert sorted(path.name for path in decoy.iterdir()) == ["link", "precious"]


def test_a_file_takes_no_link_or_folder_for_its_place(decoy: Path) -> None:
    (decoy / "link").symlink_to(decoy / "precious")
    (decoy / "folder").mkdir()
    (decoy / "new").write_text("new")
    for name in ("link", "folder"):
        with pytest.raises(OSError, match="is no plain file"):
            removal.put(decoy / "new", decoy / name)
    removal.put(decoy / "new", decoy / "precious")
    assert (decoy / "precious").read_text() == "new"


def test_of_a_killed_process_only_its_own_folders_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pid is used again, and names in a shared folder are free to all."""
    monkeypatch.setattr(interruptions, "kernel_folders", lambda: str(tmp_path))
    folders = {name: tmp_path / f"opslib-4711-{name}" for name in ("its", "later", "unmarked")}
    for folder in folders.values():
        folder.mkdir()
    removal.mark(folders["its"], interruptions.mark_of(4711, "100"))
    removal.mark(folders["later"], interruptions.mark_of(4711, "200"))
    interruptions.remove_left(4711, "100")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "opslib-4711-later",
        "opslib-4711-unmarked",
    ]


def test_a_kernels_folder_is_found_by_its_processs_mark() -> None:
    kernel = kernels.Kernel("")
    started = facts.process_started(os.getpid())
    assert removal.token_of(kernel._folder) == interruptions.mark_of(os.getpid(), started)
    kernel.remove()
    assert not kernel._folder.exists()


def _removals(path: Path) -> Iterator[str]:
    """The calls in a module that remove or write over, as `line: call`."""
    for node in ast.walk(rooms.parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module in _OF_MODULES:
            for alias in node.names:
                if alias.name in _OF_MODULES[node.module]:
                    yield f"{node.lineno}: from {node.module} import {alias.name}"
        if isinstance(node, ast.List | ast.Tuple | ast.Call):
            words = node.args if isinstance(node, ast.Call) else node.elts
            first = next(iter(words), None)
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                program = (first.value.split() or [""])[0].rsplit("/", 1)[-1]
                if program in _PROGRAMS and (len(words) > 1 or " " in first.value):
                    yield f"{node.lineno}: {first.value}"
        if isinstance(node, ast.Constant) and re.search(r"\brm -", repr(node.value)):
            yield f"{node.lineno}: {node.value!r}"
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        of, name = ast.unparse(node.func.value), node.func.attr
        if name == "unlink" and of in ("client", "pipe"):  # a key of a cache
            continue
        to_path = name in _TO_PATHS and len(node.args) == 1 and not node.keywords
        known = _OF_MODULES.get(of)
        if name in known if known is not None else name in _OF_PATHS or to_path:
            yield f"{node.lineno}: {of}.{name}"


def test_no_other_module_removes_or_writes_over() -> None:
    found = {
        str(path.relative_to(ROOT)): list(_removals(path))
        for path in LIBRARY.rglob("*.py")
        if path != ONE_PLACE
    }
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import shutil\nshutil.rmtree(x)",
        "from shutil import rmtree",
        "import os\nos.replace(a, b)",
        "path.unlink(missing_ok=True)",
        "a.replace(b)",
        "a.rename(b)",
        "subprocess.run(['rm', '-rf', x])",
        "os.system('rm -rf ' + x)",
        "self.run('/bin/rm', '-r', x)",
    ],
)
def test_a_removal_elsewhere_would_be_seen(tmp_path: Path, code: str) -> None:
    (tmp_path / "module.py").write_text(code)
    assert list(_removals(tmp_path / "module.py"))


def test_the_scripts_remove_what_they_made_and_nothing_else() -> None:
    """`run` removes .venv after it saw its mark; what tests/nbval made, `lab down` removes."""
    found = {
        name: re.findall(r"\b(?:rm|rmdir|mv) [^;|\n]+", (ROOT / name).read_text())
        for name in ("run", "tests/nbval")
    }
    assert found["run"] == ["rmdir .venv 2>/dev/null", "rm -rf .venv/lib", "rm -rf .venv"]
    assert found["tests/nbval"] == []
