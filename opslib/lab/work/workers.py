"""The workers behind the queues of jobs: they take a message, have it done, and tell of it.

A job takes two seconds here; what its log says it took is what it would take.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from botocore.exceptions import ClientError

from opslib.lab.aws.handlers import FunctionHandler, Invocation
from opslib.lab.places import Place
from opslib.lab.resources import functions, names, queues
from opslib.lab.resources.databases import rds
from opslib.lab.traffic import journals, lines, measures
from opslib.lab.work import jobs

_TAKES = timedelta(seconds=2)
_BATCH = 10
_FAILED_SECONDS, _UNREADABLE_MS = 0.4, 40.0
Work = Callable[
    [Place, str, int], float
]  # a kind of job, what it is about: how many seconds it takes
Entry = tuple[float, str, Mapping[str, Any]]  # seconds after the start, level, members


class Failed(Exception):
    """A job that cannot be done: its text is the job's error, `entries` what the log says."""

    def __init__(self, error: str, attempts: int = 1, entries: Sequence[Entry] = ()) -> None:
        super().__init__(error)
        self.attempts, self.entries = attempts, entries


@dataclass(frozen=True)
class Taken:
    """A message that a worker has taken."""

    kind: str
    receipt: str
    id: UUID
    item: int
    model: str
    until: datetime


def tick(place: Place, now: datetime, work: Work) -> None:
    """Ends what is due, takes what has come."""
    under_way: list[Taken] = place.memory.setdefault("work", [])
    due = [taken for taken in under_way if taken.until <= now]
    each = place.facts.get("jobs", {})
    kinds = [kind for kind in each if queues.handed_over(place, _queue(place, kind))]
    if not due and not any(queues.depth(place, _queue(place, kind)) for kind in kinds):
        return
    with rds.connect(place, f"{place.target.system}-worker") as database:
        for taken in due:
            under_way.remove(taken)
            _end(place, database, taken, now, work)
        for kind in kinds:
            under_way += _take(place, database, kind, now)


def _queue(place: Place, kind: str) -> str:
    return str(place.facts["queues"][place.facts["jobs"][kind]["queue"]]["name"])


def _url(place: Place, kind: str) -> str:
    return queues.queue_url(place, _queue(place, kind))


def _take(
    place: Place, database: psycopg.Connection[Any], kind: str, now: datetime
) -> Iterator[Taken]:
    asked = {"QueueUrl": _url(place, kind), "MaxNumberOfMessages": _BATCH}
    for message in place.client("sqs").receive_message(**asked).get("Messages", []):
        try:
            taken = _read(place, kind, message["Body"], message["ReceiptHandle"], now + _TAKES)
        except (ValueError, KeyError, TypeError) as exc:
            # Left in flight: it comes back when its visibility timeout ends, and at last goes to
            # the dead letters.
            text = f"[ERROR] {type(exc).__name__}: {exc}\tmessage {message['MessageId']}"
            _tell(place, kind, now, [(now, text)], _UNREADABLE_MS, failed=True)
            continue
        running = (
            f"UPDATE {jobs.table(place, kind)} SET status = 'running', started_at = %s, "
            "finished_at = NULL, error_message = NULL WHERE id = %s"
        )
        database.execute(running.encode(), [now, taken.id])
        yield taken


def _read(place: Place, kind: str, text: str, receipt: str, until: datetime) -> Taken:
    body = json.loads(text)
    job, item = UUID(body["job_id"]), int(body[place.facts["jobs"][kind]["item"]])
    return Taken(kind, receipt, job, item, str(body["model"]), until)


def _end(
    place: Place, database: psycopg.Connection[Any], taken: Taken, now: datetime, work: Work
) -> None:
    seconds, failed = _FAILED_SECONDS, None
    try:
        seconds = work(place, taken.kind, taken.item)
    except Failed as exc:
        failed = exc
    limit = functions.live_function(place, jobs.function(place, taken.kind)).timeout
    if seconds > limit:
        # The row stays at running: nobody is left to change it.
        text = f"{now:%Y-%m-%dT%H:%M:%S.%fZ} {taken.id} Task timed out after {limit}.00 seconds"
        _tell(place, taken.kind, now, [(now, text)], limit * 1000.0, failed=True)
        return
    ended = (
        f"UPDATE {jobs.table(place, taken.kind)} SET status = %s, attempts = attempts + %s, "
        "finished_at = %s, error_message = %s WHERE id = %s"
    )
    status, attempts = ("failed", failed.attempts) if failed else ("completed", 1)
    error = str(failed) if failed else None
    database.execute(ended.encode(), [status, attempts, now, error, taken.id])
    with suppress(ClientError):  # somebody purged the queue meanwhile
        url = _url(place, taken.kind)
        place.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=taken.receipt)
    _tell(place, taken.kind, now, _ended(place, taken, now, failed), seconds * 1000)


def _ended(place: Place, taken: Taken, now: datetime, failed: Failed | None) -> list[journals.Told]:
    about = jobs.told(place, taken.kind, taken)
    entries = _entries(failed, about)
    # Waits are not waited for here: the log tells of them as if the job had begun so much earlier.
    waited = timedelta(seconds=entries[-1][0])
    begun = now - waited if waited else taken.until - _TAKES
    told = [(begun, lines.entry("INFO", begun, message="job started", **about))]
    for after, level, members in entries:
        when = begun + timedelta(seconds=after) if waited else now
        told.append((when, lines.entry(level, when, **members)))
    return told


def _entries(failed: Failed | None, about: Mapping[str, Any]) -> list[Entry]:
    if failed is None:
        return [(0.0, "INFO", {"message": "job completed", **about, "attempts": 1})]
    if not failed.entries:
        return [(0.0, "ERROR", {"message": "job failed", **about, "error": str(failed)})]
    found: list[Entry] = []
    for after, level, members in failed.entries:
        found.append((after, level, {"message": members["message"], **about, **members}))
    return found


def _tell(
    place: Place,
    kind: str,
    now: datetime,
    told: list[journals.Told],
    duration_ms: float,
    failed: bool = False,
) -> None:
    key = jobs.function(place, kind)
    ends = f"7c11-4f0e-8d52-{names.number(place, str(now)):012x}"
    id = f"{names.number(place, str(told)):08x}-{ends}"
    run = lines.Run(id, functions.live(place, key), functions.memory(place, key), duration_ms)
    start, *closing = lines.framed(run, [])
    journals.write(place, key, [(told[0][0], start), *told, *journals.spread(now, closing)])
    if not place.memory.get("drills"):
        measures.ran(place, key, now, duration_ms, failed)


def function(kind: str, work: Work) -> FunctionHandler:
    """The worker, invoked with an SQS batch: says which messages failed, and writes no row."""

    def handle(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
        failures = []
        for record in event.get("Records", []):
            taken = _read(place, kind, record["body"], "", place.now())
            failed = None
            try:
                work(place, kind, taken.item)
            except Failed as exc:
                failed = Failed(str(exc))
                failures.append({"itemIdentifier": record["messageId"]})
            for _, level, members in _entries(failed, jobs.told(place, kind, taken)):
                invocation.log(lines.entry(level, place.now(), **members))
        return {"batchItemFailures": failures}

    return handle
