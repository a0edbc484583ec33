"""What people and programs ask of the ledger each minute.

A drill changes it with `troubles` (see there): what the log and the metrics tell follows by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from random import Random

from opslib.lab.estates.loglineos import lines, troubles
from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.traffic import traffic
from opslib.lab.traffic.traffic import ANSWERED, CRASHED, TIMED_OUT, Request, identifier

KEY = "loader"
_PER_MINUTE = (5.0, 11.0)
# Share of the requests, method, path, median duration in ms.
_ROUTES = (
    (0.40, "GET", "/spans", 62),
    (0.24, "POST", "/spans", 48),
    (0.14, "GET", "/timeline", 95),
    (0.12, "POST", "/executions", 330),
    (0.10, "GET", "/health", 21),
)
_USERS = 24
_COLD = 1 / 60
_INIT_MS, _COLD_MS = (610, 890), (90, 240)  # a new environment's start, and what its first request takes longer
# Cumulated chances of what goes wrong on a good day: no user, a field missing, a program that fails, and once a day or
# so a database that does not answer and a run that hangs.
_UNKNOWN, _INVALID, _FAILED, _DISCONNECTED, _HUNG = 0.003, 0.0042, 0.0050, 0.0052, 0.0054
_LONG_MS = 2_500  # what is shorter than any function's timeout here


class Traffic(traffic.Traffic):
    """The requests that reach the loader, by minute."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, KEY, _PER_MINUTE)
        rng = names.generator(place, "users")
        self._users = [f"user-{rng.randrange(1, 8000):04d}" for _ in range(_USERS)]
        self._limit_ms = lru_cache(64)(self._read_limit_ms)

    def ask(self, rng: Random) -> Request:
        second, luck, pick = rng.random() * 59, rng.random(), rng.random()
        for share, method, path, median in _ROUTES:  # noqa: B007 - the one that was picked is used below
            pick -= share
            if pick < 0:
                break
        latency, status = rng.lognormvariate(0, 0.42) * median, 201 if method == "POST" else 200
        user = "" if path == "/health" else rng.choice(self._users)
        cold = rng.random() < _COLD
        init_ms, slower = (rng.uniform(*_INIT_MS), rng.uniform(*_COLD_MS)) if cold else (0.0, 0.0)
        request = Request(
            identifier(rng), round(second, 3), method, path, status, round(latency + slower, 2), user, round(init_ms, 2)
        )
        return _unlucky(request, luck) if luck < _HUNG else request

    def happened(self, minute: float) -> Sequence[Request]:
        """Also with what is wrong since then, and cut off where the version of that time times out."""
        asked = troubles.applied(self.place, minute, super().happened(minute))
        if not any(request.latency_ms > _LONG_MS for request in asked):
            return asked
        return tuple(self._cut(minute, request) if request.latency_ms > _LONG_MS else request for request in asked)

    def _cut(self, minute: float, request: Request) -> Request:
        version = functions.live_at(self.place, KEY, traffic.at(minute, request))
        limit = self._limit_ms(version)
        if request.outcome != ANSWERED or request.latency_ms < limit:
            return request
        return request._replace(status=504, latency_ms=limit, outcome=TIMED_OUT, message="")

    def _read_limit_ms(self, version: str) -> float:
        """A version's timeout, which never changes."""
        return float(functions.version_of(self.place, KEY, version).timeout) * 1000

    def lines(self, asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
        return lines.request(asked, when, version, memory_mb)


def _unlucky(request: Request, luck: float) -> Request:
    """What goes wrong on a good day."""
    if luck < _UNKNOWN:
        return request._replace(status=401, user="", message="Missing header X-User-Id", latency_ms=3.1)
    if luck < _INVALID:
        message = "Validation failed: missing field 'this'"
        return request._replace(method="POST", path="/spans", status=400, message=message, latency_ms=4.4)
    if luck < _FAILED:
        message = "Execution failed: kernel returned status 422"
        return request._replace(method="POST", path="/executions", status=422, message=message)
    if luck < _DISCONNECTED:
        message = "Database connection failed: timeout expired"
        return request._replace(status=500, outcome=CRASHED, message=message, latency_ms=5_004.2)
    return request._replace(latency_ms=45_000.0)
