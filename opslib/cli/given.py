"""What several commands are given: parameters, a note."""

from __future__ import annotations

import click

from opslib.cli import completion
from opslib.core import UsageError, redaction

NOTE = click.option("--note", default="", help="What you saw, and why you run this.")
GIVEN = click.option(
    "-p",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter; repeat for more.",
    shell_complete=completion.parameters,
)


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """`name=value` as given; a name twice is refused."""
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"-p {text!r} is not NAME=VALUE.")
        if name in found:
            both = "" if redaction.names_a_secret(name) else f": {found[name]!r} and {value!r}"
            raise UsageError(f"-p {name}=… is given twice{both}.")
        found[name] = value
    redaction.register_typed(found)
    return found
