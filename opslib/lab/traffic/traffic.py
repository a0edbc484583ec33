"""What people and machines ask of an API each minute.

A pure function of the minute and of the lab's seed.

Log lines and metrics are both made from what `happened`, so they agree with one another.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import NamedTuple

from opslib.lab import rhythms
from opslib.lab.aws.copies import lasting
from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.rhythms import MINUTE

ANSWERED, CRASHED, TIMED_OUT, THROTTLED = "answered", "crashed", "timed out", "throttled"
# A bad version fails at least so often in each of five minutes: an alarm's 10 in five minutes are
# passed at night too.
_FLOOR = (3, 3, 2, 3, 2)
_BAD_SHARE = 0.25


@lasting
class Request(NamedTuple):
    """One request of the day. `second`: when in its minute. `outcome`.

    What became of the function's run.
    """

    id: str
    second: float
    method: str
    path: str
    status: int
    latency_ms: float
    user: str = ""
    init_ms: float = 0.0  # not part of the latency, as Lambda counts it
    outcome: str = ANSWERED
    message: str = ""  # what the app's log says of it beside the rest


@lasting
class Traffic(ABC):
    """The requests that reach an API, by minute, and what its function's log says of each."""

    def __init__(
        self, place: Place, key: str, per_minute: tuple[float, float], purpose: str = "traffic"
    ) -> None:
        """`key`: the function behind the API, but for what another one is `behind`.

        `per_minute`: requests at night and at the peak.
        """
        self.place, self.key = place, key
        self.behind: Mapping[str, str] = {}  # other functions, by `GET /path`
        self._number = names.number(place, purpose)
        self._rate = rhythms.counts(
            rhythms.daily_rhythm(*per_minute, 0.15, self._number), self._number + 1
        )
        self.at = lru_cache(4096)(self._at)

    def forget(self) -> None:
        """The day itself stays; forgotten is what was read of the place, which is put back."""
        for name, value in vars(self).items():
            if name != "at" and hasattr(value, "cache_clear"):
                value.cache_clear()

    @abstractmethod
    def ask(self, rng: Random) -> Request:
        """One request of a good day."""

    @abstractmethod
    def lines(self, asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
        """What the function's log says of a request, START to REPORT."""

    def _at(self, minute: float) -> tuple[Request, ...]:
        """The requests of the minute that begins at this epoch second."""
        rng = Random(int(rhythms.chance(self._number + 2, minute) * 2**53))
        return tuple(
            sorted((self.ask(rng) for _ in range(int(self._rate(minute)))), key=lambda r: r.second)
        )

    def happened(self, minute: float) -> Sequence[Request]:
        """What became of a minute's requests.

        A version that is bad fails the first of each minute.
        """
        asked = self.at(minute)
        bad = {key for key, _ in self.place.memory.get("bad", ())}
        mine, others = list[Request](), list[Request]()
        for request in asked if bad else ():
            of = mine if self.served(request.method, request.path) in bad else others
            of.append(request)
        if not mine:
            return asked
        first = max(_FLOOR[int(minute // MINUTE) % 5], round(len(mine) * _BAD_SHARE))
        failed = [self._failed(minute, request) for request in mine[:first]]
        return (*failed, *mine[first:], *others)

    @property
    def keys(self) -> list[str]:
        """The functions behind the API."""
        return [*dict.fromkeys([self.key, *self.behind.values()])]

    def served(self, method: str, path: str) -> str:
        """The function that answers a request: of its route, else of the route that it is below."""
        below = "/" + path.strip("/").partition("/")[0]
        known = self.behind.get
        return known(f"{method} {path}") or known(f"{method} {below}", self.key)

    def _failed(self, minute: float, request: Request) -> Request:
        key = self.served(request.method, request.path)
        version = functions.live_at(self.place, key, at(minute, request))
        bad = functions.is_bad(self.place, key, version)
        return request._replace(status=500, outcome=CRASHED) if bad else request


def at(minute: float, request: Request) -> datetime:
    """When a request of a minute came."""
    return datetime.fromtimestamp(minute + request.second, UTC)


def of(place: Place) -> Traffic:
    """The place's own, which its seed put there."""
    held: Traffic = place.memory["traffic"]
    return held


def state(place: Place) -> tuple[float, str]:
    """All that a minute's requests depend on beside the seed, and since when any of it is there."""
    promoted, troubles = place.memory.get("promotions", {}), place.faults.get("traffic", {})
    since = [when for each in promoted.values() for when, _ in each[1:]]
    since += [trouble.since for held in troubles.values() for trouble in held]
    told = f"{troubles} {place.memory.get('bad')} {promoted}"
    return min((when.timestamp() for when in since), default=math.inf), told


def identifier(rng: Random) -> str:
    """A request's id."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
