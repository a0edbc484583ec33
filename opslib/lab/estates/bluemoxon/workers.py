"""The workers behind the queues: they take a message, send the book's images to the model, and say how it went.

A job takes two seconds here; what its log says it took is what it would take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from botocore.exceptions import ClientError

from opslib.lab.estates.bluemoxon import catalogue, databases, jobs, lines, names, queues
from opslib.lab.places import Place
from opslib.lab.resources import functions
from opslib.lab.traffic import journals, measures

TAKES = timedelta(seconds=2)
_BASE_SECONDS, _SECONDS_A_MEGABYTE = 36.0, 1.6
_A_TIME = 10
_WAITED = timedelta(seconds=sum(lines.WAITS))


@dataclass(frozen=True)
class Work:
    """A message that a worker has taken."""

    kind: str
    receipt: str
    job: UUID
    book_id: int
    model: str
    until: datetime


class Failed(Exception):
    """A job that cannot be done: its text is the job's error message."""


def tick(place: Place, now: datetime) -> None:
    """Ends what is due, takes what has come."""
    under_way: list[Work] = place.memory.setdefault("work", [])
    due = [work for work in under_way if work.until <= now]
    waiting = any(queues.depth(place, names.queue(place, kind)) for kind in jobs.KINDS)
    if not due and not waiting:
        return
    with databases.connect(place, "bluemoxon-worker") as database:
        for work in due:
            under_way.remove(work)
            _end(place, database, work, now)
        for kind in jobs.KINDS:
            under_way += _take(place, database, kind, now)


def _take(place: Place, database: psycopg.Connection[Any], kind: str, now: datetime) -> Iterator[Work]:
    sqs, url = place.client("sqs"), queues.url(place, names.queue(place, kind))
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=_A_TIME).get("Messages", []):
        try:
            work = _read(kind, message, now + TAKES)
        except (ValueError, KeyError, TypeError) as exc:
            # Left in flight: it comes back when its visibility timeout ends, and at last goes to the dead letters.
            text = f"[ERROR] {type(exc).__name__}: {exc}\tmessage {message['MessageId']}"
            _tell(place, kind, now, [(now, text)], 40.0, failed=True)
            continue
        database.execute(
            f"UPDATE {jobs.table(place, kind)} SET status = 'running', started_at = %s, finished_at = NULL, "
            "error_message = NULL WHERE id = %s".encode(),
            [now, work.job],
        )
        yield work


def _read(kind: str, message: dict[str, Any], until: datetime) -> Work:
    body = json.loads(message["Body"])
    job, book = UUID(body["job_id"]), int(body["book_id"])
    return Work(kind, message["ReceiptHandle"], job, book, str(body["model"]), until)


def _end(place: Place, database: psycopg.Connection[Any], work: Work, now: datetime) -> None:
    seconds, error = 0.4, None
    try:
        seconds = run(place, database, work)
    except Failed as exc:
        error = str(exc)
    limit = functions.live_function(place, _key(place, work.kind)).timeout
    if seconds > limit:
        # The row stays at running: nobody is left to change it.
        text = f"{now:%Y-%m-%dT%H:%M:%S.%fZ} {work.job} Task timed out after {limit}.00 seconds"
        _tell(place, work.kind, now, [(now, text)], limit * 1000.0, failed=True)
        return
    attempts = jobs.MAX_ATTEMPTS if error == jobs.THROTTLED else 1
    database.execute(
        f"UPDATE {jobs.table(place, work.kind)} SET status = %s, attempts = attempts + %s, finished_at = %s, "
        "error_message = %s WHERE id = %s".encode(),
        ["failed" if error else "completed", attempts, now, error, work.job],
    )
    with suppress(ClientError):  # somebody purged the queue meanwhile
        url = queues.url(place, names.queue(place, work.kind))
        place.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=work.receipt)
    _tell(place, work.kind, now, _ended(work, now, error), seconds * 1000)


def _ended(work: Work, now: datetime, error: str | None) -> list[journals.Told]:
    told = {"job_id": str(work.job), "book_id": work.book_id, "model": work.model}
    # Waits are not waited for here: the log tells of them as if the job had begun so much earlier.
    begun = now - _WAITED if error == jobs.THROTTLED else work.until - TAKES
    started = begun, lines.entry("INFO", begun, message="job started", **told)
    if error == jobs.THROTTLED:
        return [started, *lines.throttled(begun, told)]
    if error:
        return [started, (now, lines.job_failed(now, told, error))]
    return [started, (now, lines.entry("INFO", now, message="job completed", **told, attempts=1))]


def run(place: Place, database: psycopg.Connection[Any], work: Work) -> float:
    """Does a job as the real worker would: how many seconds it takes. Raises Failed."""
    variables = functions.live_function(place, _key(place, work.kind)).environment_vars
    if work.kind == "analysis" and "BEDROCK_MODEL" not in variables:
        raise Failed("KeyError: 'BEDROCK_MODEL'")
    if place.faults.get("bedrock") == "throttled":
        raise Failed(jobs.THROTTLED)
    images, payload = catalogue.payload_bytes(place, database, work.book_id) if work.kind == "analysis" else (0, 0)
    if payload > payload_limit(place):
        raise Failed(f"{jobs.TOO_LONG} ({images} images, {payload / 1e6:.1f} MB)")
    return _BASE_SECONDS + payload / 1e6 * _SECONDS_A_MEGABYTE


def payload_limit(place: Place) -> int:
    """Bytes of base64 that one request to the model may hold."""
    return int(place.facts["jobs"]["analysis"]["images"]["max_payload_mb"]) * 1_000_000


def _key(place: Place, kind: str) -> str:
    return str(place.facts["jobs"][kind]["function"])


def _tell(
    place: Place, kind: str, now: datetime, told: list[journals.Told], duration_ms: float, failed: bool = False
) -> None:
    key = _key(place, kind)
    identifier = f"{names.number(place, str(told)):08x}-7c11-4f0e-8d52-{names.number(place, str(now)):012x}"
    run = lines.Run(identifier, functions.live(place, key), functions.memory(place, key), duration_ms)
    start, *closing = lines.framed(run, [])
    journals.write(place, key, [(told[0][0], start), *told, *journals.spread(now, closing)])
    if not place.memory.get("drills"):
        measures.ran(place, key, now, duration_ms, failed)
