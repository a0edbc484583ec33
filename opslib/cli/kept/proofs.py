"""What `opslib records verify` and `opslib records index` say; each gives its exit status."""

from dataclasses import asdict
from pathlib import Path

import click

from opslib.cli import streams
from opslib.core import Json, console
from opslib.records import verification
from opslib.records.chain import attached, database, rebuilding


def everything(heads: tuple[str, ...], as_json: bool) -> int:
    """Problems to stdout, with the head; what nothing proves to stderr."""
    found = verification.examine(heads)
    problems = [vars(problem) for problem in found.problems]
    if as_json:
        click.echo(console.as_json(problems))
    elif problems:
        click.echo(console.table(("record", "problem"), [[*p.values()] for p in problems]))
    elif found.records == 1:
        click.echo("1 record, as it was sealed.")
    else:
        click.echo(f"{found.records} records, all as they were sealed.")
    if not as_json:
        click.echo(f"head: {found.head}")
    for note in found.notes:
        click.echo(console.plain(note), err=True)
    return 1 if problems else 0


def files(names: tuple[str, ...], heads: tuple[str, ...], as_json: bool) -> int:
    """A line a file. Heads are compared, too."""
    found = [asdict(attached.check(Path(name))) for name in names]
    gone = [vars(problem) for problem in verification.heads_gone(heads)]
    if as_json:
        click.echo(console.as_json([*found, *gone]))
    else:
        for each in found:
            click.echo(f"{each['file']}: {console.plain(_line(each))}")
        for each in gone:
            click.echo(f"{each['id']}: {each['problem']}")
    return 1 if gone or any(each["problem"] for each in found) else 0


def _line(each: Json) -> str:
    if each["problem"]:
        of = f"record {each['id']}: " if each["id"] else ""
        return f"{of}{each['problem']}"
    of = f" of record {each['id']}" if each["id"] else ""
    return f"the {each['what']}{of}, as it was sealed as number {each['number']} of the chain"


def index() -> tuple[Json, str]:
    """Where the index is, and its head."""
    said = {"index": database.shown(), "head": verification.head()}
    return said, "\n".join(f"{key}: {value}" for key, value in said.items())


def rebuild() -> tuple[Json, str, int]:
    """What was entered, and what was not."""
    done, head = rebuilding.rebuild(), verification.head()
    text = streams.written("rebuilt", done=done, head=head)
    return asdict(done) | {"head": head}, text, bool(done.left)
