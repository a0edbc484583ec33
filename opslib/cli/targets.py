"""The commands `opslib target …`: the targets there are, what is wrong in a file, a first file."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from opslib.catalogue import described
from opslib.core import Json, UsageError, console
from opslib.core.connections import targets

_CHECKED = """\b
Exit status: 0 nothing is wrong; 2 something is."""
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


@click.group()
def target() -> None:
    """The targets: list them, check their files, make a first file from an account."""


@target.command("list")
@_json
def list_(as_json: bool) -> None:
    """Every target with its account, and how much is wrong in its file."""
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


@target.command(epilog=_CHECKED)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_json
def check(names: tuple[str, ...], as_json: bool) -> NoReturn:
    """All that is wrong in the files of targets (patterns, too), with their lines."""
    found = {name: _problems(name) for name in targets.matching(names)}
    wrong = [line for lines in found.values() for line in lines]
    told = [console.plain(line) for line in wrong]
    if not wrong:
        told = [f"{', '.join(found)}: nothing is wrong in the file."]
    click.echo(console.as_json(found) if as_json else "\n".join(told))
    sys.exit(2 if wrong else 0)


def _problems(name: str) -> list[str]:
    try:
        return described.problems(name)
    except UsageError as exc:
        return str(exc).splitlines()
