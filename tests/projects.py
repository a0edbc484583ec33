"""A small project in a temporary folder: its own procedures, targets and records."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from opslib.records import reading, records
from opslib.records.records import Record
from opslib.runs import forks, runs
from opslib.runs.batches.items import Item

TARGET = "lab/bluemoxon-staging"
JOURNAL = "from opslib.core.journal import Journal\njournal = Journal()"
_HEAD = """# {title}

- **When**: somebody tests
- **Effect**: {effect}
- **Takes**: a second
- **Owner**: the tests"""
_TARGET = """\
title: BlueMoxon {environment}
system: bluemoxon
environment: {environment}
production: {production}
account: "{account}"
region: us-west-2
policy: {{apply_at_once: true}}
"""


def ran(
    name: str,
    target: str,
    parameters: dict[str, Any] | None = None,
    *,
    apply: bool = False,
    timeout_seconds: float | None = None,
    forked: bool = False,
) -> Record:
    """Run a procedure or a runbook entry in this process; its record."""
    procedure, wanted = runs.prepare(name, target, parameters or {}, apply=apply)
    item = Item(records.new_id(), name, procedure, target, wanted, "", timeout_seconds)
    return item.run(forked=forked)


class Project:
    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.records = home, home / "records"
        self.forked = forks.available()  # are the kernels of `run`? That is a second less each
        (home / "parameters" / "targets").mkdir(parents=True)
        for environment, account in (("staging", "111122223333"), ("production", "444455556666")):
            described = _TARGET.format(
                environment=environment, account=account, production=environment == "production"
            )
            (home / "parameters" / "targets" / f"bluemoxon-{environment}.yaml").write_text(
                described
            )
        monkeypatch.setenv("OPSLIB_HOME", str(home))
        monkeypatch.delenv("OPSLIB_RECORDS", raising=False)
        monkeypatch.delenv("OPSLIB_INDEX", raising=False)

    def procedure(self, name: str, *cells: str, parameters: str = "", effect: str = "read") -> Path:
        """A notebook tests/<name>; a cell that starts with # and a space is Markdown."""
        v4 = nbformat.v4
        head = v4.new_markdown_cell(_HEAD.format(title=name.capitalize(), effect=effect))
        first = v4.new_code_cell(f'target: str = "{TARGET}"  # where\n{parameters}'.strip())
        first["metadata"]["tags"] = ["parameters"]
        made = [
            v4.new_markdown_cell(c) if c.startswith("#") else v4.new_code_cell(c) for c in cells
        ]
        notebook = v4.new_notebook(cells=[head, first, *made])
        notebook["metadata"]["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        path = self.home / "notebooks" / "tests" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(notebook))
        return path

    def run(
        self, name: str, /, *cells: str, timeout_seconds: float = 60, **parameters: Any
    ) -> Record:
        """Make a procedure of these cells and run it in this process."""
        if cells:
            self.procedure(name, *cells)
        return ran(
            f"tests/{name}", TARGET, parameters, timeout_seconds=timeout_seconds, forked=self.forked
        )

    def keep_copy_of(self, other: Project) -> list[Record]:
        """The records of another project, the oldest first; its procedures too."""
        for folder in ("notebooks", "records"):
            shutil.copytree(other.home / folder, self.home / folder)
        return reading.list_records()[::-1]

    def command(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`opslib …`, its output and exit status."""
        return subprocess.run(
            [sys.executable, "-m", "opslib", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.home,
            env=dict(os.environ),
            **options,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`opslib …`, left running; what it says on stderr can be read."""
        return subprocess.Popen(
            [sys.executable, "-m", "opslib", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=dict(os.environ),
        )

    def notebook(self, record: Record) -> Any:
        return nbformat.read(record.path, as_version=4)

    def text(self, record: Record) -> str:
        """Everything that the cells of a record printed."""
        outputs = [o for c in self.notebook(record)["cells"] for o in c.get("outputs", ())]
        return "".join(o.get("text", "") for o in outputs)

    def files(self) -> list[Path]:
        return [path for path in self.records.rglob("*") if path.is_file()]
