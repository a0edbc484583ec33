"""Snapshots of the stand-in for OpenSearch, and what is restored from them."""

import re
from fnmatch import fnmatchcase
from typing import Any

from opslib.lab.resources.search import indices
from opslib.lab.resources.search.asked import Asked, Json, Problem, missing
from opslib.lab.resources.search.indices import Index


def repositories(asked: Asked) -> Json:
    return {
        name: {"type": "s3", "settings": {"bucket": "of AWS's own", "compress": "true"}}
        for name in asked.state["snapshots"]
    }


def snapshots(asked: Asked) -> Json:
    repository, name = asked.names
    if repository not in asked.state["snapshots"]:
        raise Problem(404, "repository_missing_exception", f"[{repository}] missing")
    found = asked.state["snapshots"][repository]
    if name != "_all" and name not in found:
        raise Problem(404, "snapshot_missing_exception", f"[{repository}:{name}] is missing")
    return {"snapshots": [_snapshot(k, each) for k, each in found.items() if name in ("_all", k)]}


def _snapshot(name: str, each: Json) -> Json:
    taken, shards = int(each["taken"].timestamp() * 1000), len(each["indices"])
    failed = shards if each["state"] == "FAILED" else int(each["state"] == "PARTIAL")
    return {
        "snapshot": name,
        "uuid": name[-8:],
        "version": "2.19.0",
        "indices": [*each["indices"]],
        "include_global_state": True,
        "state": each["state"],
        "start_time": each["taken"].isoformat(),
        "start_time_in_millis": taken,
        "end_time_in_millis": taken + 41_000,
        "failures": [],
        "shards": {"total": shards, "failed": failed, "successful": shards - failed},
    }


def restore(asked: Asked) -> Json:
    repository, name = asked.names
    told = snapshots(asked)["snapshots"][0]
    kept, given = asked.state["snapshots"][repository][name], asked.json()
    wanted = str(given.get("indices", "*")).split(",")
    chosen = [key for key in kept["indices"] if any(fnmatchcase(key, each) for each in wanted)]
    if not chosen:
        raise missing(wanted[0])
    for key in chosen:
        new = re.sub(
            given.get("rename_pattern", "^$"),
            str(given.get("rename_replacement", "")).replace("$1", r"\1"),
            key,
        )
        there = indices.index_of(asked.place, new)
        if there and not there["closed"]:
            reason = (
                f"[{repository}:{told['snapshot']}/{told['uuid']}] cannot restore index [{new}] "
                "because an open index with same name already exists in the cluster. Either close "
                "or delete the existing index or restore the index under a different name by "
                "providing a rename pattern and replacement name"
            )
            raise Problem(500, "snapshot_restore_exception", reason)
        _restored(asked, new, kept["indices"][key], kept["taken"])
    return {"accepted": True}


def _restored(asked: Asked, name: str, kept: Index, taken: Any) -> None:
    index = indices.made(asked.place, name, kept["mappings"], kept["settings"])
    made = taken.isoformat()
    index["documents"] = {
        id: each
        for id, each in kept["documents"].items()
        if str(each.get("createdAt", each.get("created_at", ""))) <= made
    }
