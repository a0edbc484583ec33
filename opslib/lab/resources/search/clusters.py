"""What the stand-in for OpenSearch says of its cluster: colours, shards, disks, searches."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from opslib.lab.resources.search import indices
from opslib.lab.resources.search.asked import Asked, Json, Problem
from opslib.lab.resources.search.indices import Index

_BYTES = 2_900  # of a document on a disk
_NODES = ("node-1", "node-2")
_ROOM = 20 * 1024**3


def banner(asked: Asked) -> Json:
    version = {"distribution": "opensearch", "number": "2.19.0", "lab": "a stand-in"}
    name = f"the lab's stand-in for OpenSearch ({asked.place.name})"
    return {
        "name": _NODES[0],
        "cluster_name": name,
        "version": version,
        "tagline": "The lab's stand-in for the OpenSearch Project: https://opensearch.org/",
    }


def _copies(index: Index, what: str) -> int:
    return int(index["settings"][f"number_of_{what}"])


def health(asked: Asked) -> Json:
    state, name = asked.state, asked.names[0] or ""
    chosen = {
        key: each
        for key, each in state["indices"].items()
        if name in ("", key) or state["aliases"].get(name) == key
    }
    lost = [each for each in state["fault"].get("unassigned", ()) if each["index"] in chosen]
    primaries = sum(_copies(each, "shards") for each in chosen.values())
    shards = sum(_copies(e, "shards") * (1 + _copies(e, "replicas")) for e in chosen.values())
    colour = indices.colour(asked.place, *chosen) if len(chosen) == 1 else None
    colours = {key: indices.colour(asked.place, key) for key in chosen}
    worst = max(colours.values(), key=["green", "yellow", "red"].index, default="green")
    nodes = int(state["fault"].get("nodes", len(_NODES)))
    if name and not chosen:
        worst = "red"
    return {
        "cluster_name": f"{asked.place.account}:stand-in",
        "status": colour or worst,
        "timed_out": bool(name and not chosen),
        "number_of_nodes": nodes,
        "number_of_data_nodes": nodes,
        "active_primary_shards": primaries - sum(each["prirep"] == "p" for each in lost),
        "active_shards": shards - len(lost),
        "relocating_shards": 0,
        "initializing_shards": sum("initializing" in each for each in lost),
        "unassigned_shards": len(lost),
        "delayed_unassigned_shards": 0,
        "active_shards_percent_as_number": 100.0 * (shards - len(lost)) / shards if shards else 100,
        "indices": {key: {"status": colours[key]} for key in chosen},
    }


def cat_indices(asked: Asked) -> list[Json]:
    return [
        {
            "health": None if each["closed"] else indices.colour(asked.place, name),
            "status": "close" if each["closed"] else "open",
            "index": name,
            "uuid": each["uuid"],
            "pri": str(_copies(each, "shards")),
            "rep": str(_copies(each, "replicas")),
            "docs.count": None if each["closed"] else str(len(each["documents"])),
            "store.size": None if each["closed"] else str(208 + _BYTES * len(each["documents"])),
        }
        for name, each in sorted(asked.state["indices"].items())
        if not asked.names[0] or fnmatchcase(name, asked.names[0])
    ]


def cat_shards(asked: Asked) -> list[Json]:
    return [*_shards(asked)]


def _shards(asked: Asked) -> Iterator[Json]:
    lost = {
        (each["index"], each["prirep"]): each for each in asked.state["fault"].get("unassigned", ())
    }
    for name, each in sorted(asked.state["indices"].items()):
        for number in range(_copies(each, "shards")):
            for copy in range(1 + _copies(each, "replicas")):
                kind = "r" if copy else "p"
                about = {"index": name, "shard": str(number), "prirep": kind}
                why = lost.get((name, kind))
                at = {"state": "STARTED", "node": _NODES[copy % 2], "unassigned.reason": None}
                if why:
                    reason = {"unassigned.reason": why["reason"]}
                    at = {"state": "UNASSIGNED", "node": None, **reason}
                yield {**about, **at}


def cat_aliases(asked: Asked) -> list[Json]:
    return [{"alias": name, "index": of} for name, of in sorted(asked.state["aliases"].items())]


def cat_allocation(asked: Asked) -> list[Json]:
    percent = int(asked.state["fault"].get("disk_percent", 24))
    used = str(_ROOM * percent // 100)
    about = {"disk.total": str(_ROOM), "disk.used": used, "disk.percent": str(percent)}
    return [{"node": node, **about} for node in _NODES]


def explain(asked: Asked) -> Json:
    given, lost = asked.json(), asked.state["fault"].get("unassigned", ())
    for each in lost:
        wanted = {"index": each["index"], "primary": each["prirep"] == "p"}
        if all(given.get(key, value) == value for key, value in wanted.items()):
            decision = {"decider": each["decider"], "decision": "NO"}
            return {
                "index": each["index"],
                "shard": 0,
                "primary": each["prirep"] == "p",
                "current_state": "unassigned",
                "unassigned_info": {"reason": each["reason"], "at": each["at"]},
                "can_allocate": each["can_allocate"],
                "allocate_explanation": each["explanation"],
                "node_allocation_decisions": [
                    {
                        "node_name": node,
                        "node_decision": "no",
                        "deciders": [{**decision, "explanation": each["decided"]}],
                    }
                    for node in _NODES[: int(asked.state["fault"].get("nodes", 2))]
                ],
            }
    raise Problem(
        400,
        "illegal_argument_exception",
        "unable to find any unassigned shards to explain [ClusterAllocationExplainRequest["
        "useAnyUnassignedShard=true,includeYesDecisions?=false]",
    )


def tasks(asked: Asked) -> Json:
    """The searches that run."""
    told = {
        f"node-1:{at}": {
            "node": "node-1",
            "id": at,
            "action": "indices:data/read/search",
            "description": f"indices[{each['index']}], search_type[QUERY_THEN_FETCH], "
            f"source[{each['source']}]",
            "running_time_in_nanos": int(each["seconds"] * 1e9),
            "cancellable": True,
        }
        for at, each in enumerate(asked.state["fault"].get("searching", ()), 4711)
    }
    return {"nodes": {"node-1": {"name": "node-1", "tasks": told}}} if told else {"nodes": {}}
