"""What `opslib records verify` and `opslib records index` say; each gives its exit status."""

from dataclasses import asdict
from pathlib import Path

import click

from opslib.cli import streams
from opslib.core import Json, console
from opslib.records import verification
from opslib.records.chain import attached, database, rebuilding


def everything(heads: tuple[str, ...]) -> tuple[list[Json], str, bool]:
    """Problems to stdout, with the head; what nothing proves to stderr."""
    found = verification.examine(heads)
    problems = [vars(problem) for problem in found.problems]
    if problems:
        text = console.table(("record", "problem"), [[*p.values()] for p in problems])
    elif found.records == 1:
        text = "1 record, as it was sealed."
    else:
        text = f"{found.records} records, all as they were sealed."
    for note in found.notes:
        click.echo(console.plain(note), err=True)
    return problems, f"{text}\nhead: {found.head}", bool(problems)


def files(names: tuple[str, ...], heads: tuple[str, ...]) -> tuple[list[Json], str, bool]:
    """A line a file. Heads are compared, too."""
    found = [asdict(attached.check(Path(name))) for name in names]
    gone = [vars(problem) for problem in verification.heads_gone(heads)]
    told = [f"{each['file']}: {console.plain(_line(each))}" for each in found]
    told += [f"{each['id']}: {each['problem']}" for each in gone]
    bad = bool(gone) or any(each["problem"] for each in found)
    return [*found, *gone], "\n".join(told), bad


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
