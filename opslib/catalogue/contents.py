"""The door, notebooks/start.ipynb, and the README's table of procedures: both made from the
notebooks. And docs/targets.md, made from the schema of targets, and docs/coverage.md, made from the
runbooks.

python -m opslib.catalogue.contents           make them again
python -m opslib.catalogue.contents --check   say what is stale; exit 1 when something is

Either ends with 1 when something cannot be read, or a row of parameters/coverage.yaml has no entry.
"""

import re
import sys
from pathlib import Path
from typing import Any

from nbformat import v4

from opslib.catalogue import coverage, procedures, runbooks, seen
from opslib.catalogue.procedures import LeftOut
from opslib.core import paths, strict_yaml
from opslib.core.text import templates

_BEGIN, _END = "<!-- procedures: made by ./run contents -->", "<!-- /procedures -->"
_CELL, _CODE = "\n<!-- cell -->\n", "<!-- code -->\n"
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")  # it leads elsewhere from here


def _book(system: str) -> tuple[str, list[runbooks.Entry]]:
    return system, runbooks.entries(system)


def _text(name: str, left_out: LeftOut, **more: Any) -> str:
    """The text that one of the templates makes of what there is and can be read."""
    from jinja2 import StrictUndefined

    made = templates(Path(__file__).parent, undefined=StrictUndefined)
    made.filters["unlinked"] = lambda text: _LINK.sub(r"\1", text)
    known = procedures.readable_ones(left_out)
    text: str = made.get_template(name).render(
        procedures=known,
        seen=seen.grouped(known),
        books=_books(left_out),
        keys=list(strict_yaml.keys("target")),
        **more,
    )
    return text


def _books(left_out: LeftOut) -> dict[str, list[runbooks.Entry]]:
    return dict(procedures.readable(_book, runbooks.systems(), left_out))


def _covered(left_out: LeftOut) -> str:
    """The text of docs/coverage.md."""
    rows = coverage.rows(_books(left_out))
    every = [row for of in rows.values() for row in of]
    counted = {"covered": sum(bool(row.ways) for row in every), "total": len(every)}
    return _text("coverage.md", left_out, rows=rows, **counted)


def door(left_out: LeftOut = print) -> str:
    """The text of notebooks/start.ipynb: the search, and every procedure by what is seen, by
    chapter, and by system.
    """
    notebook = v4.new_notebook()
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    texts = _text("start.md", left_out).rstrip().split(_CELL)
    for number, text in enumerate(texts, 1):
        make = v4.new_code_cell if text.startswith(_CODE) else v4.new_markdown_cell
        cell = make(text.removeprefix(_CODE), id=f"start-{number:02d}")
        if cell["cell_type"] == "code":
            cell["metadata"] = {"jupyter": {"source_hidden": True}}
        notebook["cells"].append(cell)
    return f"{v4.writes(notebook)}\n"


def made(left_out: LeftOut = print) -> dict[Path, str]:
    """What the files should say now. `left_out` is told of each that cannot be read."""
    readme = paths.project_root() / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    table = f"{_BEGIN}\n\n{_text('readme.md', left_out).rstrip()}\n\n{_END}" if end else ""
    reference = paths.project_root() / "docs" / "targets.md"
    found = {reference: _text("targets.md", left_out)} if reference.parent.exists() else {}
    if found and (paths.parameters() / "coverage.yaml").exists():
        found[reference.with_name("coverage.md")] = _covered(left_out)
    return {
        paths.notebooks() / "start.ipynb": door(left_out),
        readme: f"{before}{table}{after}",
        **found,
    }


def uncovered() -> list[str]:
    """What is wrong with the table of what is covered."""
    books = dict(_book(system) for system in runbooks.systems())
    return coverage.gaps(coverage.rows(books), books)


def main() -> int:
    checked, broken = "--check" in sys.argv[1:], dict[str, None]()
    stale = {
        path: text
        for path, text in made(broken.setdefault).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        if checked:
            print(f"{path} is stale: ./run contents", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"made {path.relative_to(paths.project_root())}")
    for message in broken:
        print(f"left out: {message}", file=sys.stderr)
    gaps = uncovered() if not broken else []
    for message in gaps:
        print(message, file=sys.stderr)
    return int(bool(broken or gaps) or (checked and bool(stale)))


if __name__ == "__main__":
    sys.exit(main())
