"""The door, notebooks/start.ipynb, and the README's table of procedures: both made from the notebooks.

python -m opslib.contents           make them again
python -m opslib.contents --check   say what is stale; exit 1 when something is
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path

from opslib.catalogue import procedures, runbooks
from opslib.catalogue.procedures import Procedure
from opslib.catalogue.runbooks import Entry
from opslib.core import paths

_BEGIN, _END = "<!-- procedures: made by ./run contents -->", "<!-- /procedures -->"
_EFFECT = {"read": "looks only", "change": "changes, can be undone", "destroy": "**destroys**"}


def door() -> str:
    """The text of notebooks/start.ipynb: every procedure by symptom, by chapter, and by system."""
    known = procedures.list_procedures()
    texts = [
        _WELCOME,
        _by_symptom(known),
        _by_chapter(known),
        *(_by_system(s) for s in runbooks.systems()),
    ]
    cells = [
        {
            "cell_type": "markdown",
            "id": f"start-{i:02d}",
            "metadata": {},
            "source": text.splitlines(keepends=True),
        }
        for i, text in enumerate(texts, 1)
    ]
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return (
        json.dumps(
            {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1
        )
        + "\n"
    )


_WELCOME = """# Start here

Each procedure is a notebook. Set `target` in its parameters cell, **Run All**, read from top to bottom.
Looking changes nothing. A change is previewed first: it is applied only when its plan is approved by name.

`lab/…` targets are the practice copy on this machine: break something (`opslib lab drills`), find it, mend it."""


def _by_symptom(known: list[Procedure]) -> str:
    lines = [
        f"| {symptom} | [{p.title}]({p.name}.ipynb) | {p.chapter} |"
        for p in known
        for symptom in sorted(p.when)
    ]
    return "\n".join(
        ["## By symptom", "", "| what you see | procedure | chapter |", "|---|---|---|", *lines]
    )


def _by_chapter(known: list[Procedure]) -> str:
    lines = ["## By chapter"]
    for chapter, group in groupby(known, key=lambda p: p.chapter):
        lines += [
            "",
            f"### {chapter.capitalize()}",
            "",
            "| procedure | effect | takes |",
            "|---|---|---|",
        ]
        lines += [
            f"| [{p.title}]({p.name}.ipynb) | {_EFFECT[p.effect]} | {p.takes} |" for p in group
        ]
    return "\n".join(lines)


def _by_system(system: str) -> str:
    lines = [
        f"## Runbook: {system}",
        "",
        f"With these parameters, or `opslib run {system}/… -t TARGET`:",
    ]
    for section, group in groupby(runbooks.entries(system), key=lambda e: e.section):
        lines += [
            "",
            f"### {section}",
            "",
            "| entry | when | procedure | parameters |",
            "|---|---|---|---|",
        ]
        lines += [_entry(e) for e in group]
    return "\n".join(lines)


def _entry(entry: Entry) -> str:
    when = "; ".join((*entry.symptoms, entry.note) if entry.note else entry.symptoms)
    preset = ", ".join(f"`{k} = {v!r}`".replace("|", "\\|") for k, v in entry.parameters.items())
    title = f"{entry.title} (`{entry.name}`)"
    return f"| {title} | {when} | [{entry.procedure}]({entry.procedure}.ipynb) | {preset} |"


def table() -> str:
    """The README's table of procedures."""
    lines = ["| procedure | what it is for | effect |", "|---|---|---|"]
    lines += [
        f"| [`{p.name}`](notebooks/{p.name}.ipynb) | {p.title} | {_EFFECT[p.effect]} |"
        for p in procedures.list_procedures()
    ]
    return "\n".join(lines)


def made() -> dict[Path, str]:
    """What the files should say now."""
    readme = paths.project_root() / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return {
        paths.notebooks() / "start.ipynb": door(),
        readme: f"{before}{_BEGIN}\n\n{table()}\n\n{_END}{after}" if rest else text,
    }


def stale() -> list[Path]:
    """The files that say something else."""
    return [
        p for p, text in made().items() if not p.exists() or p.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    old = stale()
    if "--check" in sys.argv[1:]:
        for path in old:
            print(f"{path} is stale: ./run contents", file=sys.stderr)
        return 1 if old else 0
    for path in old:
        path.write_text(made()[path], encoding="utf-8")
        print(f"made {path.relative_to(paths.project_root())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
