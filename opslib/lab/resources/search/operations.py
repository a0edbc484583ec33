"""What the stand-in for OpenSearch answers, as OpenSearch does: its few operations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources.search import indices
from opslib.lab.resources.search.indices import Index, Unavailable
from opslib.lab.resources.search.queries import matches

Json = dict[str, Any]
_BYTES = 2_900  # of a document on a disk
_WINDOW = 10_000
_NODES = ("node-1", "node-2")
_ROOM = 20 * 1024**3


class Problem(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, kind: str, reason: str, index: str = "") -> None:
        super().__init__(reason)
        self.status, self.kind, self.reason, self.index = status, kind, reason, index

    def cause(self) -> Json:
        about = {"index": self.index} if self.index else {}
        return {"type": self.kind, "reason": self.reason, **about}

    def told(self) -> Json:
        return {"error": {"root_cause": [self.cause()], **self.cause()}, "status": self.status}


@dataclass
class Asked:
    """A request: what its path names, its query, its body."""

    place: Place
    names: tuple[str | Any, ...]
    query: dict[str, str]
    body: bytes

    def json(self) -> Json:
        try:
            return dict(json.loads(self.body or b"{}"))
        except ValueError as exc:
            raise Problem(400, "json_parse_exception", str(exc)) from exc

    @property
    def state(self) -> Json:
        return indices.held(self.place)

    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]


def _missing(name: str) -> Problem:
    return Problem(404, "index_not_found_exception", f"no such index [{name}]", name)


def _index(asked: Asked, name: str, read: bool = False) -> Index:
    """An index; `read`: one that can be read now."""
    found = indices.index_of(asked.place, name)
    if found is None:
        raise _missing(name)
    real = indices.resolved(asked.place, name)
    if read and found["closed"]:
        raise Problem(400, "index_closed_exception", "closed", real)
    if read and indices.colour(asked.place, real) == "red":
        raise Problem(503, "search_phase_execution_exception", "all shards failed", real)
    return found


def _writable(asked: Asked, name: str) -> None:
    if why := indices.refused(asked.place, name):
        raise Problem(why.status, why.kind, why.reason, indices.resolved(asked.place, name))


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


def _settings_of(asked: Asked, name: str, each: Index) -> Json:
    fault = asked.state["fault"].get("blocks", {})
    blocks = {"blocks": {fault[name]: "true"}} if name in fault else {}
    about = {"uuid": each["uuid"], "creation_date": str(each["created"]), "provided_name": name}
    return {"settings": {"index": {**each["settings"], **about, **blocks}}}


def settings(asked: Asked) -> Json:
    name = asked.names[0]
    if name and name != "_all":
        _index(asked, name)
        name = indices.resolved(asked.place, name)
    return {
        key: _settings_of(asked, key, each)
        for key, each in asked.state["indices"].items()
        if name in (None, "_all", key)
    }


def mapping(asked: Asked) -> Json:
    found = _index(asked, asked.names[0])
    return {indices.resolved(asked.place, asked.names[0]): {"mappings": found["mappings"]}}


def get_index(asked: Asked) -> Json:
    found, name = _index(asked, asked.names[0]), indices.resolved(asked.place, asked.names[0])
    aliases: Json = {key: {} for key, of in asked.state["aliases"].items() if of == name}
    return {
        name: {
            "aliases": aliases,
            "mappings": found["mappings"],
            **_settings_of(asked, name, found),
        }
    }


def create_index(asked: Asked) -> Json:
    name, given = asked.names[0], asked.json()
    if indices.index_of(asked.place, name):
        reason = f"index [{name}] already exists"
        raise Problem(400, "resource_already_exists_exception", reason, name)
    if name != name.lower() or name[0] in "_-+":
        raise Problem(400, "invalid_index_name_exception", f"Invalid index name [{name}]", name)
    indices.made(asked.place, name, given.get("mappings"), given.get("settings", {}).get("index"))
    return {"acknowledged": True, "shards_acknowledged": True, "index": name}


def delete_index(asked: Asked) -> Json:
    name = asked.names[0]
    if name in asked.state["aliases"]:
        reason = f"The provided expression [{name}] matches an alias, specify the corresponding "
        raise Problem(400, "illegal_argument_exception", f"{reason}concrete indices instead.")
    _index(asked, name)
    del asked.state["indices"][name]
    for alias, of in [*asked.state["aliases"].items()]:
        if of == name:
            del asked.state["aliases"][alias]
    return {"acknowledged": True}


_SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


def count(asked: Asked) -> Json:
    found, wanted = _index(asked, asked.names[0], read=True), asked.json().get("query")
    hits = sum(matches(wanted, id, each) for id, each in found["documents"].items())
    return {"count": hits, "_shards": _SHARDS}


def search(asked: Asked) -> Json:
    name, given = asked.names[0], {**asked.query, **asked.json()}
    found, wanted = _index(asked, name, read=True), given.get("query")
    hits = [id for id, each in found["documents"].items() if matches(wanted, id, each)]
    size, at = int(given.get("size", 10)), int(given.get("from", 0))
    if size + at > _WINDOW:
        reason = (
            f"Result window is too large, from + size must be less than or equal to: [{_WINDOW}]"
        )
        raise Problem(400, "illegal_argument_exception", f"{reason} but was [{size + at}]")
    page = hits[at : at + size]
    told = _page(asked, name, page, len(hits), given.get("_source", True) is not False)
    if "scroll" in given:
        scrolls = asked.place.memory.setdefault("scrolls", {})
        scrolls[key := f"lab-scroll-{len(scrolls)}"] = (name, hits, size, size)
        told["_scroll_id"] = key
    return told


def _page(asked: Asked, name: str, ids: Sequence[str], total: int, source: bool) -> Json:
    real = indices.resolved(asked.place, name)
    documents = asked.state["indices"][real]["documents"]
    hits = [
        {
            "_index": real,
            "_id": id,
            "_score": None,
            **({"_source": documents[id]} if source else {}),
        }
        for id in ids
        if id in documents
    ]
    shown = {"value": min(total, _WINDOW), "relation": "gte" if total > _WINDOW else "eq"}
    return {
        "took": 3,
        "timed_out": False,
        "_shards": _SHARDS,
        "hits": {"total": shown, "hits": hits},
    }


def scroll(asked: Asked) -> Json:
    key, scrolls = asked.json()["scroll_id"], asked.place.memory.get("scrolls", {})
    if key not in scrolls:
        raise Problem(404, "search_context_missing_exception", "No search context found for id [1]")
    name, hits, size, at = scrolls[key]
    scrolls[key] = (name, hits, size, at + size)
    if at >= len(hits):
        del scrolls[key]
    return _page(asked, name, hits[at : at + size], len(hits), False) | {"_scroll_id": key}


def mget(asked: Asked) -> Json:
    found, name = _index(asked, asked.names[0], read=True), asked.names[0]
    real, held = indices.resolved(asked.place, name), found["documents"]
    return {
        "docs": [
            {"_index": real, "_id": id, "found": id in held}
            | ({"_source": held[id]} if id in held else {})
            for id in asked.json().get("ids", ())
        ]
    }


def bulk(asked: Asked) -> Json:
    lines, items = iter(asked.lines()), []
    for line in lines:
        ((kind, about),) = line.items()
        name, id = str(about.get("_index") or asked.names[0]), str(about["_id"])
        source = next(lines) if kind != "delete" else None
        items.append({kind: {"_index": name, "_id": id, **_one(asked, kind, name, id, source)}})
    failed = any("error" in each for item in items for each in item.values())
    return {"took": 9, "errors": failed, "items": items}


def _one(asked: Asked, kind: str, name: str, id: str, source: Json | None) -> Json:
    found = indices.index_of(asked.place, name)
    if kind == "create" and found and id in found["documents"]:
        reason = f"[{id}]: version conflict, document already exists (current version [1])"
        return _failed(409, "version_conflict_engine_exception", reason)
    try:
        if kind == "delete":
            gone = indices.forget(asked.place, name, id)
            return {"status": 200 if gone else 404, "result": "deleted" if gone else "not_found"}
        if wrong := _wrong(found, source or {}):
            return _failed(400, "mapper_parsing_exception", wrong)
        indices.put(asked.place, name, id, source or {})
    except Unavailable as exc:
        return _failed(exc.status, exc.kind, exc.reason)
    return {"status": 201, "result": "created"}


def _failed(status: int, kind: str, reason: str) -> Json:
    return {"status": status, "error": {"type": kind, "reason": reason}}


def _wrong(index: Index | None, source: Json) -> str:
    """A field whose value the mapping does not take."""
    known = (index or {}).get("mappings", {}).get("properties", {})
    for name, value in source.items():
        kind = known.get(name, {}).get("type")
        if kind in ("long", "integer") and not str(value).lstrip("-").isdigit():
            return f"failed to parse field [{name}] of type [{kind}]"
        if kind == "date" and not str(value)[:4].isdigit():
            return f"failed to parse field [{name}] of type [date]"
    return ""


def update_aliases(asked: Asked) -> Json:
    for action in asked.json().get("actions", ()):
        ((kind, about),) = action.items()
        if kind == "remove":
            if asked.state["aliases"].get(about["alias"]) != about["index"]:
                reason = f"aliases [{about['alias']}] missing"
                raise Problem(404, "aliases_not_found_exception", reason)
            del asked.state["aliases"][about["alias"]]
        else:
            _index(asked, about["index"])
            asked.state["aliases"][about["alias"]] = about["index"]
    return {"acknowledged": True}


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
    from re import sub

    repository, name = asked.names
    told = snapshots(asked)["snapshots"][0]
    kept, given = asked.state["snapshots"][repository][name], asked.json()
    wanted = str(given.get("indices", "*")).split(",")
    chosen = [key for key in kept["indices"] if any(fnmatchcase(key, each) for each in wanted)]
    if not chosen:
        raise _missing(wanted[0])
    for key in chosen:
        new = sub(
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


Operation = Callable[[Asked], Any]
_NAME = r"/([^/_][^/]*)"
ROUTES: tuple[tuple[str, str, Operation], ...] = (
    ("GET|HEAD", r"/?", banner),
    ("GET", r"/_cluster/health(?:/([^/]+))?", health),
    ("GET", r"/_cat/indices(?:/([^/]+))?", cat_indices),
    ("GET", r"/_cat/shards", cat_shards),
    ("GET", r"/_cat/aliases", cat_aliases),
    ("GET", r"/_cat/allocation", cat_allocation),
    ("GET|POST", r"/_cluster/allocation/explain", explain),
    ("GET", r"(?:/([^/]+))?/_settings", settings),
    ("GET", rf"{_NAME}/_mapping", mapping),
    ("GET|POST", rf"{_NAME}/_count", count),
    ("GET|POST", r"/_search/scroll", scroll),
    ("GET|POST", rf"{_NAME}/_search", search),
    ("GET|POST", rf"{_NAME}/_mget", mget),
    ("POST", rf"(?:{_NAME})?/_bulk", bulk),
    ("POST", r"/_aliases", update_aliases),
    ("GET", r"/_tasks", tasks),
    ("GET", r"/_snapshot(?:/_all)?", repositories),
    ("GET", r"/_snapshot/([^/]+)/([^/]+)", snapshots),
    ("POST", r"/_snapshot/([^/]+)/([^/]+)/_restore", restore),
    ("GET|HEAD", _NAME, get_index),
    ("PUT", _NAME, create_index),
    ("DELETE", _NAME, delete_index),
)
