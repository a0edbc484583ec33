"""What the stand-in for OpenSearch holds, in the place's memory: indices with their documents.

What is wrong with it is one mapping, `fault`:

unassigned  shards that no node holds: {index, shard, prirep, reason, explanation}
blocks      by index: the block that a write meets (`read_only_allow_delete`)
refuses     why no write is taken
searching   searches that run: {index, seconds, source}
denied      what fine-grained access control forbids everybody
"""

import uuid
from collections.abc import Mapping
from typing import Any

from opslib.lab.places import Place

Index = dict[str, Any]
_BLOCKS = {
    "read_only_allow_delete": "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, "
    "index has read-only-allow-delete block",
    "write": "FORBIDDEN/8/index write (api)",
    "read_only": "FORBIDDEN/5/index read-only (api)",
}


class Unavailable(Exception):
    """A write that was not taken, in OpenSearch's words: `type`, and the reason."""

    def __init__(self, kind: str, reason: str, status: int) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind, self.reason, self.status = kind, reason, status


def held(place: Place) -> dict[str, Any]:
    """All that it holds: indices by name, aliases, snapshots by repository, the fault."""
    empty: dict[str, Any] = {"indices": {}, "aliases": {}, "snapshots": {}, "fault": {}}
    made: dict[str, Any] = place.memory.setdefault("search", empty)
    return made


def made(place: Place, name: str, mappings: Any = None, settings: Any = None) -> Index:
    """A new, empty index. One that is there already is replaced."""
    every = held(place)["indices"]
    index = every[name] = {
        "uuid": uuid.uuid5(uuid.NAMESPACE_OID, f"{name}/{len(every)}/{place.now()}").hex[:22],
        "created": int(place.now().timestamp() * 1000),
        "mappings": mappings or {},
        "settings": {"number_of_shards": "1", "number_of_replicas": "1", **(settings or {})},
        "closed": False,
        "documents": {},
    }
    return index


def resolved(place: Place, name: str) -> str:
    """The index that an alias stands for, or the name itself."""
    return str(held(place)["aliases"].get(name, name))


def index_of(place: Place, name: str) -> Index | None:
    """An index, open or closed, by its name or its alias."""
    found: Index | None = held(place)["indices"].get(resolved(place, name))
    return found


def refused(place: Place, name: str) -> Unavailable | None:
    """Why a write to an index is not taken now."""
    fault, real = held(place)["fault"], resolved(place, name)
    if "refuses" in fault:
        return Unavailable("es_rejected_execution_exception", str(fault["refuses"]), 429)
    if block := fault.get("blocks", {}).get(real):
        status = 429 if block == "read_only_allow_delete" else 403
        reason = f"index [{real}] blocked by: [{_BLOCKS[block]}];"
        return Unavailable("cluster_block_exception", reason, status)
    lost = [each for each in fault.get("unassigned", ()) if each["prirep"] == "p"]
    if any(each["index"] == real for each in lost):
        reason = f"[{real}][0] primary shard is not active Timeout: [1m]"
        return Unavailable("unavailable_shards_exception", reason, 503)
    found = index_of(place, name)
    if found and found["closed"]:
        return Unavailable("index_closed_exception", "closed", 400)
    return None


def put(place: Place, index: str, id: str, document: Mapping[str, Any]) -> None:
    """Writes a document, over the one of that id; an index that is missing is made, as OpenSearch
    does. Raises Unavailable.
    """
    if why := refused(place, index):
        raise why
    found = index_of(place, index) or made(place, index)
    found["documents"][str(id)] = dict(document)


def forget(place: Place, index: str, id: str) -> bool:
    """Deletes a document; whether it was there. Raises Unavailable (not for a full disk: that block
    lets deletions through).
    """
    why = refused(place, index)
    if why and "read-only-allow-delete" not in why.reason:
        raise why
    found = index_of(place, index)
    return found is not None and found["documents"].pop(str(id), None) is not None


def count(place: Place, index: str) -> int:
    """How many documents an index holds; 0 where there is none."""
    found = index_of(place, index)
    return len(found["documents"]) if found else 0


def colour(place: Place, name: str = "") -> str:
    """Green, yellow or red: of an index, or of all of it."""
    lost = held(place)["fault"].get("unassigned", ())
    kinds = {each["prirep"] for each in lost if name in ("", each["index"])}
    return "red" if "p" in kinds else "yellow" if kinds else "green"
