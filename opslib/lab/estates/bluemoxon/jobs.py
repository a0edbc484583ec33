"""Analysis and eval-runbook jobs: their rows, and what starts, marks and ends them."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import psycopg

from opslib.lab.estates.bluemoxon import books, names
from opslib.lab.places import Place

KINDS = ("analysis", "eval-runbook")
MODELS = ("opus", "sonnet")
MAX_ATTEMPTS = 3
TOO_LONG = "ValidationException: Input is too long for requested model."
THROTTLED = "ThrottlingException: Too many requests, please wait before trying again."
_HISTORY_DAYS = 30


class Job(NamedTuple):
    """A row of `analysis_jobs` or `eval_runbook_jobs`, in the order of its columns."""

    id: uuid.UUID
    book_id: int
    status: str
    model: str
    attempts: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_message: str | None


def table(place: Place, kind: str) -> str:
    return str(place.facts["jobs"][kind]["table"])


def identifier(rng: Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)


def history(place: Place, kind: str) -> list[Job]:
    """The jobs of the last month, all done: two days in five for each book, the last a quarter of an hour ago."""
    rng = names.generator(place, f"jobs/{kind}")
    numbers = [book[0] for book in books.books(place)]
    chosen = [n for n in numbers if rng.random() < (0.8 if kind == "analysis" else 0.5)]
    rows = []
    for index, book in enumerate(chosen):
        # Denser towards the present: about a third of them in the last day.
        share = (1 - (index + 0.5) / len(chosen)) ** 3
        created = names.start(place) - timedelta(days=_HISTORY_DAYS * share, minutes=15)
        started = created + timedelta(seconds=rng.uniform(0.4, 2.0))
        finished = started + timedelta(seconds=rng.uniform(38, 95))
        model = rng.choice(MODELS)
        rows.append(Job(identifier(rng), book, "completed", model, 1, created, started, finished, None))
    return rows


def fill(place: Place, database: psycopg.Connection[Any]) -> None:
    for kind in KINDS:
        books.copy(database, table(place, kind), history(place, kind))


def insert(place: Place, database: psycopg.Connection[Any], kind: str, rows: list[Job]) -> None:
    books.copy(database, table(place, kind), rows)


def delete(place: Place, database: psycopg.Connection[Any], kind: str, ids: list[uuid.UUID]) -> None:
    database.execute(f"DELETE FROM {table(place, kind)} WHERE id = ANY(%s)".encode(), [ids])


def latest(place: Place, database: psycopg.Connection[Any], kind: str, book_id: int) -> Job | None:
    """The newest job of a book."""
    query = f"SELECT * FROM {table(place, kind)} WHERE book_id = %s ORDER BY created_at DESC, id LIMIT 1"
    row = database.execute(query.encode(), [book_id]).fetchone()
    return Job(*row) if row else None


def fail_stale(place: Place, database: psycopg.Connection[Any], kind: str, book_id: int) -> int:
    """Marks the book's jobs that run for too long as failed, as the app does when it is asked for their status."""
    limit = int(place.facts["jobs"][kind]["stale_minutes"])
    changed = database.execute(
        f"UPDATE {table(place, kind)} SET status = 'failed', finished_at = %s, error_message = %s "
        "WHERE book_id = %s AND status = 'running' AND started_at < %s".encode(),
        [place.now(), f"Stale: running for more than {limit} minutes", book_id, place.now() - timedelta(minutes=limit)],
    )
    return int(changed.rowcount)


def start(place: Place, database: psycopg.Connection[Any], kind: str, book_id: int, model: str) -> Job:
    """A new job, queued: its row, and its message for the worker."""
    job = Job(uuid.uuid4(), book_id, "queued", model, 0, place.now(), None, None, None)
    insert(place, database, kind, [job])
    sqs = place.client("sqs")
    url = sqs.get_queue_url(QueueName=names.queue(place, kind))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=message(job))
    return job


def message(job: Job) -> str:
    return json.dumps({"job_id": str(job.id), "book_id": job.book_id, "model": job.model})
