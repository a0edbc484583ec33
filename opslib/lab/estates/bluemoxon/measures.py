"""The metrics that AWS itself would write: from the traffic, the schedules, the queues and the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from opslib.lab.corrections import rhythms
from opslib.lab.corrections.rhythms import Samples
from opslib.lab.estates.base import Place
from opslib.lab.estates.bluemoxon import jobs, names, queues, schedules
from opslib.lab.estates.bluemoxon.traffic import traffic
from opslib.lab.kit import functions

_OVERHEAD_MS = 9.0  # what API Gateway adds to an answer
_COUNT, _MS, _BYTES = "Count", "Milliseconds", "Bytes"


def seed(place: Place) -> None:
    _api(place)
    for key in schedules.scheduled(place):
        _scheduled(place, key)
    for kind in jobs.KINDS:
        _workers(place, kind)
    _database(place)
    _queues(place)


def _api(place: Place) -> None:
    """Exactly the requests that the log tells of."""
    function, gateway = {"FunctionName": names.function(place, "api")}, {"ApiId": names.gateway(place)}
    seen, baseline = traffic(place), place.metrics.baseline

    def count(minute: float) -> float:
        return float(len(seen.at(minute)))

    baseline("AWS/Lambda", "Invocations", function, count, _COUNT)
    baseline("AWS/Lambda", "Errors", function, lambda m: _ones(bad_requests(place, m), len(seen.at(m))), _COUNT)
    baseline("AWS/Lambda", "Throttles", function, lambda m: 0.0, _COUNT)
    baseline("AWS/Lambda", "Duration", function, _latencies(place, 0), _MS)
    baseline("AWS/Lambda", "ConcurrentExecutions", function, lambda m: float(1 + len(seen.at(m)) // 6), _COUNT)
    baseline("AWS/ApiGateway", "Count", gateway, count, _COUNT)
    baseline("AWS/ApiGateway", "4xx", gateway, _share(place, 4), _COUNT)
    baseline("AWS/ApiGateway", "5xx", gateway, _share(place, 5), _COUNT)
    baseline("AWS/ApiGateway", "Latency", gateway, _latencies(place, _OVERHEAD_MS), _MS)
    baseline("AWS/ApiGateway", "IntegrationLatency", gateway, _latencies(place, 2), _MS)


def _latencies(place: Place, added_ms: float) -> Callable[[float], Samples | None]:
    def fn(minute: float) -> Samples | None:
        values = [request.latency_ms + added_ms for request in traffic(place).at(minute)]
        return Samples(values, [1.0] * len(values)) if values else None

    return fn


def _share(place: Place, kind: int) -> Callable[[float], Samples | None]:
    """Of a minute's requests, those answered with 4xx or 5xx."""

    def fn(minute: float) -> Samples | None:
        asked, bad = traffic(place).at(minute), bad_requests(place, minute)
        ones = sum(request.status // 100 == kind for request in asked[bad:])
        return _ones(ones + (bad if kind == 5 else 0), len(asked))

    return fn


def bad_requests(place: Place, minute: float) -> int:
    """How many of a minute's requests the version that was live then failed."""
    version = functions.live_at(place, "api", datetime.fromtimestamp(minute, UTC))
    return traffic(place).bad(minute) if functions.is_bad(place, "api", version) else 0


def _ones(ones: int, total: int) -> Samples | None:
    """A sample of 1 for each that failed, of 0 for each other."""
    return Samples((0.0, 1.0), (float(max(0, total - ones)), float(ones))) if total else None


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
            ran(place, key, job.started_at, (job.finished_at - job.started_at).total_seconds() * 1000)


def ran(place: Place, key: str, when: datetime, duration_ms: float, failed: bool = False) -> None:
    """One invocation of a function, as Lambda counts it."""
    dimensions = {"FunctionName": names.function(place, key)}
    for metric, value, unit in (
        ("Invocations", 1.0, _COUNT), ("Errors", float(failed), _COUNT), ("Throttles", 0.0, _COUNT), ("Duration", duration_ms, _MS)
    ):  # fmt: skip
        place.metrics.put("AWS/Lambda", metric, dimensions, when, value, unit)


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
