"""The metrics that AWS itself would write: from the schedules, the workers, the queues and the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from opslib.lab import rhythms
from opslib.lab.estates.bluemoxon import jobs, names, queues, schedules
from opslib.lab.places import Place
from opslib.lab.traffic import measures

_COUNT, _MS, _BYTES = "Count", "Milliseconds", "Bytes"


def seed(place: Place) -> None:
    measures.api(place)
    for key in schedules.scheduled(place):
        _scheduled(place, key)
    for kind in jobs.KINDS:
        _workers(place, kind)
    _database(place)
    _queues(place)


def _scheduled(place: Place, key: str) -> None:
    dimensions, run = {"FunctionName": names.function(place, key)}, partial(schedules.run_at, place, key)

    def of(value: Callable[[schedules.Run], float]) -> Callable[[float], float | None]:
        return lambda minute: value(found) if (found := run(minute)) else None

    place.metrics.baseline("AWS/Lambda", "Invocations", dimensions, of(lambda r: 1.0), _COUNT)
    place.metrics.baseline("AWS/Lambda", "Errors", dimensions, of(lambda r: float(r.failed)), _COUNT)
    place.metrics.baseline("AWS/Lambda", "Duration", dimensions, of(lambda r: r.duration_ms), _MS)
    place.metrics.baseline("AWS/Lambda", "Throttles", dimensions, of(lambda r: 0.0), _COUNT)


def _workers(place: Place, kind: str) -> None:
    key = str(place.facts["jobs"][kind]["function"])
    for job in jobs.history(place, kind):
        if job.started_at and job.finished_at and job.started_at > names.start(place) - timedelta(days=1):
            measures.ran(place, key, job.started_at, (job.finished_at - job.started_at).total_seconds() * 1000)


def _database(place: Place) -> None:
    number, production = names.number(place, "database"), place.target.production
    cluster = str(place.facts["database"]["cluster"])
    rhythm = rhythms.daily_rhythm
    for dimensions in ({"DBClusterIdentifier": cluster}, {"DBInstanceIdentifier": f"{cluster}-1"}):
        for metric, fn, unit in (
            ("DatabaseConnections", rhythms.counts(rhythm(4, 15 if production else 9, 0.06, number), number), _COUNT),
            ("CPUUtilization", rhythm(5, 24 if production else 15, 0.15, number + 1), "Percent"),
            ("FreeableMemory", rhythm(2.9e9, 2.4e9, 0.02, number + 2), _BYTES),
            ("ServerlessDatabaseCapacity", rhythm(0.5, 1.4, 0.05, number + 3), _COUNT),
            ("ReadLatency", rhythm(0.0006, 0.0011, 0.2, number + 4), "Seconds"),
            ("WriteLatency", rhythm(0.0012, 0.0021, 0.2, number + 5), "Seconds"),
            ("Deadlocks", lambda minute: 0.0, "Count/Second"),
        ):
            place.metrics.baseline("AWS/RDS", metric, dimensions, fn, unit)


def _queues(place: Place) -> None:
    """True at every moment; before the lab's start, empty."""
    readers: dict[str, Callable[[Place, str], float]] = {
        "ApproximateNumberOfMessagesVisible": queues.depth,
        "ApproximateNumberOfMessagesNotVisible": queues.in_flight,
        "ApproximateAgeOfOldestMessage": queues.oldest,
    }
    for each in place.facts["queues"].values():
        for name in (each["name"], each["dead_letters"]):
            for metric, reader in readers.items():
                unit = "Seconds" if metric.endswith("OldestMessage") else _COUNT
                place.metrics.baseline("AWS/SQS", metric, {"QueueName": name}, lambda minute: 0.0, unit)
                place.metrics.gauge("AWS/SQS", metric, {"QueueName": name}, partial(_read, reader, place, name), unit)


def _read(reader: Callable[[Place, str], float], place: Place, name: str) -> Any:
    return reader(place, name)


def forget_gauged(place: Place, queue: str, since: datetime) -> None:
    """Takes back what the gauges of a queue kept since then: it is as empty again as it was."""
    for key, series in place.metrics.series.items():
        if key.namespace == "AWS/SQS" and ("QueueName", queue) in key.dimensions:
            series.gauged = [entry for entry in series.gauged if entry[0] < since.timestamp() // 60 * 60]
    place.metrics.tick()
