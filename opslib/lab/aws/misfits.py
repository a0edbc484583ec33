"""Why a target does not fit what the lab knows of its system, in words that lead to its file."""

from collections.abc import Iterator, Mapping
from typing import Any

from opslib.core.errors import OpsError
from opslib.lab.aws.ground import Standing


def said(place: Standing, exc: Exception, own: bool) -> str:
    """What of the target's file the lab stumbled over, and what to do. `own`: the lab's estate of
    the system, else its file alone.
    """
    system, environment = place.facts["system"], place.facts["environment"]
    file = f"parameters/targets/{system}-{environment}.yaml"
    cause = _cause(place.facts, exc)
    what = "it" if file in cause else file
    again = "Correct the file and begin anew: opslib lab reset. "
    again += "The other targets are not touched by this."
    if not own:
        return f"{what} describes what the lab cannot make: {cause} {again}"
    return (
        f"{what} does not fit the lab's estate of {system}: {cause} "
        f"So its practice copy is made of its file alone, where it can be. {again}"
    )


def _cause(facts: Mapping[str, Any], exc: Exception) -> str:
    if isinstance(exc, OpsError):
        return str(exc)
    if not isinstance(exc, KeyError) or not exc.args:
        return f"{type(exc).__name__}: {' '.join(str(exc).split()).rstrip('.')}."
    key = exc.args[0]
    described = next(_paths(facts, key), None)
    if described is None:
        return f"it needs {key!r}, which the file does not describe."
    return f"it has nothing for {described}, which the file describes."


def _paths(facts: Mapping[str, Any], wanted: object, above: str = "") -> Iterator[str]:
    """Where the facts have a key, or `key: value` for a value."""
    for key, value in facts.items():
        path = f"{above}.{key}".lstrip(".")
        if key == wanted:
            yield path
        elif isinstance(value, Mapping):
            yield from _paths(value, wanted, path)
        elif value == wanted:
            yield f"{path}: {value}"
