"""What `opslib target …` says: the targets there are, what is wrong in a file."""

from __future__ import annotations

from collections.abc import Sequence

import click

from opslib.catalogue import described
from opslib.core import Json, UsageError, console
from opslib.core.connections import targets


def everything(as_json: bool) -> None:
    """A line a target; how many things are wrong in its file."""
    rows = described.listed()
    if as_json:
        click.echo(console.as_json(rows))
        return
    header = ["target", "title", "account", "region", "profile", "wrong in its file"]
    cells = [[row["name"], *(row[key] or "" for key in header[1:5]), _wrong(row)] for row in rows]
    click.echo(console.table(header, cells))
    click.echo("\nEach also as lab/…. All keys: docs/targets.md", err=True)


def _wrong(row: Json) -> str:
    found = len(row["problems"])
    return f"{found}: opslib target check {row['name']}" if found else "nothing"


def checked(names: Sequence[str], as_json: bool) -> int:
    """All that is wrong, a line each; the exit status. Raises UsageError for an unknown target."""
    found = {name: _problems(name) for name in targets.matching(names)}
    wrong = sum(map(len, found.values()))
    if as_json:
        click.echo(console.as_json(found))
    else:
        for line in (line for lines in found.values() for line in lines):
            click.echo(console.plain(line))
        if not wrong:
            click.echo(f"{', '.join(found)}: nothing is wrong in the file.")
    return 2 if wrong else 0


def _problems(name: str) -> list[str]:
    try:
        return described.problems(name)
    except UsageError as exc:
        return str(exc).splitlines()
