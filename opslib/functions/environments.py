"""Environments of Lambda functions: what is set, and setting one variable with the others kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws, Merge, Read
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import functions
from opslib.core.reads.functions import ABSENT, VARIABLES
from opslib.core.tables import frame
from opslib.functions import configurations, releases

if TYPE_CHECKING:
    import pandas as pd


def list_variables(ops: Connection, function: str) -> pd.DataFrame:
    """The environment of the live version and of $LATEST; values that look secret by their name are hidden. Columns: VARIABLES."""
    facts = ops.target["functions"][function]
    live = functions.variables(functions.live(ops, function))
    latest = functions.variables(functions.read_configuration(ops, function))
    described = set(facts.get("variables", ()))
    rows = [
        {
            "variable": name,
            "live": configurations.shown(name, live, latest),
            "latest": configurations.shown(name, latest, live),
            "described": name in described,
        }
        for name in sorted(live.keys() | latest.keys() | described)
    ]
    return frame(rows, VARIABLES)


@check("Is every variable set, and the same in the next version?")
def check_variables(ops: Connection, function: str) -> Findings:
    """A function's environment: described variables that are not set, and those in which $LATEST differs. Evidence: VARIABLES."""
    found, name = list_variables(ops, function), ops.target["functions"][function]["name"]
    absent = found[found["described"] & (found["live"] == ABSENT)]["variable"]
    differing = found[(found["live"] != found["latest"]) | found["live"].str.endswith(", differs")][
        "variable"
    ]
    said = [f"not set: {', '.join(absent)}"] if len(absent) else []
    said += [f"not the same in $LATEST: {', '.join(differing)}"] if len(differing) else []
    seen = "; ".join(said) or f"{len(found)} variables, in $LATEST the same"
    return Findings(
        [
            Finding(
                "warn" if said else "ok",
                f"variables of {function}",
                seen,
                "all described ones set, no difference",
                f"lambda GetFunctionConfiguration of {name}",
            )
        ],
        found,
    )


@planner
def plan_environment(
    ops: Connection, function: str, name: str, value: str = "", remove: bool = False
) -> Planned:
    """Set or remove one variable, the others kept; publish; move the alias there, since only $LATEST changes otherwise.

    Without an alias $LATEST is what runs, and is all that changes.
    Raises UsageError (no such name can be), Refused (a secret; unreleased code in $LATEST; the alias splits traffic).
    """
    known, alias = ops.target["functions"][function]["name"], functions.find_alias(ops, function)
    live, latest = releases.both(ops, function, alias)
    _refuse_name(name, value or functions.variables(latest).get(name, ""))
    releases.refuse(known, alias, live, latest)
    wanted, steps = None if remove else value, []
    if functions.variables(latest).get(name) != wanted:
        steps += _variable_steps(known, name, wanted, latest)
    served = functions.variables(live).get(name)
    if alias and (steps or served != wanted):
        change = releases.Change((name,), _plain(served), _plain(wanted))
        steps += releases.steps(known, alias, live, latest, change, _observed(name))
    done = f"remove {name} from" if remove else f"set {name}={value} on"
    notes = (
        []
        if steps
        else [f"{name} is {_plain(wanted)} already, on $LATEST and on version {live['Version']}."]
    )
    return Planned(f"{done} {known}", steps, notes)


def _refuse_name(name: str, value: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]+", name) or name.startswith(("AWS_", "LAMBDA_")):
        raise UsageError(
            f"name={name!r} cannot be a variable of a Lambda function: letters, digits and _, not AWS_… or LAMBDA_…."
        )
    if functions.is_secret(name, value):
        raise Refused(
            f"{name} looks like a secret: a plan shows and keeps its values. Nothing was changed; "
            "put it into Secrets Manager and give the function its ARN."
        )


def _plain(value: str | None) -> str:
    return "not set" if value is None else value


def _observed(name: str) -> str:
    return f"not_null(Environment.Variables.\"{name}\", 'not set')"


def _variable_steps(
    function: str, name: str, wanted: str | None, latest: dict[str, Any]
) -> list[Step]:
    before = functions.variables(latest).get(name)
    at = {"FunctionName": function}
    present = Read("lambda", "get_function_configuration", "Environment.Variables", **at)
    write = Aws("lambda", "update_function_configuration", **at)
    guarded = Aws("lambda", "update_function_configuration", **at, RevisionId=latest["RevisionId"])

    def put(value: str | None, write: Aws) -> Merge:
        kept, dropped = ({}, (name,)) if value is None else ({name: value}, ())
        return Merge(present, write, "Environment.Variables", put=kept, drop=dropped)

    return [
        Step(
            f"Change {name} of {function}, the other variables kept",
            put(wanted, guarded),
            before=_plain(before),
            after=_plain(wanted),
            undo=[put(before, write), releases.settled(function)],
            observe=Read("lambda", "get_function_configuration", _observed(name), **at),
        ),
        releases.settle(function),
    ]
