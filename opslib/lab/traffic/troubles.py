"""What is different about the requests while something is wrong: put in and taken out by a drill.

    since = place.now() - timedelta(minutes=45)
    troubles.put(place, "slow-query", Trouble(since, route=("GET", "/spans"), factor=25))
    troubles.take(place, "slow-query")

The log is then told anew since that time (`journals.retell`). The metrics of Lambda and of API
Gateway, and the system's own, are made from the same requests. What takes longer than the timeout
of the version that was live then is cut off by itself. A version that is bad is not a trouble: verb
`deploy`. A line that is no request's: verb `lines`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from opslib.lab import rhythms
from opslib.lab.places import Place
from opslib.lab.rhythms import MINUTE
from opslib.lab.traffic.traffic import ANSWERED, CRASHED, THROTTLED, Request, at, identifier

_THROTTLED_MS = 4.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """Which requests, and what becomes of them.

    bursts:       (10, 3): only in the first 3 of each 10 minutes
    route:        ("GET", "/spans"), or None: every request but the health checks
    share:        of these requests, picked by chance; the same ones each time
    factor:       their durations times this
    spread:       and spread about it: the sigma of a log-normal distribution, 0 to 1
    plus_ms:      and longer by this, lowest and highest
    init_ms:      each starts a new environment, which takes so long, lowest and highest (not part
                  of the duration)
    status:       answered with this; 500 and above: the function failed (Errors), the log says
                  `message` as ERROR
    message:      what the app's log line says
    throttled:    never reaches the function: no lines, Throttles instead of Invocations; API
                  Gateway answers `status`
    added:        so many more requests a minute of `route` with all this, instead of a change to
                  those that are there
    user:         and whose those are
    service:      of a service of the target, and not of the API
    """

    bursts: tuple[int, int] = (1, 1)
    route: tuple[str, str] | None = None
    share: float = 1.0
    factor: float = 1.0
    spread: float = 0.0
    plus_ms: tuple[float, float] = (0.0, 0.0)
    init_ms: tuple[float, float] | None = None
    status: int = 0
    message: str = ""
    throttled: bool = False
    added: float = 0.0
    user: str = ""
    service: str = ""


@dataclass(frozen=True)
class Trouble(Change):
    """A change since a time.

    since, until: from when to when (None: goes on)
    lasts:        asked at each tick; when it says no, the trouble is over at that time (what a
                  repair ended)
    """

    since: datetime
    until: datetime | None = None
    lasts: Callable[[Place], bool] | None = None

    def touches(self, minute: float) -> bool:
        """Whether it may change a minute's requests."""
        if minute + MINUTE <= self.since.timestamp() or (
            self.until and minute > self.until.timestamp()
        ):
            return False
        return int(minute // MINUTE) % self.bursts[0] < self.bursts[1]

    def meets(self, minute: float, request: Request) -> bool:
        """Whether a request is of those that it is about, before its share is taken."""
        if request.outcome != ANSWERED or not self.fits(request):
            return False
        when = at(minute, request)
        return self.since <= when and (self.until is None or when < self.until)

    def fits(self, request: Request) -> bool:
        if self.route:
            return (request.method, request.path) == self.route
        return not request.path.startswith("/health")


def put(place: Place, name: str, *troubles: Trouble) -> None:
    """Adds to those of that name."""
    held = place.faults.setdefault("traffic", {})
    held[name] = (*held.get(name, ()), *troubles)


def take(place: Place, name: str) -> None:
    """Takes them out."""
    place.faults.get("traffic", {}).pop(name, None)


def tick(place: Place, now: datetime) -> None:
    """Ends what a repair has ended."""
    for name, held in place.faults.get("traffic", {}).items():
        if any(_over(place, each) for each in held):
            place.faults["traffic"][name] = tuple(
                replace(trouble, until=now) if _over(place, trouble) else trouble
                for trouble in held
            )


def _over(place: Place, trouble: Trouble) -> bool:
    return trouble.until is None and trouble.lasts is not None and not trouble.lasts(place)


def applied(
    place: Place, minute: float, asked: Sequence[Request], service: str = ""
) -> Sequence[Request]:
    """A minute's requests with what is wrong then: of the API, or of a service."""
    for name, held in place.faults.get("traffic", {}).items():
        for trouble in held:
            if trouble.service == service and trouble.touches(minute):
                asked = tuple(_with(name, trouble, minute, asked))
    return asked


def _with(
    name: str, trouble: Trouble, minute: float, asked: Sequence[Request]
) -> Iterator[Request]:
    if trouble.added:
        drawn = _added(name, trouble, minute)
        more = (request for request in drawn if trouble.meets(minute, request))
        yield from sorted((*asked, *more), key=lambda request: request.second)
        return
    for request in asked:
        if trouble.meets(minute, request):
            rng = Random(f"{name}/{request.id}")
            yield _changed(trouble, request, rng) if rng.random() < trouble.share else request
        else:
            yield request


def _added(name: str, trouble: Trouble, minute: float) -> Iterator[Request]:
    """The same for the same minute after the lab's start, as all of the traffic."""
    rng = Random(f"{name}/{rhythms.chance(name, minute)}")
    method, path = trouble.route or ("GET", "/")
    for _ in range(math.floor(trouble.added + rng.random())):
        latency = rng.lognormvariate(0, 0.42) * 40
        status = 201 if method == "POST" else 200
        id, second = identifier(rng), round(rng.random() * 59, 3)
        request = Request(id, second, method, path, status, latency, trouble.user)
        yield _changed(trouble, request, rng)


def _changed(trouble: Trouble, request: Request, rng: Random) -> Request:
    if trouble.throttled:
        status = trouble.status or 429
        return request._replace(
            status=status, latency_ms=_THROTTLED_MS, init_ms=0.0, outcome=THROTTLED
        )
    latency = request.latency_ms * trouble.factor * rng.lognormvariate(0, trouble.spread)
    latency += rng.uniform(*trouble.plus_ms)
    return request._replace(
        latency_ms=round(latency, 2),
        init_ms=round(rng.uniform(*trouble.init_ms), 2) if trouble.init_ms else request.init_ms,
        status=trouble.status or request.status,
        message=trouble.message or request.message,
        outcome=CRASHED if trouble.status >= 500 else request.outcome,
    )
