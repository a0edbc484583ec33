"""The requests of a day as an estate's `traffic` tells them: routes, users, mishaps."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from random import Random
from urllib.parse import urlsplit

from opslib.lab.forms import days as forms
from opslib.lab.forms.days import Cold, Mishap
from opslib.lab.forms.values import Range
from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.resources.placeholders import Drawn
from opslib.lab.traffic import traffic, troubles
from opslib.lab.traffic.lines import Texts
from opslib.lab.traffic.traffic import ANSWERED, CRASHED, TIMED_OUT, Request, identifier

_LONG_MS = 1_000  # what is shorter than any function's timeout


class Day(traffic.Traffic):
    """The requests that reach the function behind the API, by minute."""

    def __init__(
        self, place: Place, day: forms.Traffic, lines: forms.Lines, purpose: str = "traffic"
    ) -> None:
        super().__init__(place, day.function, day.per_minute, purpose)
        self.day = day
        self.behind = day.behind
        self.texts = Texts(lines, urlsplit(str(place.facts.get("api", {}).get("url", ""))).path)
        rng = names.generator(place, "users")
        self._users = [f"user-{rng.randrange(1, 8000):04d}" for _ in range(day.users)]
        low, high = day.items or (1, 0)
        self._items = range(int(low), int(high) + 1)
        self._limit_ms = lru_cache(64)(self._read_limit_ms)

    def ask(self, rng: Random) -> Request:
        """One request of a good day. What is drawn, and in which order, is what a seed means."""
        day = self.day
        second, luck, pick = rng.random() * 59, rng.random(), rng.random()
        for share, method, route, median in day.routes:  # noqa: B007 - the one that was picked is used below
            pick -= share
            if pick < 0:
                break
        path = route.replace("{item}", str(rng.choice(self._items))) if self._items else route
        latency = rng.lognormvariate(0, day.spread) * median
        status = day.created if method == "POST" else 200
        user = rng.choice(self._users) if self._users and path not in day.nobody else ""
        init_ms = 0.0
        if day.cold and _is_cold(day.cold, round(second, 3), rng):
            init_ms = _between(rng, day.cold.init_ms)
            latency += _between(rng, day.cold.plus_ms)
        mishap = next((each for each in day.mishaps if luck < each.below), None)
        asked = Request(
            "", round(second, 3), method, path, status, latency, user, round(init_ms, 2)
        )
        if mishap:
            asked = _befallen(mishap, asked, rng)
        return asked._replace(id=identifier(rng), latency_ms=round(asked.latency_ms, 2))

    def happened(self, minute: float) -> Sequence[Request]:
        """Also with what is wrong since then, and cut off where the version of then times out."""
        asked = troubles.applied(self.place, minute, super().happened(minute))
        if not any(request.latency_ms > _LONG_MS for request in asked):
            return asked
        return tuple(
            self._cut(minute, request) if request.latency_ms > _LONG_MS else request
            for request in asked
        )

    def _cut(self, minute: float, request: Request) -> Request:
        key = self.served(request.method, request.path)
        version = functions.live_at(self.place, key, traffic.at(minute, request))
        limit = self._limit_ms(key, version)
        if request.outcome != ANSWERED or request.latency_ms < limit:
            return request
        return request._replace(status=504, latency_ms=limit, outcome=TIMED_OUT, message="")

    def _read_limit_ms(self, key: str, version: str) -> float:
        """A version's timeout, which never changes."""
        return float(functions.version_of(self.place, key, version).timeout) * 1000

    def lines(self, asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
        return self.texts.request(asked, when, version, memory_mb)


def of(place: Place) -> Day | None:
    """The place's own; None where nothing asks."""
    held: Day | None = place.memory.get("traffic")
    return held


def _is_cold(cold: Cold, second: float, rng: Random) -> bool:
    return rng.random() < cold.share if cold.share else second < cold.within_s


def _between(rng: Random, limits: Range) -> float:
    low, high = limits
    return rng.uniform(low, high) if low < high else low


def _befallen(mishap: Mishap, asked: Request, rng: Random) -> Request:
    """What goes wrong on a good day."""
    ms = mishap.ms
    if isinstance(ms, tuple):
        ms = asked.latency_ms * ms[0] + ms[1]
    path = asked.path if mishap.path is None else mishap.path
    return asked._replace(
        method=mishap.method or asked.method,
        path=Drawn(rng).text(path),
        status=mishap.status or asked.status,
        latency_ms=asked.latency_ms if ms is None else ms,
        user=asked.user if mishap.user is None else mishap.user,
        message=mishap.message or "",
        outcome=CRASHED if mishap.crashed else ANSWERED,
    )
