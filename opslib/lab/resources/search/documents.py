"""Documents in the stand-in for OpenSearch: found, read, written."""

from collections.abc import Sequence

from opslib.lab.resources.search import indices
from opslib.lab.resources.search.asked import Asked, Json, Problem, index
from opslib.lab.resources.search.indices import Index, Unavailable
from opslib.lab.resources.search.queries import matches

_WINDOW = 10_000
_SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


def count(asked: Asked) -> Json:
    found, wanted = index(asked, asked.names[0], read=True), asked.json().get("query")
    hits = sum(matches(wanted, id, each) for id, each in found["documents"].items())
    return {"count": hits, "_shards": _SHARDS}


def search(asked: Asked) -> Json:
    name, given = asked.names[0], {**asked.query, **asked.json()}
    found, wanted = index(asked, name, read=True), given.get("query")
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
    found, name = index(asked, asked.names[0], read=True), asked.names[0]
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
