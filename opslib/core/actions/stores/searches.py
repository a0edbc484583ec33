"""What is done to a search domain: requests to it, and documents that are put or taken away."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import jmespath

from opslib.core.actions.actions import Action, action, asked
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished
from opslib.core.reads.stores import domains
from opslib.core.tables import Json
from opslib.core.waiting import poll

_MOST_BYTES = 4_000_000  # of one request; small domains take no more than ten
_CREATED, _THERE, _GONE = 201, 409, 404


@action("search", asked)
def Search(ops: Connection, method: str, path: str, body: Any = None, pick: str = "") -> Any:
    """A signed request to the target's search domain; `pick`: a JMESPath into its answer."""
    answer = domains.ask(ops, method, path, body)
    return jmespath.search(pick, answer) if pick else answer


@action("search serves", "GET {path} until it is {expect}")
def Serves(ops: Connection, path: str, pick: str, expect: str, timeout_seconds: int = 3600) -> Any:
    """Until what is picked is `expect`."""
    read = Search("GET", path, None, pick)
    seen, waited = poll(
        lambda: read.perform(ops), lambda seen: bool(seen == expect), timeout_seconds, str
    )
    if seen != expect:
        said = f"GET {path} until it is {expect}: still {seen} after {waited:.0f} s"
        raise Unfinished(f"{said}; it may yet finish.")
    return seen


def _put(do: Action) -> str:
    where = f"from index {do['source']}" if do["source"] else "made of their rows"
    return f"POST /_bulk: create {len(do['ids'])} documents in {do['index']}, {where}"


@action("search put", _put)
def Put(ops: Connection, index: str, ids: list[str], statement: str = "", source: str = "") -> Json:
    """Documents of these ids, as they are now where they are taken from, put into an index.

    Never over one that is there. `statement`: SQL that answers `id` and `document` of the rows;
    or `source`: another index.
    """
    documents = _documents(ops, ids, statement, source)
    lines = [[{"create": {"_index": index, "_id": id}}, of] for id, of in documents.items()]
    statuses, wrong = _sent(ops, lines, (_CREATED, _THERE))
    created = [id for id, status in statuses.items() if status == _CREATED]
    done = {"created": created, "there": [*statuses.values()].count(_THERE)}
    return _judged(done | {"gone": len(ids) - len(documents)}, wrong, index)


def _documents(ops: Connection, ids: list[str], statement: str, source: str) -> dict[str, Any]:
    if source:
        found = domains.ask(ops, "GET", f"/{source}/_mget", {"ids": ids})["docs"]
        return {each["_id"]: each["_source"] for each in found if each.get("found")}
    rows = sql.ask(ops, statement, {"ids": ids}, limit=len(ids))
    return {row.id: json.loads(str(row.document)) for row in rows.itertuples()}


def _take(do: Action) -> str:
    ids = do["ids"]
    many = f"{len(ids)} documents" if isinstance(ids, list) else "the documents that were put"
    return f"POST /_bulk: delete {many} from {do['index']}"


@action("search take", _take)
def Take(ops: Connection, index: str, ids: Any) -> Json:
    """Documents of these ids taken out of an index."""
    lines = [[{"delete": {"_index": index, "_id": id}}] for id in ids]
    _, wrong = _sent(ops, lines, (200, _GONE))
    return _judged({"deleted": len(lines) - len(wrong)}, wrong, index)


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
