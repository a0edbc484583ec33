"""Sittings and notes: `opslib open`, `opslib note`."""

import click

from opslib.cli.given import GIVEN, KIND, NOTE, pairs
from opslib.cli.given import target as on
from opslib.core.checks import notes


@click.command()
@click.argument("name")
@on("The target to work on.", required=True)
@GIVEN
@NOTE
def open(name: str, target: str, given: tuple[str, ...], note: str) -> None:
    """Open a procedure or runbook entry to work in: a sitting, which is kept as a record.

    It is a copy with its parameters, checked as for a run; `notebooks/` stays as it is. Prints
    where it is, and its address when a JupyterLab of this project runs.
    """
    from opslib.sittings import open_sitting

    click.echo(repr(open_sitting(name, target, pairs(given), note)))


@click.command()
@click.argument("text")
@click.option("--record", "id", required=True, help="Its id; the beginning is enough.")
@KIND
def note(text: str, id: str, kind: str) -> None:
    """Add a note to a record, with its time: it is chained to the records and never changed."""
    from opslib.records import find
    from opslib.records.chain import late_notes

    click.echo(late_notes.add(find(id).id, notes.noted(text, kind)))
