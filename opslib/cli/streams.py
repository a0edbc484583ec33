"""The command's own streams, where they are closed or full."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from opslib.core import OpsError, console, redaction, text


def written(name: str, **said: Any) -> str:
    """The text that one of templates/ makes of what is said."""
    made = text.templates(Path(__file__).parent)
    made.filters["plain"] = console.plain
    return str(made.get_template(f"{name}.txt").render(**said)).rstrip("\n")


def put(text: str, output: Path | None) -> None:
    """To stdout, or into a new file, never over one that is there. Raises OpsError."""
    if output is None:
        click.echo(text)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as exc:
        raise OpsError(f"{output} cannot be written: {exc.strerror}.") from exc


class Lines:
    """What is printed bit by bit, to stdout as whole lines, each when it is there.

    `before`: what makes room for a line, where progress is written over.
    """

    def __init__(self, before: Callable[[], None]) -> None:
        self._before, self._begun = before, ""

    def __call__(self, printed: str) -> None:
        *lines, self._begun = (self._begun + printed).split("\n")
        for line in lines:
            self._before()
            print(console.plain(redaction.mask(line)), flush=True)


@contextmanager
def whole() -> Iterator[None]:
    """Raises OpsError, once, when what is to be shown cannot be written (a full disk)."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    while nowhere < 2:  # closed: the next file that is opened would be in its place
        nowhere = os.dup(nowhere)
    sys.stdout, sys.stderr = (s or os.fdopen(nowhere, "w") for s in (sys.stdout, sys.stderr))
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        os.dup2(nowhere, 1)  # what is buffered would raise the same when Python ends
        raise OpsError(f"{exc.strerror}: {exc.filename or 'not all could be shown'}.") from exc
