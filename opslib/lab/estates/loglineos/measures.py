"""The metrics that AWS itself would write, and the system's own."""

from __future__ import annotations

from collections.abc import Callable

from opslib.lab import rhythms
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.traffic import measures, traffic
from opslib.lab.traffic.traffic import ANSWERED, Request

_COUNT, _BYTES, _SECONDS = "Count", "Bytes", "Seconds"
_DAY_S, _GROWTH_BYTES = 86_400.0, 0.14e9  # what a day adds to the database


def seed(place: Place) -> None:
    measures.api(place)
    _database(place)
    _own(place)


def _database(place: Place) -> None:
    number, start = names.number(place, "database"), names.start(place).timestamp()
    instance, rhythm = {"DBInstanceIdentifier": place.facts["database"]["instance"]}, rhythms.daily_rhythm
    for metric, fn, unit in (
        ("DatabaseConnections", rhythms.counts(rhythm(12, 18, 0.05, number), number), _COUNT),
        ("CPUUtilization", rhythm(8, 27, 0.15, number + 1), "Percent"),
        ("FreeableMemory", rhythm(1.91e10, 1.74e10, 0.01, number + 2), _BYTES),
        ("FreeStorageSpace", lambda minute: 6.4e10 - _GROWTH_BYTES * (minute - start) / _DAY_S, _BYTES),
        ("ReadLatency", rhythm(0.0006, 0.0012, 0.2, number + 3), _SECONDS),
        ("WriteLatency", rhythm(0.0013, 0.0024, 0.2, number + 4), _SECONDS),
        ("ReadIOPS", rhythm(35, 160, 0.2, number + 5), "Count/Second"),
        ("WriteIOPS", rhythm(22, 90, 0.2, number + 6), "Count/Second"),
        ("DiskQueueDepth", rhythm(0.02, 0.2, 0.3, number + 7), _COUNT),
    ):
        place.metrics.baseline("AWS/RDS", metric, instance, fn, unit)


def _own(place: Place) -> None:
    """What the loader counts of its own work with PutMetricData."""
    space = str(place.facts["metrics_namespace"])
    for metric, which in (
        ("SpansCreated", lambda r: (r.method, r.path, r.status) == ("POST", "/spans", 201)),
        ("ExecutionsCompleted", lambda r: (r.path, r.status) == ("/executions", 201)),
        ("ExecutionsFailed", lambda r: r.path == "/executions" and r.status != 201),
    ):
        place.metrics.baseline(space, metric, {}, _counted(place, which), _COUNT)


def _counted(place: Place, which: Callable[[Request], bool]) -> Callable[[float], float]:
    def fn(minute: float) -> float:
        happened = traffic.of(place).happened(minute)
        return float(sum(request.outcome == ANSWERED and which(request) for request in happened))

    return fn
