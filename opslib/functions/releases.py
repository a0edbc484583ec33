"""Releasing a function's configuration: changed in $LATEST, published as a version, and the alias moved to that one.

Only $LATEST can be changed, and what calls an alias goes on without it. A function without an alias runs $LATEST.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused
from opslib.core.plans.actions import Action, Aws, Read, Wait, result
from opslib.core.plans.plans import Step
from opslib.core.reads import functions
from opslib.functions import configurations

GET = "get_function_configuration"


class Change(NamedTuple):
    """Variables or settings that are changed, what the live version says of them before, and after."""

    names: tuple[str, ...]
    before: Any
    after: Any


def both(
    ops: Connection, function: str, alias: dict[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration that runs, and that of $LATEST."""
    latest = functions.read_configuration(ops, function)
    return (
        functions.read_configuration(ops, function, alias["FunctionVersion"]) if alias else latest
    ), latest


def refuse(
    function: str, alias: dict[str, Any] | None, live: dict[str, Any], latest: dict[str, Any]
) -> None:
    """Raises Refused when publishing $LATEST would release other code, or a deployment is going on."""
    if alias and (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        raise Refused(
            f"Alias {alias['Name']} of {function} splits its traffic between versions: a deployment is going on. "
            "Nothing was changed; finish it, or functions/rollback."
        )
    if live["CodeSha256"] != latest["CodeSha256"]:
        raise Refused(
            f"$LATEST of {function} holds other code than version {live['Version']}, which is live: publishing it would "
            "release that code. Nothing was changed; deploy the change with the code, or put the live code back into $LATEST."
        )


def settled(function: str) -> Action:
    """Until Lambda has taken a change of $LATEST over."""
    return Wait(
        "lambda",
        GET,
        "LastUpdateStatus",
        pending=["InProgress"],
        expect=["Successful"],
        timeout_seconds=300,
        FunctionName=function,
    )


def settle(function: str) -> Step:
    return Step("Wait until Lambda has taken it over", settled(function), undo=[])


def steps(
    function: str,
    alias: dict[str, Any],
    live: dict[str, Any],
    latest: dict[str, Any],
    change: Change,
    path: str,
) -> list[Step]:
    """Publish $LATEST and move the alias there. `path`: where GetFunctionConfiguration says what was changed (JMESPath)."""
    number, what = live["Version"], ", ".join(change.names)
    also = configurations.differences(live, latest, besides=change.names)
    move = {"FunctionName": function, "Name": alias["Name"]}
    return [
        Step(
            f"Publish $LATEST of {function}: the code of version {number}",
            Aws(
                "lambda",
                "publish_version",
                FunctionName=function,
                CodeSha256=latest["CodeSha256"],
                Description=live.get("Description", ""),
            ),
            before=f"version {number}",
            after=f"as version {number}, but for {what}"
            + (f"; AND ALSO CHANGED IN $LATEST: {'; '.join(also)}" if also else ""),
            undo=[],
            name="published",
        ),
        Step(
            f"Alias {alias['Name']} of {function}: from version {number} to that one",
            Aws(
                "lambda",
                "update_alias",
                **move,
                FunctionVersion=result("published.Version"),
                RevisionId=alias["RevisionId"],
            ),
            before=change.before,
            after=change.after,
            undo=[Aws("lambda", "update_alias", **move, FunctionVersion=number)],
            observe=Read("lambda", GET, path, FunctionName=function, Qualifier=alias["Name"]),
        ),
    ]
