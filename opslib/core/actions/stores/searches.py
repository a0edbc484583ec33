"""What is done to a search domain: requests to it, and documents that are put or taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import jmespath

from opslib.core.actions.actions import Action, Http
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.core.reads.stores import domains
from opslib.core.tables import Json
from opslib.core.waiting import poll

_MOST_BYTES = 4_000_000  # of one request; small domains take no more than ten
_CREATED, _THERE, _GONE = 201, 409, 404


class Search(Http, kind="search"):
    """A signed request to the target's search domain; `pick`: a JMESPath into its answer."""

    def __init__(self, method: str, path: str, body: Any = None, pick: str = "") -> None: ...

    def perform(self, ops: Connection) -> Any:
        answer = domains.ask(ops, self["method"], self["path"], self["body"])
        return jmespath.search(self["pick"], answer) if self["pick"] else answer


class Serves(Search, kind="search serves"):
    """Until what is picked is `expect`."""

    def __init__(self, path: str, pick: str, expect: str, timeout_seconds: int = 3600) -> None: ...

    def __str__(self) -> str:
        return f"GET {self['path']} until it is {self['expect']}"

    def perform(self, ops: Connection) -> Any:
        read = Search("GET", self["path"], None, self["pick"])
        seen, waited = poll(
            lambda: read.perform(ops),
            lambda seen: bool(seen == self["expect"]),
            self["timeout_seconds"],
            str,
        )
        if seen != self["expect"]:
            raise Unfinished(f"{self}: still {seen} after {waited:.0f} s; it may yet finish.")
        return seen


class Put(Action, kind="search put"):
    """Documents of these ids, as they are now where they are taken from, put into an index.

    Never over one that is there. `statement`: SQL that answers `id` and `document` of the rows;
    or `source`: another index.
    """

    def __init__(
        self, index: str, ids: list[str], statement: str = "", source: str = ""
    ) -> None: ...

    def __str__(self) -> str:
        where = f"from index {self['source']}" if self["source"] else "made of their rows"
        return f"POST /_bulk: create {len(self['ids'])} documents in {self['index']}, {where}"

    def perform(self, ops: Connection) -> Json:
        documents = self._documents(ops)
        lines = [
            [{"create": {"_index": self["index"], "_id": id}}, each]
            for id, each in documents.items()
        ]
        statuses, wrong = _sent(ops, lines, (_CREATED, _THERE))
        created = [id for id, status in statuses.items() if status == _CREATED]
        done = {"created": created, "there": [*statuses.values()].count(_THERE)}
        done["gone"] = len(self["ids"]) - len(documents)
        return _judged(done, wrong, self["index"])

    def _documents(self, ops: Connection) -> dict[str, Any]:
        if self["source"]:
            asked = {"ids": self["ids"]}
            found = domains.ask(ops, "GET", f"/{self['source']}/_mget", asked)["docs"]
            return {each["_id"]: each["_source"] for each in found if each.get("found")}
        rows = sql.ask(ops, self["statement"], {"ids": self["ids"]}, limit=len(self["ids"]))
        return {row.id: json.loads(str(row.document)) for row in rows.itertuples()}


class Take(Action, kind="search take"):
    """Documents of these ids taken out of an index."""

    def __init__(self, index: str, ids: Any) -> None: ...

    def __str__(self) -> str:
        listed = isinstance(self["ids"], list)
        many = f"{len(self['ids'])} documents" if listed else "the documents that were put"
        return f"POST /_bulk: delete {many} from {self['index']}"

    def perform(self, ops: Connection) -> Json:
        lines = [[{"delete": {"_index": self["index"], "_id": id}}] for id in self["ids"]]
        _, wrong = _sent(ops, lines, (200, _GONE))
        return _judged({"deleted": len(lines) - len(wrong)}, wrong, self["index"])


def _judged(done: Json, wrong: Sequence[str], index: str) -> Json:
    if wrong:
        said = f"{len(wrong)} documents were not taken by {index}; the first: {wrong[0]}"
        raise OpsError(said, done)
    return done


def _sent(
    ops: Connection, lines: Sequence[list[Json]], well: Sequence[int]
) -> tuple[dict[str, int], list[str]]:
    """The status of each document, and what was said of those that are not well.

    Raises OpsError when none was taken; later ones are not well then.
    """
    statuses, wrong = dict[str, int](), list[str]()
    for batch in _batches(lines):
        try:
            answer = domains.ask(ops, "POST", "/_bulk?refresh=true", batch)
        except OpsError as exc:
            if not statuses:
                raise
            return statuses, [*wrong, *[str(exc)] * (len(lines) - len(statuses))]
        for each in (item for part in answer["items"] for item in part.values()):
            statuses[each["_id"]] = each["status"]
            if each["status"] not in well:
                error = each.get("error", {})
                wrong.append(f"{each['_id']}: {error.get('type')}: {error.get('reason')}")
    return statuses, wrong


def _batches(lines: Sequence[list[Json]]) -> Iterator[list[Json]]:
    """So many lines at a time as one request may hold."""
    batch: list[Json] = []
    size = 0
    for each in lines:
        length = len(json.dumps(each))
        if batch and size + length > _MOST_BYTES:
            yield batch
            batch, size = [], 0
        batch, size = [*batch, *each], size + length
    if batch:
        yield batch
