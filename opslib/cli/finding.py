"""The command `opslib find`: which procedure for what is seen."""

import sys
from functools import partial
from typing import Any

import click

from opslib.catalogue import symptoms
from opslib.catalogue.symptoms import Found
from opslib.cli import given
from opslib.core import Json, console, targets
from opslib.runs import choices

_MOST = 7


@click.command()
@click.argument("words", nargs=-1, required=True)
@given.target("Only what helps there.")
@given.shown()
def find(words: tuple[str, ...], target: str | None) -> Any:
    """Which procedure for this symptom? The WORDS are the reporter's own: people can't log in.

    The best comes first. With a target: entries of its runbook, and nothing that it has not.
    """
    said = " ".join(words)
    of = targets.load(target) if target else None
    guide = symptoms.Guide(of, choices.is_described, partial(print, file=sys.stderr))
    found = guide.find(said)
    rows = _rows(found, target, said)
    for line in found.told:
        click.echo(line, err=True)
    header = ("name", "effect", "title", "it says")
    table = console.table(header, [[r["name"], r["effect"], r["title"], r["why"]] for r in rows])
    text = f"{table}\n\nThe first: {rows[0]['run']}"
    if found.hits:
        text += f"\nNot it? A first look: {_line(symptoms.FIRST_LOOK, target)}"
    return rows, text


def _rows(found: Found, target: str | None, said: str) -> list[Json]:
    """The best hits; or the first look, saying why."""
    understood = "nothing is known yet" if found.unsure else f"{said!r} is not understood"
    look = symptoms.first_look("A first look", f"{understood}: see what the system itself says")
    return [vars(hit) | {"run": _line(hit.name, target)} for hit in found.hits[:_MOST] or [look]]


def _line(name: str, target: str | None) -> str:
    return f"opslib run {name} -t {target or 'TARGET'}"
