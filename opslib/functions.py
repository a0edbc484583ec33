"""Lambda functions: configuration, versions, the alias that is live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib._actions import aws, read
from opslib._frames import UTC_TIME, frame
from opslib.errors import Refused, unknown_name
from opslib.plans import Step, planner

if TYPE_CHECKING:
    import pandas as pd

    from opslib.connections import Connection

VERSIONS = {"version": "str", "live": "bool", "published": UTC_TIME, "description": "str", "code_sha256": "str"}


def list_versions(ops: Connection, function: str) -> pd.DataFrame:
    """The published versions, newest first (Lambda ListVersionsByFunction). Columns: VERSIONS."""
    facts = ops.target["functions"][function]
    live = live_version(ops, function)
    found = ops.pages("lambda", "list_versions_by_function", "Versions[]", FunctionName=facts["name"])
    rows = [
        {
            "version": v["Version"],
            "live": v["Version"] == live,
            "published": v["LastModified"],
            "description": v.get("Description", ""),
            "code_sha256": v["CodeSha256"],
        }
        for v in found
        if v["Version"] != "$LATEST"
    ]
    return frame(sorted(rows, key=lambda row: -int(row["version"])), VERSIONS)


def live_version(ops: Connection, function: str) -> str:
    """The version that the target's alias of this function points to (Lambda GetAlias)."""
    facts = ops.target["functions"][function]
    alias = ops.call("lambda", "get_alias", FunctionName=facts["name"], Name=facts["alias"])
    return str(alias["FunctionVersion"])


@planner
def plan_rollback(ops: Connection, function: str, to: str = "") -> tuple[str, list[Step], list[str]]:
    """Point the alias to an earlier version: the newest published before the live one, or `to`.

    Raises UsageError (no such version), Refused (no earlier version).
    """
    facts = ops.target["functions"][function]
    name, alias = facts["name"], facts["alias"]
    present = ops.call("lambda", "get_alias", FunctionName=name, Name=alias)
    live, versions = present["FunctionVersion"], list_versions(ops, function)
    earlier = [v for v in versions["version"] if int(v) < int(live)]
    if to and to not in set(versions["version"]):
        raise unknown_name("version", to, versions["version"], f" of {name}")
    if not to and not earlier:
        raise Refused(f"{name} has no version before {live}, which is live. Nothing was changed.")
    wanted = to or earlier[0]
    if wanted == live:
        return f"{name} stays at version {live}", [], [f"Alias {alias} points to version {live} already."]
    move = {"FunctionName": name, "Name": alias}
    step = Step(
        title=f"Alias {alias} of {name}: version {live} to {wanted}",
        do=aws("lambda", "update_alias", **move, FunctionVersion=wanted, RevisionId=present["RevisionId"]),
        before=live,
        after=wanted,
        undo=[aws("lambda", "update_alias", **move, FunctionVersion=live)],
        observe=read("lambda", "get_alias", "FunctionVersion", **move),
    )
    return f"roll {name} back to version {wanted}", [step], []
