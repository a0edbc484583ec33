"""The environment is described once: the other descriptions follow pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def constraints() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["lab"], *extras["dev"]]


def test_the_conda_environment_has_the_same_constraints() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    assert pip == [*constraints(), "-e ."]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"python {project['requires-python']}" in environment["dependencies"]


def test_the_lock_file_has_every_constraint_and_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = {
        re.split(r"[=\[ ;]", line)[0].lower()
        for line in lock.splitlines()
        if line and not line.startswith("#")
    }
    wanted = {re.split(r"[<>=\[ ;]", line)[0].lower() for line in constraints()}
    assert wanted <= locked
    assert "://" not in lock


def test_importing_opslib_starts_nothing_and_loads_nothing_heavy() -> None:
    script = (
        "import sys, threading, opslib; heavy = {'pandas', 'boto3', 'sqlalchemy', 'matplotlib', 'papermill', 'moto', "
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
