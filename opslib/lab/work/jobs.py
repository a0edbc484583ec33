"""Rows of the tables that a target's file calls jobs: those of the last month, those of a drill."""

from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.resources.databases import statements
from opslib.lab.traffic import journals, lines, measures

_DAYS = 30
_LAST = timedelta(minutes=15)  # since the newest


class Job(NamedTuple):
    """A row. `item`: what it is about."""

    id: UUID
    item: int
    status: str
    model: str
    attempts: int
    created_at: datetime
    started_at: datetime
    finished_at: datetime | None
    error_message: str | None


def table(place: Place, kind: str) -> str:
    return str(place.facts["jobs"][kind]["table"])


def function(place: Place, kind: str) -> str:
    """The key of the function that works on them."""
    return str(place.facts["jobs"][kind]["function"])


def told(place: Place, kind: str, job: Any) -> dict[str, Any]:
    """How messages and log lines name a job."""
    item = str(place.facts["jobs"][kind]["item"])
    return {"job_id": str(job.id), item: job.item, "model": job.model}


def identifier(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def history(place: Place, kind: str) -> list[Job]:
    """Those of the last month, all done: denser towards the present, a third in the last day."""
    about = place.memory["data"].jobs
    rng = names.generator(place, f"jobs/{kind}")
    chosen = [item for item in _items(place) if rng.random() < about.share.get(kind, 0)]
    rows = []
    for index, item in enumerate(chosen):
        share = (1 - (index + 0.5) / len(chosen)) ** 3
        created = names.start(place) - timedelta(days=_DAYS * share) - _LAST
        started = created + timedelta(seconds=rng.uniform(0.4, 2.0))
        finished = started + timedelta(seconds=rng.uniform(38, 95))
        model = rng.choice(about.models)
        rows.append(
            Job(identifier(rng), item, "completed", model, 1, created, started, finished, None)
        )
    return rows


def drawn(place: Place, purpose: str, at: int, begun: datetime) -> Job:
    """A drill's job number `at`, each about another item; it failed."""
    rng, items = names.generator(place, f"{purpose}/{at}"), _items(place)
    item = items[(7 * at + len(purpose)) % len(items)]
    id, model = identifier(rng), rng.choice(place.memory["data"].jobs.models)
    return Job(id, item, "failed", model, 1, begun - timedelta(seconds=1), begun, None, None)


def _items(place: Place) -> range:
    low, high = place.memory["data"].traffic.items or (1, 0)
    return range(int(low), int(high) + 1)


def insert(place: Place, database: psycopg.Connection[Any], kind: str, rows: list[Job]) -> None:
    item = place.facts["jobs"][kind]["item"]
    columns = ", ".join(item if name == "item" else name for name in Job._fields)
    statements.copy(database, f"{table(place, kind)} ({columns})", rows)


def fill(place: Place, database: psycopg.Connection[Any]) -> None:
    """The rows of the last month."""
    for kind in place.memory["data"].jobs.share:
        insert(place, database, kind, history(place, kind))


def tell(place: Place) -> None:
    """What the workers wrote of the last day's, and what Lambda counted."""
    day = names.start(place) - timedelta(days=1)
    for kind in place.memory["data"].jobs.share:
        for job in history(place, kind):
            if job.started_at > day:
                _tell(place, kind, job)


def _tell(place: Place, kind: str, job: Job) -> None:
    key, ended = function(place, kind), job.finished_at or job.started_at
    taken_ms = (ended - job.started_at).total_seconds() * 1000
    version = functions.live(place, key)
    run = lines.Run(str(job.id), version, functions.memory(place, key), taken_ms)
    start, end, report = lines.framed(run, [])
    about = told(place, kind, job)
    begun = lines.entry("INFO", job.started_at, message="job started", **about)
    done = lines.entry("INFO", ended, message="job completed", **about, attempts=job.attempts)
    stream = journals.stream(place, key, job.started_at, version)
    events = [(job.started_at, stream, text) for text in (start, begun)]
    events += [(ended, stream, text) for text in (done, end, report)]
    place.logs(names.log_group(place, key), events)
    measures.ran(place, key, job.started_at, taken_ms)
