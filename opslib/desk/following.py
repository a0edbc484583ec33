"""What follows from a verdict, to press: it opens the next sitting on this target and window."""

from __future__ import annotations

import shlex
from functools import partial
from typing import Any

from opslib.core import OpsError
from opslib.core.plans.verdicts import Verdict
from opslib.desk import notes
from opslib.desk.panels import Panel, Widget, button, column, row, said, say
from opslib.sittings import open_sitting

_LINK = '<a style="color: var(--jp-content-link-color); text-decoration: underline" '


def offer(verdict: Verdict) -> None:
    """A button for each procedure that follows, and a line for a note, below the verdict."""
    known = zip(verdict.next, verdict.lines, strict=False)
    lines = [line for _, line in known if line]
    told, parts = said(), list[Widget]()
    if lines:
        press = [
            button(shlex.split(each)[2], partial(_open, each, told), tip=each) for each in lines
        ]
        parts = [row(said("Next:"), *press), told]
    Panel(column([*parts, notes.line()]), "\n".join(["Next:", *lines]) if lines else "")


def _open(line: str, told: Widget) -> None:
    """As the line does."""
    _, _, name, _, target, *pairs = shlex.split(line)
    given = dict(pair.split("=", 1) for pair in pairs[1::2])
    try:
        opened: Any = open_sitting(name, target, given)
    except OpsError as exc:
        say(told, f"Not opened: {exc}")
        return
    told.value = opened._repr_html_().replace("<a ", _LINK, 1)  # escaped there
