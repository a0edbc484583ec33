"""Releasing a function's configuration: changed in $LATEST, published as a version, and the alias moved to that one.

Only $LATEST can be changed, and what calls an alias goes on without it. A function without an alias runs $LATEST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from opslib import _configurations
from opslib._actions import Action, aws, read, result, wait
from opslib.errors import Refused
from opslib.plans import Step

if TYPE_CHECKING:
    from opslib.connections import Connection

GET = "get_function_configuration"


class Change(NamedTuple):
    """Variables or settings that are changed, what the live version says of them before, and after."""

    names: tuple[str, ...]
    before: Any
    after: Any


def find_alias(ops: Connection, function: str) -> dict[str, Any] | None:
    """The target's alias of this function (Lambda GetAlias); None when its file names none: $LATEST is what runs."""
    facts = ops.target["functions"][function]
    if "alias" not in facts:
        return None
    return ops.call("lambda", "get_alias", FunctionName=facts["name"], Name=facts["alias"])


def both(ops: Connection, function: str, alias: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration that runs, and that of $LATEST."""
    latest = _configurations.read(ops, function)
    return (_configurations.read(ops, function, alias["FunctionVersion"]) if alias else latest), latest


def refuse(function: str, alias: dict[str, Any] | None, live: dict[str, Any], latest: dict[str, Any]) -> None:
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
    return wait("lambda", GET, "LastUpdateStatus", pending=["InProgress"], expect=["Successful"],
                timeout_seconds=300, FunctionName=function)  # fmt: skip


def settle(function: str) -> Step:
    return Step("Wait until Lambda has taken it over", settled(function), undo=[])


def steps(
    function: str, alias: dict[str, Any], live: dict[str, Any], latest: dict[str, Any], change: Change, path: str
) -> list[Step]:  # fmt: skip
    """Publish $LATEST and move the alias there. `path`: where GetFunctionConfiguration says what was changed (JMESPath)."""
    number, what = live["Version"], ", ".join(change.names)
    also = _configurations.differences(live, latest, besides=change.names)
    move = {"FunctionName": function, "Name": alias["Name"]}
    return [
        Step(f"Publish $LATEST of {function}: the code of version {number}",
             aws("lambda", "publish_version", FunctionName=function, CodeSha256=latest["CodeSha256"], Description=live.get("Description", "")),
             before=f"version {number}",
             after=f"as version {number}, but for {what}" + (f"; AND ALSO CHANGED IN $LATEST: {'; '.join(also)}" if also else ""),
             undo=[], name="published"),
        Step(f"Alias {alias['Name']} of {function}: from version {number} to that one",
             aws("lambda", "update_alias", **move, FunctionVersion=result("published.Version"), RevisionId=alias["RevisionId"]),
             before=change.before, after=change.after,
             undo=[aws("lambda", "update_alias", **move, FunctionVersion=number)],
             observe=read("lambda", GET, path, FunctionName=function, Qualifier=alias["Name"])),
    ]  # fmt: skip
