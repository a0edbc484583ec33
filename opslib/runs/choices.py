"""What a procedure needs of the target's file, as far as it is known before anything starts: sections, and names in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opslib.catalogue.parameters import Parameter
from opslib.catalogue.procedures import Procedure
from opslib.core.connections.targets import Target
from opslib.core.errors import UsageError

_ALL = "all"
_CHAPTERS = {  # the section that every procedure of a chapter needs
    "alarms": "alarms",
    "databases": "database",
    "functions": "functions",
    "health": "api",
    "jobs": "jobs",
    "network": "network",
    "queues": "queues",
    "users": "users",
}


def choose(procedure: Procedure, target: Target, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, and a name for each default that this target does not have: the only one there is, or all.

    Raises UsageError: the file describes no such section, or not this name, or several of which none is the default.
    """
    if procedure.chapter in _CHAPTERS:
        target[_CHAPTERS[procedure.chapter]]
    chosen = dict(given)
    for parameter in procedure.parameters:
        asked_for = parameter.required and not target.lab and parameter.name not in given
        if parameter.of and not asked_for:
            _choose(procedure, target, parameter, chosen)
    return chosen


def _choose(
    procedure: Procedure, target: Target, parameter: Parameter, chosen: dict[str, Any]
) -> None:
    name, known = parameter.name, target[parameter.of]
    absent = [each for each in _names(chosen.get(name, parameter.default)) if each not in known]
    if not absent:
        return
    if name in chosen:
        if not parameter.any:
            known[absent[0]]
        return
    if len(known) != 1 and not parameter.all:
        raise UsageError(
            f"{procedure.name} needs {name}: one of {', '.join(known) or 'none'} ({parameter.of} in "
            f"parameters/targets/{target.key}.yaml). Give it with -p {name}=…"
        )
    chosen[name] = next(iter(known)) if len(known) == 1 else _ALL


def _names(value: Any) -> list[str]:
    """The names in a value; log groups and `all` are none of the file's."""
    parts = [part.strip() for part in str(value).split(",")]
    return [part for part in parts if part and part != _ALL and not part.startswith("/")]
