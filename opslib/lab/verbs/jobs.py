"""Verbs about the jobs of the target's file: rows, what their log says, their dead letters."""

import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.forms.values import Duration
from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.traffic import journals, lines
from opslib.lab.verbs.stores import put, take_back
from opslib.lab.verbs.verbs import Stage, Verb, verb
from opslib.lab.work import jobs
from opslib.lab.work.jobs import Job

_GAVE_UP_S = 2400


@verb("jobs", "database", "logs")
class Jobs(Verb):
    """Rows of a kind of jobs, and what the worker's log says of each.

    ago:       when each began
    seconds:   how long each took; nobody ended those that are `running`
    entries:   members of the lines after the first, with `level` and `after_s`
    drawn:     what their numbers are drawn with, if not the drill's name
    first:     how many of the same were drawn before
    """

    kind: str
    ago: list[Duration]
    status: str = "failed"
    seconds: float = 0.0
    attempts: int = 1
    error: str | None = None
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    drawn: str = ""
    first: int = 0

    def apply(self, stage: Stage) -> None:
        rows = []
        for at, ago in enumerate(self.ago, self.first):
            job = jobs.drawn(stage.place, self.drawn or stage.drill, at, stage.ago(ago))
            ended = job.started_at + timedelta(seconds=self.seconds)
            job = job._replace(
                status=self.status,
                attempts=self.attempts,
                error_message=self.error,
                finished_at=None if self.status == "running" else ended,
            )
            tell(stage.place, self.kind, job, self.entries)
            rows.append(job)
        insert(stage, self.kind, rows)

    def undo(self, stage: Stage) -> None:
        remove(stage)


def _line(place: Place, kind: str, job: Job, members: Mapping[str, Any]) -> journals.Told:
    """A line about a job; `after_s` it began."""
    told = {"level": "INFO", **members}
    when = job.started_at + timedelta(seconds=told.pop("after_s", 0))
    level, message = told.pop("level"), told.pop("message")
    about = jobs.told(place, kind, job)
    return when, lines.entry(level, when, message=message, **about, **told)


def tell(place: Place, kind: str, job: Job, entries: list[Mapping[str, Any]]) -> None:
    """A worker's invocation, with lines after the first; that of a job that runs is not over."""
    key, begun = jobs.function(place, kind), job.started_at
    told = [_line(place, kind, job, each) for each in ({"message": "job started"}, *entries)]
    if job.finished_at is None:
        start = f"START RequestId: {job.id} Version: {functions.live(place, key)}"
        journals.write(place, key, journals.spread(begun, [start, *(text for _, text in told)]))
        return
    taken_ms = (job.finished_at - begun).total_seconds() * 1000
    journals.tell(place, key, begun, told, taken_ms, id=str(job.id))


def insert(stage: Stage, kind: str, rows: list[Job]) -> None:
    """Rows that `remove` takes away, with all that is started for their items meanwhile."""
    stage.kept = kind, rows
    with stage.place.database(names.database(stage.place)) as database:
        jobs.insert(stage.place, database, kind, rows)


def remove(stage: Stage) -> None:
    if not stage.kept:
        return
    kind, rows = stage.kept
    table, item = jobs.table(stage.place, kind), stage.place.facts["jobs"][kind]["item"]
    gone = f"DELETE FROM {table} WHERE id = ANY(%s) OR ({item} = ANY(%s) AND created_at >= %s)"
    given = [[job.id for job in rows], [job.item for job in rows], stage.since]
    with stage.place.database(names.database(stage.place)) as database:
        database.execute(gone.encode(), given)


@verb("dead_jobs", "sqs", "metrics", "database")
class DeadJobs(Verb):
    """Dead letters of jobs over the last while.

    The jobs' rows only say that their message is there.

    errors: what each message says, and how often; null: the message is cut off and has no row
    """

    kind: str
    errors: list[tuple[str | None, int]]
    over: Duration = timedelta(hours=20)

    def apply(self, stage: Stage) -> None:
        place, attempts = stage.place, stage.place.memory["data"].queues.attempts
        queue = place.facts["queues"][place.facts["jobs"][self.kind]["queue"]]
        name = str(queue["dead_letters"])
        gone = f"Gave up after {attempts} attempts; the message is in {name}"
        errors = [error for error, count in self.errors for _ in range(count)]
        messages: list[tuple[str, datetime, str]] = []
        rows = []
        for at, error in enumerate(errors):
            since = self.over * (1 - at / len(errors)) + timedelta(minutes=5 * (at % 4) + 6)
            sent = stage.ago(since)
            ended = sent + timedelta(seconds=_GAVE_UP_S)
            job = jobs.drawn(place, stage.drill, at, sent)
            job = job._replace(attempts=attempts, error_message=gone, finished_at=ended)
            id = jobs.identifier(names.generator(place, f"message/{at}"))
            messages.append((str(id), sent, self._body(place, job, error)))
            if error is not None:
                rows.append(job)
        sent_now = put(stage, name, messages)
        insert(stage, self.kind, rows)
        stage.kept = (*stage.kept, sent_now)

    def _body(self, place: Place, job: Job, error: str | None) -> str:
        about = jobs.told(place, self.kind, job)
        if error is None:
            whole = json.dumps(about)
            return whole[: whole.index(str(job.item))]  # cut off by the client that sent it
        return json.dumps({**about, "attempts": job.attempts, "error": error})

    def undo(self, stage: Stage) -> None:
        if stage.kept:
            *stage.kept, messages = stage.kept
            take_back(stage, messages)
            remove(stage)
