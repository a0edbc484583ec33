"""What a widget does, as a line to type: the same procedure with the parameters of this kernel."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from opslib.catalogue import runbooks
from opslib.catalogue.parameters import Parameter
from opslib.core import Json, UsageError, text
from opslib.core.journal import HERE
from opslib.records.sittings import cells, places

_LINK = re.compile(r"\]\([^)]*notebooks/([\w-]+/[\w-]+)\.ipynb\)")
OF_A_PLAN = {"approved", "confirm"}


def names() -> Json:
    """Of this kernel's notebook, as they are now."""
    shell: Any = sys.modules["IPython"].get_ipython()
    return dict(shell.user_ns)


def here() -> str:
    """The procedure or entry that this kernel is for, as one calls it; empty when unknown."""
    if running := os.environ.get(HERE, "").split():
        return running[0]
    session = Path(os.environ.get("JPY_SESSION_NAME") or "-")
    opened = (cells.Saved(session).notebook() or {"metadata": {}})["metadata"].get("opslib", {})
    named = opened.get("sitting", {}).get("name")  # also of a copy that lies elsewhere
    return str(named or places.named())


def linked() -> list[str]:
    """The procedures that the text of this kernel's sitting leads to, in its order."""
    path = places.here()
    notebook = (path and cells.Saved(path).notebook()) or {"cells": ()}
    text = "".join(c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown")
    return [*dict.fromkeys(_LINK.findall(text))]


def declared() -> tuple[list[Parameter], Json]:
    """What it declares, and what its runbook entry sets. Raises UsageError: it is not known."""
    procedure, preset, _ = runbooks.find(here())
    return list(procedure.parameters), preset


def command(verb: str, target: str, **more: str) -> str:
    """`opslib run NAME -t TARGET -p …`, with what differs from the defaults; empty when unknown."""
    try:
        parameters, preset = declared()
    except UsageError:
        return ""
    now = names()
    usual = {each.name: each.default for each in parameters} | preset
    given = {n: now[n] for n in usual if n in now and now[n] != usual[n]}
    given = {n: v for n, v in given.items() if n not in {"target", *OF_A_PLAN}} | more
    return text.command(verb, here(), target, given)
