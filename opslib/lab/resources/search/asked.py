"""A request to the stand-in for OpenSearch, and what goes wrong with it."""

import json
from dataclasses import dataclass
from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources.search import indices
from opslib.lab.resources.search.indices import Index

Json = dict[str, Any]


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


def missing(name: str) -> Problem:
    return Problem(404, "index_not_found_exception", f"no such index [{name}]", name)


def index(asked: Asked, name: str, read: bool = False) -> Index:
    """An index; `read`: one that can be read now."""
    found = indices.index_of(asked.place, name)
    if found is None:
        raise missing(name)
    real = indices.resolved(asked.place, name)
    if read and found["closed"]:
        raise Problem(400, "index_closed_exception", "closed", real)
    if read and indices.colour(asked.place, real) == "red":
        raise Problem(503, "search_phase_execution_exception", "all shards failed", real)
    return found
