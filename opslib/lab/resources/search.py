"""What the lab's stand-in for OpenSearch holds: indices with their documents, in the place's memory.

It is a stand-in: no Lucene, no nodes. A fault takes documents from it, or makes it refuse them.
"""

from __future__ import annotations

from typing import Any

from opslib.lab.places import Place

__all__ = ["Unavailable", "count", "forget", "held", "index_of", "put"]


class Unavailable(Exception):
    """A write that the index did not take, in OpenSearch's words."""


def held(place: Place) -> dict[str, Any]:
    """The indices by name, the aliases, the snapshots, and what is wrong: `fault`."""
    made: dict[str, Any] = place.memory.setdefault(
        "search", {"indices": {}, "aliases": {}, "snapshots": {}, "fault": {}}
    )
    return made


def index_of(place: Place, index: str) -> dict[str, Any] | None:
    """An open or closed index by its name or an alias of it; None where there is none."""
    all_of_it = held(place)
    found: dict[str, Any] | None = all_of_it["indices"].get(all_of_it["aliases"].get(index, index))
    return found


def put(place: Place, index: str, id: str, document: dict[str, Any]) -> None:
    """Writes a document, over the one of that id. An index that is missing is made, as OpenSearch
    does. Raises Unavailable.
    """
    fault = held(place)["fault"]
    if "refuses" in fault:
        raise Unavailable(str(fault["refuses"]))
    found = index_of(place, index)
    if found is None:
        found = held(place)["indices"][index] = {"documents": {}}
    found["documents"][str(id)] = dict(document)


def forget(place: Place, index: str, id: str) -> bool:
    """Deletes a document; whether it was there. Raises Unavailable."""
    fault = held(place)["fault"]
    if "refuses" in fault:
        raise Unavailable(str(fault["refuses"]))
    found = index_of(place, index)
    return found is not None and found["documents"].pop(str(id), None) is not None


def count(place: Place, index: str) -> int:
    """How many documents an index holds; 0 where there is none."""
    found = index_of(place, index)
    return len(found["documents"]) if found else 0
