"""What a procedure needs of the target's file, before anything starts: sections, names in them."""

from collections.abc import Mapping
from typing import Any

import jmespath

from opslib.catalogue.parameters import Parameter
from opslib.catalogue.procedures import Procedure
from opslib.core import Json, Target, UsageError, beside, unknown_name

_ALL = "all"


def choose(procedure: Procedure, target: Target, given: Mapping[str, Any]) -> Json:
    """What was given, and a name for each default that this target does not have: the only, or all.

    Raises UsageError: the file describes no such section, or not this name, or several of which
    none is the default.
    """
    if place := _lacking(procedure, target, given):
        raise UsageError(
            f"parameters/targets/{target.key}.yaml describes no {place}, without which "
            f"{procedure.name} is of no use. Add it there, if {target.system} has it."
        )
    chosen = dict(given)
    for parameter in procedure.parameters:
        asked_for = parameter.required and not target.lab and parameter.name not in given
        if parameter.of and not asked_for:
            known = described(target, parameter)
            named = _names(given.get(parameter.name, parameter.default))
            absent = [name for name in named if name not in known]
            if absent and parameter.name not in given:
                chosen[parameter.name] = _instead(procedure, target, parameter)
            elif absent and not parameter.any:
                where = f" in parameters/targets/{target.key}.yaml"
                raise unknown_name(parameter.of, absent[0], known, where)
    return chosen


def _instead(procedure: Procedure, target: Target, parameter: Parameter) -> str:
    known: list[str] = list(described(target, parameter))
    if len(known) == 1:
        return known[0]
    if parameter.all:
        return _ALL
    raise UsageError(
        f"{procedure.name} needs {parameter.name}: one of {', '.join(known)} "
        f"({parameter.of} in parameters/targets/{target.key}.yaml). "
        f"Give it with -p {parameter.name}=…"
    )


def described(target: Target, parameter: Parameter) -> Json:
    """What the sections of the file describe whose names a parameter takes (`search.indices` lies
    deeper), or its own words.
    """
    found: Json = dict.fromkeys(parameter.words)
    for section in parameter.sections:
        found |= _found(target, section) or {}
    return found


def _found(target: Target, place: str) -> Any:
    """What stands at a place in the file (JMESPath); None or an empty list: nothing."""
    return jmespath.search(place, target.facts.plain())


def _names(value: Any) -> list[str]:
    """The names in a value; log groups and `all` are none of the file's."""
    parts = [part.strip() for part in str(value).split(",")]
    return [part for part in parts if part and part != _ALL and not part.startswith("/")]


def needs() -> Json:
    """The place in the file that a chapter, or a procedure beside it, looks at."""
    said: Json = beside(__file__, "needs")
    return said


def is_described(procedure: Procedure, target: Target) -> bool:
    """Whether the target's file has what the procedure looks at: else it is of no use there."""
    return not _lacking(procedure, target, None)


def _lacking(procedure: Procedure, target: Target, given: Mapping[str, Any] | None) -> str:
    """The place in the file that it looks at, and that is not there; empty: all are.

    `given`: None where nothing was given yet, so that anything may be.
    """
    said = [needs().get(name, "") for name in (procedure.chapter, procedure.name)]
    needed = [each.split(" || ") for each in " && ".join(filter(None, said)).split(" && ") if each]
    needed += [
        each.sections
        for each in procedure.parameters
        if each.of and each.default and not (each.any and each.name in (given or ()))
    ]

    def absent(at: str) -> bool:
        if at.startswith("-p "):
            return given is not None and not given.get(at.removeprefix("-p "))
        return _found(target, at) in (None, [])

    return " or ".join(next((each for each in needed if all(map(absent, each))), []))
