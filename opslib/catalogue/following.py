"""What follows, as a line to type: on the same target and thing, over the same window of time."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from opslib.catalogue import runbooks
from opslib.catalogue.parameters import Parameter
from opslib.core import Json, UsageError, text, times

_WINDOW = {"since", "until"}  # both: else `since` means something else there


def command(
    name: str,
    about: str = "",
    *,
    target: str,
    here: Mapping[str, Any],
    known: Callable[[Parameter], Json],
) -> str:
    """`opslib open NAME -t TARGET -p since=…`; empty for what is no procedure or entry.

    `about`: what the findings that lead there are called. `here`: the names of the notebook that
    one comes from, its parameters among them. `known`: what a parameter may name.
    """
    try:
        procedure, preset, _ = runbooks.find(name)
    except UsageError:
        return ""
    takes = {p.name: p for p in procedure.parameters if p.name not in {"target", *preset}}
    given = window(here) if takes.keys() >= _WINDOW else {}
    said = {p.name: _thing(p, about, target, here, known(p)) for p in takes.values()}
    return text.command("open", name, target, given | {n: v for n, v in said.items() if v})


def _thing(
    parameter: Parameter, about: str, target: str, here: Mapping[str, Any], known: Json
) -> str:
    """The one that it is about; else those to choose from, where one has to be given."""
    met = [n for n in known if n in re.findall(r"[\w-]+", about)]
    met = met or [n for n in known if n == here.get(parameter.name)]
    if len(met) == 1:
        return met[0]
    if parameter.has_to_be_given(target):
        return "|".join(known) or "…"
    return ""


def window(here: Mapping[str, Any]) -> Json:
    """`since` and `until` of a notebook that has both, as moments: `2h` ago is another one later.

    Empty where none is set.
    """
    said: Json = {name: here.get(name) for name in sorted(_WINDOW)}
    now = datetime.now(UTC)
    with suppress(UsageError, AttributeError):  # no text
        return {k: f"{times.moment(v, now):%Y-%m-%dT%H:%M}" for k, v in said.items() if v != ""}
    return {}
