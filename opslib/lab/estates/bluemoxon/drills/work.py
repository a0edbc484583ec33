"""Drills in the background work: throttled, blocked, dead, stale and oversized jobs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.estates.bluemoxon import (
    books,
    buckets,
    catalogue,
    databases,
    jobs,
    lines,
    measures,
    names,
    pictures,
    queues,
)
from opslib.lab.estates.bluemoxon.jobs import Job
from opslib.lab.places import Drill, Place
from opslib.lab.resources import functions
from opslib.lab.traffic import journals

_WORKER = "analysis-worker"
_THROTTLED_MINUTES = (54, 52, 49, 41, 33, 32, 30, 18, 9, 5)
_RECOVERED, _RECOVERY = 3, timedelta(seconds=58)  # every third went well at the second attempt, and took so long
_BLOCKED_MINUTES = (52, 50, 46, 38, 31, 30, 24, 15, 8, 3)
_STALE_MINUTES = {"analysis": (190, 47, 22), "eval-runbook": (31,)}
_PHOTOGRAPHS = 16
_DEAD = (("throttled", 14), ("too long", 6), ("malformed", 4))


def _add_jobs(place: Place, drill: str, kind: str, rows: list[Job]) -> None:
    """Rows that go with the drill, and with all that is started for their books meanwhile."""
    with place.database(names.database(place)) as database:
        jobs.insert(place, database, kind, rows)
    held = place.memory.setdefault("added jobs", {}).setdefault(drill, [])
    held.append((kind, place.now(), [row.id for row in rows], [row.book_id for row in rows]))


def _remove_jobs(place: Place, drill: str) -> None:
    with place.database(names.database(place)) as database:
        for kind, since, ids, numbers in place.memory["added jobs"].pop(drill):
            database.execute(
                f"DELETE FROM {jobs.table(place, kind)} WHERE id = ANY(%s) OR (book_id = ANY(%s) AND created_at >= %s)".encode(),
                [ids, numbers, since],
            )


def _job(place: Place, drill: str, at: int, begun: datetime, seconds: float = 0.0, **changes: Any) -> Job:
    """The drill's job number `at`: each about another book."""
    rng = names.generator(place, f"{drill}/{at}")
    book = books.FIRST_ID + (7 * at + len(drill)) % 58
    identifier, created = jobs.identifier(rng), begun - timedelta(seconds=1)
    job = Job(identifier, book, "failed", rng.choice(jobs.MODELS), 1, created, begun, None, None)
    return job._replace(finished_at=begun + timedelta(seconds=seconds) if seconds else None, **changes)


def _told(job: Job) -> dict[str, Any]:
    return {"job_id": str(job.id), "book_id": job.book_id, "model": job.model}


def throttle(place: Place) -> None:
    place.faults["bedrock"] = "throttled"
    rows = []
    for at, minutes in enumerate(_THROTTLED_MINUTES):
        begun = place.now() - timedelta(minutes=minutes)
        waits = (5.0 + at % 3 * 0.4, 10.5 + at % 4 * 0.3)
        job = _job(place, "bedrock-throttling", at, begun, 1 + sum(waits), attempts=3, error_message=jobs.THROTTLED)
        told = lines.throttled(begun + timedelta(seconds=1), _told(job), waits)
        if at % _RECOVERED == 2:
            job = job._replace(status="completed", attempts=2, error_message=None, finished_at=begun + _RECOVERY)
            told = [told[0], (begun + _RECOVERY, lines.job_done(job)[1])]
        rows.append(job)
        ended = (job.finished_at or begun) - begun
        started = (begun, lines.entry("INFO", begun, message="job started", **_told(job)))
        journals.tell(place, _WORKER, begun, [started, *told], ended.total_seconds() * 1000, id=str(job.id))
    _add_jobs(place, "bedrock-throttling", "analysis", rows)


def unthrottle(place: Place) -> None:
    place.faults.pop("bedrock", None)
    _remove_jobs(place, "bedrock-throttling")


def block(place: Place) -> None:
    place.faults["ebay"] = "blocked"
    for at, minutes in enumerate(_BLOCKED_MINUTES):
        when = place.now() - timedelta(minutes=minutes)
        told = [(when, lines.rate_limited(when, 60 * 2 ** (at % 3)))]
        if at % 3 == 2:
            blocked = "Blocked page instead of results, giving up"
            told.append((when, lines.entry("ERROR", when, message=blocked, source="ebay", http_status=429)))
        journals.tell(place, "scraper", when, told, 6_400.0)


def unblock(place: Place) -> None:
    place.faults.pop("ebay", None)


def add_dead_letters(place: Place) -> None:
    """24 messages over the last 20 hours; the jobs' rows only say that their message is there."""
    name, messages, rows = names.dead_letters(place, "analysis"), [], []
    kinds = [kind for kind, count in _DEAD for _ in range(count)]
    for at, kind in enumerate(kinds):
        sent = place.now() - timedelta(hours=20 * (1 - at / len(kinds)), minutes=5 * (at % 4) + 6)
        gone = f"Gave up after {jobs.MAX_ATTEMPTS} attempts; the message is in {name}"
        job = _job(place, "dead-letter-backlog", at, sent, 2400, attempts=jobs.MAX_ATTEMPTS, error_message=gone)
        messages.append((jobs.identifier(names.generator(place, f"message/{at}")), sent, _body(job, kind)))
        if kind != "malformed":
            rows.append(job)
    queues.put(place, name, messages)
    _add_jobs(place, "dead-letter-backlog", "analysis", rows)
    times = sorted(sent.timestamp() for _, sent, _ in messages)
    overlay = place.metrics.overlay(
        "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": name}, times[0], place.now(),
        lambda minute: float(sum(sent <= minute for sent in times)), "Count",
    )  # fmt: skip
    place.memory["dead letters"] = [body for _, _, body in messages], overlay, place.now()
    place.metrics.tick()


