"""The commands `opslib target …`: the targets there are, what is wrong in a file, a first file."""

import os
from pathlib import Path
from typing import Any

import click

from opslib.catalogue import described
from opslib.cli import given, streams
from opslib.core import OpsError, UsageError, console, targets

_CHECKED = """\b
Exit status: 0 nothing is wrong; 1 something is not there, or could not be asked;
2 something is wrong in a file."""


@click.group()
def target() -> None:
    """The targets: list them, check their files, make a first file from an account."""


@target.command("list")
@given.shown()
def list_() -> Any:
    """Every target with its account, and how much is wrong in its file."""
    rows = described.listed()
    header = ["target", "title", "account", "region", "profile", "wrong in its file"]
    cells = [
        [
            row["name"],
            *(row[key] or "" for key in header[1:5]),
            len(row["problems"]) or "nothing",
        ]
        for row in rows
    ]
    click.echo(
        "Each also as lab/…. All of it: opslib target check NAME, docs/targets.md\n", err=True
    )
    return rows, console.table(header, cells)


@target.command(epilog=_CHECKED)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--online", is_flag=True, help="Ask the account, too: is there what it names?")
@given.shown()
def check(names: tuple[str, ...], online: bool) -> Any:
    """All that is wrong in the files of targets (patterns, too), with their lines."""
    found = {name: _problems(name) for name in targets.matching(names)}
    wrong = any(found.values())
    if online:
        found |= {name: _absent(name) for name, lines in found.items() if not lines}
    told = [console.plain(line) for lines in found.values() for line in lines]
    if not told:
        told = [f"{', '.join(found)}: nothing is wrong in the file."]
    return found, "\n".join(told), 2 if wrong else any(found.values())


def _absent(name: str) -> list[str]:
    from opslib import discovery, session

    try:
        return [f"{name}: {line}" for line in discovery.absent(session.connect(name))]
    except OpsError as exc:
        return [f"{name}: not asked: {exc}"]


def _problems(name: str) -> list[str]:
    try:
        return described.problems(name)
    except UsageError as exc:
        return str(exc).splitlines()


@target.command()
@click.option("--profile", help="Of ~/.aws/config; without it, the environment's credentials.")
@click.option("--region", help="Where to look.")
@click.option("-t", "--target", "known", help="In place of both: a target there is, or lab/….")
@click.option("--prefix", default="", help="Only what has these words in its name or its tags.")
@click.option("--name", default="", help="SYSTEM-ENVIRONMENT; else as tags and names have it.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A new file, never one that is there; else to stdout.",
)
@click.option("--data/--no-data", default=True, help="Look at API and database, too.")
def discover(
    profile: str | None,
    region: str | None,
    known: str | None,
    prefix: str,
    name: str,
    output: Path | None,
    data: bool,
) -> None:
    """Write a first target's file from what is in an account. It only reads: lists and describes,
    GET, SELECT. What was denied is named in a comment.
    """
    from opslib import discovery, session

    if bool(known) == bool(region):
        raise UsageError("Say where to look: --region (and --profile), or -t TARGET.")
    if output and os.path.lexists(output):  # told before all is read
        raise UsageError(f"{output} is there already, and is left alone. Name a new file.")
    ops = session.connect(known) if known else session.visit(profile, str(region))
    text = discovery.written(discovery.discover(ops, prefix, name, data))
    streams.put(text.rstrip("\n"), output)
    if output:
        click.echo(f"{output}: {text.count('# ?')} places to look at.", err=True)
