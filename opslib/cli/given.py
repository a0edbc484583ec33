"""What several commands are given: parameters, a note."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click

from opslib.cli import completion
from opslib.core import UsageError, console, redaction, targets, times
from opslib.core.checks.notes import KINDS
from opslib.runs.batches import LOCAL

NOTE = click.option("--note", default="", help="What you saw, and why you run this.")
KIND = click.option("--kind", type=click.Choice(KINDS), default="saw", show_default=True)
GIVEN = click.option(
    "-p",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter; repeat for more.",
    shell_complete=completion.parameters,
)


def target(help: str = "", *name: str, **more: Any) -> Callable[[Any], Any]:
    """`-t`, offered to the shell."""
    names = ("-t", "--target", *name)
    return click.option(*names, help=help, shell_complete=completion.target_names, **more)


def _kept_on(_: Any, option: Any, target: str | None) -> list[str] | None:
    """The targets that are meant by a name or a pattern, of whose records something is asked; a
    name, too, of which only records are left. Raises UsageError: there is none.
    """
    from opslib.records import index

    if target is None:
        return None
    return [target] if index.rows(most=1, target=target) else targets.matching([target])


KEPT_ON = target("Of this target only, or of a pattern: 'lab/*'.", callback=_kept_on)
SINCE = click.option(
    "--since",
    help="30m, 12h, 1d, 2w, or a date (UTC).",
    callback=lambda _, option, text: times.past(text) if text else None,
)


def as_json(of: str) -> Callable[[Any], Any]:
    """`--json`, in place of what is printed else."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print JSON instead of {of}.")


JSON = as_json("a table")


def shown(of: str = "a table") -> Callable[[Callable[..., Any]], Any]:
    """`--json` of a command that says its data, its text, and its exit status if it has one: what
    is asked for is printed.
    """

    def printed(command: Callable[..., Any]) -> Any:
        @as_json(of)
        @wraps(command)
        def said(as_json: bool, **given: Any) -> None:
            data, text, *status = command(**given)
            click.echo(console.as_json(data) if as_json else text)
            if any(status):
                sys.exit(*status)

        return said

    return printed


_RUNNING = (
    target("Repeat, or a pattern: 'lab/*'.", "targets", multiple=True, required=True),
    GIVEN,
    click.option(
        "--timeout", type=click.IntRange(min=1), metavar="SECONDS", help="Stop the run after this."
    ),
    click.option(
        "--executor",
        default=LOCAL,
        show_default=True,
        metavar="WHERE",
        help="Run by the workers of a Dask scheduler: dask://HOST:PORT.",
    ),
    JSON,
)


def running(command: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    """The options of what runs procedures."""
    for option in reversed(_RUNNING):
        command = option(command)
    return command


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