def _body(job: Job, kind: str) -> str:
    if kind == "malformed":
        return f'{{"job_id": "{job.id}", "book_id": '  # cut off by the client that sent it
    error = jobs.THROTTLED if kind == "throttled" else jobs.TOO_LONG
    return json.dumps({**_told(job), "attempts": jobs.MAX_ATTEMPTS, "error": error})


def remove_dead_letters(place: Place) -> None:
    bodies, overlay, since = place.memory.pop("dead letters")
    queues.take_back(place, bodies)
    overlay.remove()
    _remove_jobs(place, "dead-letter-backlog")
    for facts in place.facts["queues"].values():
        measures.forget_gauged(place, facts["name"], since)
        measures.forget_gauged(place, facts["dead_letters"], since)


def leave_running(place: Place) -> None:
    for kind, ages in _STALE_MINUTES.items():
        rows = [
            _job(place, f"stale-{kind}", at, place.now() - timedelta(minutes=age), status="running")
            for at, age in enumerate(ages)
        ]
        _add_jobs(place, "stale-jobs", kind, rows)
        key = str(place.facts["jobs"][kind]["function"])
        for job in rows:
            begun = job.started_at or place.now()
            start = f"START RequestId: {job.id} Version: {functions.live(place, key)}"
            started = lines.entry("INFO", begun, message="job started", **_told(job))
            journals.write(place, key, journals.spread(begun, [start, started]))


def end_running(place: Place) -> None:
    _remove_jobs(place, "stale-jobs")


def enlarge(place: Place) -> None:
    """Photographs straight from the camera for a book with few images, and the jobs that failed on them."""
    taken = place.now() - timedelta(hours=6)
    with databases.connect(place) as database:
        # Not one that was analysed since: that would not have gone well.
        row = database.execute(
            "SELECT book_id FROM book_images GROUP BY book_id HAVING count(*) = 3 AND book_id NOT IN "
            "(SELECT book_id FROM analysis_jobs WHERE created_at > %s) ORDER BY book_id DESC LIMIT 1",
            [taken],
        ).fetchone()
    book = int(row[0]) if row else books.FIRST_ID
    keys = [f"{book}/{20 + at}-{names.number(place, f'photograph {at}'):08x}.jpeg" for at in range(_PHOTOGRAPHS)]
    rows = [(50_000 + at, book, key, 20 + at, taken) for at, key in enumerate(keys)]
    with place.database(names.database(place)) as connection:
        books.copy(connection, "book_images", rows)
    for key in keys:
        buckets.put(place, names.prefix(place, "images") + key, pictures.large(key), taken)
    place.memory["photographs"] = keys
    _fail_on(place, book)


def _fail_on(place: Place, book: int) -> None:
    with databases.connect(place) as database:
        images, payload = catalogue.payload_bytes(place, database, book)
    error, rows = f"{jobs.TOO_LONG} ({images} images, {payload / 1e6:.1f} MB)", []
    for at, minutes in enumerate((280, 250, 95)):
        begun = place.now() - timedelta(minutes=minutes)
        job = _job(place, "images-too-large", at, begun, 3.2, book_id=book, error_message=error)
        ended = begun + timedelta(seconds=3)
        started = begun, lines.entry("INFO", begun, message="job started", **_told(job))
        failed = ended, lines.job_failed(ended, _told(job), error)
        journals.tell(place, _WORKER, begun, [started, failed], 3_200.0, id=str(job.id))
        rows.append(job)
    _add_jobs(place, "images-too-large", "analysis", rows)


def shrink(place: Place) -> None:
    keys = place.memory.pop("photographs")
    for key in keys:
        buckets.forget(place, names.prefix(place, "images") + key)
    with place.database(names.database(place)) as database:
        database.execute("DELETE FROM book_images WHERE s3_key = ANY(%s)", [keys])
    _remove_jobs(place, "images-too-large")


DRILLS = (
    Drill(
        "bedrock-throttling", "Analyses fail one after another with throttling errors",
        "More analyses are asked for than Bedrock's quota allows; three attempts are not enough.",
        throttle, unthrottle, found_by=("logs/throttling", "bluemoxon/bedrock-throttling"),
    ),
    Drill(
        "scraper-blocked", "No new listings appear", "eBay answers 429 and a blocked page.",
        block, unblock, found_by=("logs/throttling", "bluemoxon/scraper-rate-limiting"),
    ),
    Drill(
        "dead-letter-backlog", "The alarm for the analysis dead-letter queue rings",
        "24 messages of three causes: throttled, input too long, malformed.",
        add_dead_letters, remove_dead_letters, found_by=("queues/dead-letters", "bluemoxon/dead-letters-redrive", "bluemoxon/dead-letters-purge", "alarms/review", "reports/daily"),
    ),
    Drill(
        "stale-jobs", "Analyses show 'running' for ever", "Their workers are gone; nobody ends the jobs.",
        leave_running, end_running, found_by=("jobs/stale", "reports/daily"),
    ),
    Drill(
        "images-too-large", "The analysis of one book fails each time: 'Input is too long'",
        "Sixteen photographs straight from the camera: more than one request to the model may hold.",
        enlarge, shrink, found_by=("jobs/oversized",),
    ),
)  # fmt: skip
