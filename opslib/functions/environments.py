"""Environments of Lambda functions: what is set, and setting one variable with the others kept."""

import json
import re

from opslib.core import (
    Action,
    Connection,
    Findings,
    Frame,
    Planned,
    Question,
    Refused,
    UsageError,
    check,
    dtypes,
    frame,
    names_a_secret,
    planner,
    redaction,
)
from opslib.core.actions.actions import Merge
from opslib.core.reads.functions import Function, variables
from opslib.functions.configurations import ABSENT, UPDATE, Release, readable

_VARIABLES = "Environment.Variables"
_MOST_BYTES = 4_096  # of all variables, as JSON
VARIABLES = dtypes("""
    variable  str
    live      str
    latest    str
    described bool
""")


def list_variables(ops: Connection, function: str) -> Frame:
    """The environment of the live version and of $LATEST. Columns: VARIABLES.

    Values that look secret by their name are hidden.
    """
    known = Function(ops, function)
    live, latest = variables(known.live()), variables(known.configuration())
    described = set(known.facts.get("variables", ()))
    rows = [
        (name, readable(name, live, latest), readable(name, latest, live), name in described)
        for name in sorted(live.keys() | latest.keys() | described)
    ]
    return frame(rows, VARIABLES)


@check("Is every variable set, and the same in the next version?")
def check_variables(ops: Connection, function: str) -> Findings:
    """Described variables that are not set, and those in which $LATEST differs.

    Evidence: VARIABLES.
    """
    found = list_variables(ops, function)
    live = found["live"]
    troubles = {
        "not set": found["described"] & (live == ABSENT),
        "not the same in $LATEST": (live != found["latest"]) | live.str.endswith(", differs"),
    }
    said = "; ".join(
        f"{what}: {', '.join(found['variable'][which])}"
        for what, which in troubles.items()
        if which.any()
    )
    source = f"lambda GetFunctionConfiguration of {Function(ops, function).name}"
    rule = "all described ones set, no difference"
    asked = Question(f"variables of {function}", rule, source)
    seen = said or f"{len(found)} variables, in $LATEST the same"
    return Findings(asked.judged(not said, seen, otherwise="warn"), found)


@planner
def plan_environment(
    ops: Connection, function: str, name: str, value: str = "", remove: bool = False
) -> Planned:
    """Set or remove one variable, the others kept; publish.

    Move the alias there, since only $LATEST changes otherwise. Without an alias $LATEST is what
    runs, and is all that changes. Raises UsageError (no such name can be), Refused (a secret;
    unreleased code in $LATEST; the alias splits traffic).
    """
    release = Release.begin(Function(ops, function))
    before, served = (variables(of).get(name) for of in (release.latest, release.live))
    _refuse_name(name, value or before or "")
    wanted = None if remove else value
    size = len(json.dumps(variables(release.latest) | {name: wanted or ""}).encode())
    if size > _MOST_BYTES and wanted:
        raise UsageError(
            f"With {name} the environment of {release.name} has {size:,} bytes, and Lambda takes "
            f"{_MOST_BYTES:,}. Nothing was changed. What is long belongs into a parameter or an "
            "object whose name the function is given."
        )
    steps = release.steps(
        f"Change {name} of {release.name}, the other variables kept",
        _put(release, name, wanted, RevisionId=release.latest["RevisionId"]),
        _put(release, name, before),
        (name,),
        f"not_null(Environment.Variables.\"{name}\", 'not set')",
        *map(_told, (before, served, wanted)),
    )
    done = f"remove {name} from" if remove else f"set {name}={value} on"
    already = (
        f"{name} is {_told(wanted)} already, on $LATEST and on version {release.live['Version']}."
    )
    return Planned(f"{done} {release.name}", steps, [] if steps else [already])


def _refuse_name(name: str, value: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]+", name) or name.startswith(("AWS_", "LAMBDA_")):
        raise UsageError(
            f"name={name!r} cannot be a variable of a Lambda function: "
            "letters, digits and _, not AWS_… or LAMBDA_…."
        )
    if names_a_secret(name, value):
        redaction.register(value, name)
        raise Refused(
            f"{name} looks like a secret: a plan shows and keeps its values. Nothing was changed; "
            "put it into Secrets Manager and give the function its ARN."
        )


def _told(value: str | None) -> str:
    return "not set" if value is None else value


def _put(release: Release, name: str, value: str | None, **guard: str) -> Action:
    put, drop = ({}, (name,)) if value is None else ({name: value}, ())
    write = release.call(UPDATE, **guard)
    return Merge(release.read(_VARIABLES), write, _VARIABLES, put=put, drop=drop)
