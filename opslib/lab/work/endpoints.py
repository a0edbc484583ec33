"""What an app's API answers about the jobs of an item: the latest one, and what starts another."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import dict_row

from opslib.lab.places import Place
from opslib.lab.resources import queues
from opslib.lab.resources.databases import rds
from opslib.lab.traffic.requests import Answer, Problem, Request
from opslib.lab.work import jobs

_OPEN = timedelta(hours=1)  # so long a job keeps others of its item away
Row = dict[str, Any]
Known = Callable[[Request], Any]  # raises Problem(404) when there is no such item


def latest(place: Place, kind: str, item: int) -> Row | None:
    """The newest job of an item."""
    with rds.connect(place) as database:
        return _latest(place, database, kind, item)


def _latest(place: Place, database: psycopg.Connection[Any], kind: str, item: int) -> Row | None:
    table, column = jobs.table(place, kind), place.facts["jobs"][kind]["item"]
    asked = f"SELECT * FROM {table} WHERE {column} = %s ORDER BY created_at DESC, id LIMIT 1"
    cursor = database.cursor(row_factory=dict_row)
    row: Row | None = cursor.execute(asked.encode(), [item]).fetchone()
    return row


def _looked_at(place: Place, kind: str, item: int) -> Row | None:
    """The newest job, after those that run for too long were marked as failed."""
    facts, now = place.facts["jobs"][kind], place.now()
    limit = int(facts["stale_minutes"])
    marked = (
        f"UPDATE {facts['table']} SET status = 'failed', finished_at = %s, error_message = %s "
        f"WHERE {facts['item']} = %s AND status = 'running' AND started_at < %s"
    )
    error, since = f"Stale: running for more than {limit} minutes", timedelta(minutes=limit)
    with rds.connect(place) as database:
        database.execute(marked.encode(), [now, error, item, now - since])
        return _latest(place, database, kind, item)


def status(kind: str, known: Known, request: Request) -> Answer:
    """The latest job of an item. Asking marks a stale one as failed."""
    known(request)
    row = _looked_at(request.place, kind, request.ids[0])
    if row is None:
        what = _what(request.place, kind)
        raise Problem(404, f"No {kind} job for {what} {request.ids[0]}")
    return 200, {"job_id": row.pop("id"), **row}


def _what(place: Place, kind: str) -> str:
    """`book` for `book_id`."""
    return str(place.facts["jobs"][kind]["item"]).removesuffix("_id")


def generate(kind: str, known: Known, request: Request) -> Answer:
    """Queues a job. A stale one is marked as failed first; while another is open: 409."""
    place, item = request.place, request.ids[0]
    facts, models = place.facts["jobs"][kind], place.memory["data"].jobs.models
    model = request.json().get("model", "sonnet")
    if model not in models:
        raise Problem(422, f"model must be one of {', '.join(models)}")
    known(request)
    row, now = _looked_at(place, kind, item), place.now()
    if row and row["status"] in ("queued", "running") and row["created_at"] > now - _OPEN:
        what = _what(place, kind)
        raise Problem(409, f"{kind} job {row['id']} of {what} {item} is {row['status']}")
    id = uuid.uuid4()
    queued = (
        f"INSERT INTO {facts['table']} (id, {facts['item']}, status, model, created_at) "
        "VALUES (%s, %s, 'queued', %s, %s)"
    )
    with rds.connect(place) as database:
        database.execute(queued.encode(), [id, item, model, now])
    about = {facts["item"]: item, "model": model}
    queues.send(place, facts["queue"], {"job_id": str(id), **about})
    return 202, {"job_id": id, "status": "queued", **about}


def routes(
    paths: dict[str, str], known: Known
) -> dict[tuple[str, str], Callable[[Request], Answer]]:
    """Of each kind, by the pattern of its path: `/status` below it, and `/generate-async`."""
    found: dict[tuple[str, str], Callable[[Request], Answer]] = {}
    for kind, path in paths.items():
        found["GET", f"{path}/status"] = partial(status, kind, known)
        found["POST", f"{path}/generate-async"] = partial(generate, kind, known)
    return found
