"""What people and machines ask of the app each minute."""

from __future__ import annotations

from datetime import datetime
from random import Random

from opslib.lab.estates.bluemoxon import books, lines
from opslib.lab.places import Place
from opslib.lab.traffic import traffic
from opslib.lab.traffic.traffic import Request, identifier

_PER_MINUTE = {"production": (6.0, 13.0), "staging": (5.0, 10.0)}
_BASE = "/api/v1"
# Share of the requests, method, path, median latency in ms.
_ROUTES = (
    (0.34, "GET", "/books", 120),
    (0.27, "GET", "/books/{id}", 75),
    (0.15, "GET", "/books/{id}/images", 60),
    (0.10, "GET", "/health/live", 6),
    (0.07, "GET", "/stats", 210),
    (0.05, "GET", "/listings", 95),
    (0.02, "POST", "/auth/login", 340),
)
# Cumulated chances of what goes wrong on a good day: not found, no token, and eBay too slow for us.
_NOT_FOUND, _UNAUTHORISED, _UPSTREAM = 0.006, 0.010, 0.0103


class Traffic(traffic.Traffic):
    """The requests that reach the API, by minute."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, "api", _PER_MINUTE[place.target.environment])
        self._books = [book[0] for book in books.books(place)]

    def ask(self, rng: Random) -> Request:
        second, luck = rng.random() * 59, rng.random()
        pick = rng.random()
        for share, method, route, median in _ROUTES:  # noqa: B007 - the one that was picked is used below
            pick -= share
            if pick < 0:
                break
        path = _BASE + route.replace("{id}", str(rng.choice(self._books)))
        status, latency = 200, rng.lognormvariate(0, 0.45) * median
        if luck < _NOT_FOUND:
            path, status, latency = f"{_BASE}/books/{rng.randrange(600, 900)}", 404, latency / 3
        elif luck < _UNAUTHORISED:
            status, latency = 401, 4 + latency / 20
        elif luck < _UPSTREAM:
            method, path, status, latency = "POST", f"{_BASE}/listings/import", 502, 9800 + 10 * latency
        return Request(identifier(rng), round(second, 3), method, path, status, round(latency, 2))

    def lines(self, asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
        return lines.request(asked, when, version, memory_mb)
