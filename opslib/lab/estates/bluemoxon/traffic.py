"""What people and machines ask of the app each minute: a pure function of the minute and of the lab's seed.

Log lines and metrics are both made from it, so they agree with one another.
"""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import NamedTuple

from opslib.lab.corrections import rhythms
from opslib.lab.corrections.rhythms import MINUTE
from opslib.lab.estates.base import Place
from opslib.lab.estates.bluemoxon import books, names

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
# A bad version fails at least so often in each of five minutes: the alarm's 10 in five minutes are passed at night too.
_FLOOR = (3, 3, 2, 3, 2)
BAD_SHARE = 0.25


class Request(NamedTuple):
    """One request of the day. `second`: when in its minute."""

    id: str
    second: float
    method: str
    path: str
    status: int
    latency_ms: float


class Traffic:
    """The requests that reach the API, by minute."""

    def __init__(self, place: Place) -> None:
        low, high = _PER_MINUTE[place.target.environment]
        self._number = names.number(place, "traffic")
        self._rate = rhythms.counts(rhythms.daily_rhythm(low, high, 0.15, self._number), self._number + 1)
        self._books = [book[0] for book in books.books(place)]
        self.at = lru_cache(4096)(self._at)

    def _at(self, minute: float) -> tuple[Request, ...]:
        """The requests of the minute that begins at this epoch second."""
        rng = Random(int(rhythms.chance(self._number + 2, minute) * 2**53))
        return tuple(sorted((self._request(rng) for _ in range(int(self._rate(minute)))), key=lambda r: r.second))

    def _request(self, rng: Random) -> Request:
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
        return Request(_uuid(rng), round(second, 3), method, path, status, round(latency, 2))

    def bad(self, minute: float) -> int:
        """How many of a minute's requests a bad version fails: the first ones."""
        floor = _FLOOR[int(minute // MINUTE) % 5]
        return max(floor, round(len(self.at(minute)) * BAD_SHARE))


def traffic(place: Place) -> Traffic:
    held: Traffic = place.memory.get("traffic") or place.memory.setdefault("traffic", Traffic(place))
    return held


def _uuid(rng: Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
