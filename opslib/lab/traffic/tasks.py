"""What is asked of services: their tasks' log lines, what load balancer and ECS count of it.

All of it is made from what `Served.happened` in a minute, so lines and metrics agree. Requests
that find no healthy target are answered 503 by the load balancer, those that take longer than it
waits 504: no task says so. (A load balancer whose targets all fail sends requests to them all the
same; but ECS takes such tasks out of the group as fast as it brings new ones.)
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from opslib.lab import rhythms
from opslib.lab.aws.ground import LogEvent
from opslib.lab.corrections.ecs import services as ecs
from opslib.lab.corrections.logs import log_stores
from opslib.lab.forms import data
from opslib.lab.forms import days as forms
from opslib.lab.places import Place
from opslib.lab.resources import names, services
from opslib.lab.rhythms import Samples
from opslib.lab.traffic import days, journals, troubles
from opslib.lab.traffic.traffic import ANSWERED, CRASHED, THROTTLED, TIMED_OUT, Request, at

_WAITS_MS = 60_000.0  # idle_timeout.timeout_seconds of a load balancer, when nobody set it
_FREE = 0.8  # so busy tasks are as quick as idle ones
_SLOWER = 10.0  # times, for each task that is missing
_LIVED = timedelta(seconds=30)  # what ends sooner has served nobody
_MINUTES = 10_000  # whose requests are kept for who asks again
_KEPT = timedelta(hours=1)  # ECS forgets tasks that stopped
_FAULTS = ("traffic", "busy", "targets", "targets since")  # that change what becomes of requests
_BALANCERS = (502, 503, 504)
Put = Callable[[str, Mapping[str, str], rhythms.Baseline, str], None]
Span = tuple[float, float]  # epoch seconds from when to when a task ran


class Served(days.Day):
    """The requests to a service, by minute. `cpu`: percent of its usual tasks, by the minute."""

    def __init__(
        self, place: Place, key: str, day: forms.Traffic, lines: forms.Lines, cpu: rhythms.Rhythm
    ) -> None:
        super().__init__(place, day, lines, f"traffic of {key}")
        self.key, self._cpu = key, cpu
        self.facts = place.facts["services"][key]
        self._usual = float(self.facts.get("tasks", services.COUNT))

    @property
    def keys(self) -> list[str]:
        return [self.key]

    def happened(self, minute: float) -> Sequence[Request]:
        """Looked for once while nothing changes: each metric asks for the same."""
        held = _scratch(self.place).setdefault(self.key, {})
        if minute not in held:
            held[minute] = self._happened(minute)
        found: Sequence[Request] = held[minute]
        return found

    def _happened(self, minute: float) -> Sequence[Request]:
        asked = troubles.applied(self.place, minute, self.at(minute), self.key)
        load, targets = self.load(minute), bool(self.healthy(minute))
        behind = "target_group" in self.facts
        return [self._met(each, load, targets or not behind) for each in asked]

    def _met(self, request: Request, load: float, taken: bool) -> Request:
        if not taken:
            return request._replace(status=503, latency_ms=1.0, outcome=THROTTLED)
        ms = request.latency_ms * (1 + _SLOWER * max(0.0, load - _FREE))
        if ms > _WAITS_MS and "target_group" in self.facts:
            return request._replace(status=504, latency_ms=round(ms, 2), outcome=TIMED_OUT)
        return request if load <= _FREE else request._replace(latency_ms=round(ms, 2))

    def load(self, minute: float) -> float:
        """How busy a task is, if it could be as busy as is asked: 1 is all that it has."""
        needed = self._cpu(minute) / 100 * self._usual
        for since, more in self.place.faults.get("busy", {}).get(self.key, ()):
            needed += more if minute >= since else 0.0
        return needed / max(1, len(running(self.place, self.key, minute)))

    def cpu(self, minute: float) -> float | None:
        """Percent, as ECS has it; None while nothing runs."""
        return min(99.8, 100 * self.load(minute)) if running(self.place, self.key, minute) else None

    def healthy(self, minute: float) -> list[str]:
        """The tasks that the load balancer sends requests to."""
        group = self.facts.get("target_group", "")
        since = self.place.faults.get("targets since", {}).get(group)
        fails = group in self.place.faults.get("targets", {}) and (not since or minute >= since)
        return [] if fails else running(self.place, self.key, minute)

    def lines(self, asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
        """What a task writes. It does not know that the load balancer did not wait for it."""
        if asked.outcome == CRASHED and not asked.message:
            return [self.texts.thrown(when, asked.id)]
        own = asked._replace(status=200) if asked.outcome == TIMED_OUT else asked
        return [self.texts.line(own, when)]


def of(place: Place) -> dict[str, Served]:
    """By service; empty where the target's file names none."""
    held: dict[str, Served] = place.memory.get("served", {})
    return held


def seed(place: Place, about: data.Data) -> None:
    """What is asked of each service on a day, and what is measured of it."""
    for key in place.facts["services"]:
        day = about.services.traffic.get(key) or _quiet(place.facts["services"][key])
        number = names.number(place, f"service {key}")
        cpu = rhythms.daily_rhythm(*about.services.cpu, 0.12, number)
        served = Served(place, key, day, about.lines, cpu)
        place.memory.setdefault("served", {})[key] = served
        memory = rhythms.daily_rhythm(*about.services.memory, 0.12, number + 1)
        _measure(place, key, served, memory)
    _measure_balancers(place)


def _quiet(facts: Mapping[str, Any]) -> forms.Traffic:
    routes = [(1.0, "GET", str(facts.get("health", "/")), 60.0)]
    return forms.Traffic(per_minute=(2, 6), routes=routes)


def running(place: Place, key: str, minute: float) -> list[str]:
    """The ids of the tasks that ran in a minute, by when they started.

    Before the first that is known others ran: the first stand for them.
    """
    ran = _scratch(place)["ran"]
    if key not in ran:  # it is only now being seeded
        ran[key] = _ran(place, key)
    held: dict[str, Span] = ran[key]
    first = min((start for start, _ in held.values()), default=0.0)
    minute = max(minute, first)
    found = [id for id, (start, end) in held.items() if start < minute + 60 and end > minute]
    return sorted(found, key=lambda id: held[id])


def observe(place: Place) -> None:
    """What happened is looked for anew: a drill has changed it."""
    place.memory.pop("found out", None)


def _scratch(place: Place) -> dict[Any, Any]:
    """What was found out since tasks and faults are as they are, which is looked at once a second.

    `ran`: when tasks ran, by service; by service, the requests of a minute.
    """
    second, known = int(place.now().timestamp()), place.memory.get("found out")
    if known is None or known[0] != second:
        ran = {key: _ran(place, key) for key in of(place)}
        state = f"{[place.faults.get(kind) for kind in _FAULTS]} {ran}"
        held = known[2] if known and known[1] == state and _few(known[2]) else {"ran": ran}
        known = place.memory["found out"] = second, state, held
    found: dict[Any, Any] = known[2]
    return found


def _state(place: Place) -> tuple[float, str]:
    """All that a minute's requests to services depend on, beside the seed: tasks are never twice
    the same, so that every minute is asked for anew.
    """
    _scratch(place)
    return -math.inf, str(place.memory["found out"][1])


def _few(held: dict[Any, Any]) -> bool:
    return sum(map(len, held.values())) < _MINUTES


def _ran(place: Place, key: str) -> dict[str, Span]:
    """Those that ECS knows, and those that it has forgotten since they were seen here."""
    facts = place.facts["services"][key]
    scheduler = ecs.find(place.account, place.region, facts["cluster"], facts["name"])
    told: dict[str, Span] = {}
    for task in scheduler.tasks:
        end = task.get("stoppingAt")
        if "startedAt" in task and not (end and end - task["startedAt"] < _LIVED):
            span = task["startedAt"].timestamp(), end.timestamp() if end else float("inf")
            told[task["taskArn"].rpartition("/")[2]] = span
    held: dict[str, Span] = place.memory.setdefault("ran", {}).setdefault(key, {})
    gone = (place.now() - _KEPT).timestamp()
    old = {id: span for id, span in held.items() if span[1] <= gone}
    place.memory["ran"][key] = old | told
    return old | told


def append(place: Place, since: datetime, until: datetime) -> None:
    """What the tasks wrote in (since, until]."""
    for key, served in of(place).items():
        place.logs(services.log_group(place, key), _events(place, served, since, until))


def retell(place: Place, since: datetime) -> None:
    """Writes their lines since then anew, from the start of that minute."""
    observe(place)
    begin = max(since, names.start(place) - timedelta(days=1)).replace(second=0, microsecond=0)
    for key in of(place):
        group = place.backend("logs").groups.get(services.log_group(place, key))
        if group is not None:
            streams = place.memory.get("task streams", set())
            log_stores.cut(group, streams, int(begin.timestamp() * 1000))
    append(place, begin - journals.STEP, place.memory["ticked"])


def _events(place: Place, served: Served, since: datetime, until: datetime) -> Iterator[LogEvent]:
    """Each in the stream of its task, as the driver awslogs names it: prefix, container, task."""
    streams = place.memory.setdefault("task streams", set())
    container = served.facts.get("container", "app")
    for minute in journals.minutes(since, until):
        ids = running(place, served.key, minute)
        for number, asked in enumerate(served.happened(minute) if ids else ()):
            when = at(minute, asked)
            if since < when <= until and asked.outcome != THROTTLED:
                name = f"{container}/{container}/{ids[number % len(ids)]}"
                streams.add(name)
                for each, text in journals.spread(when, served.lines(asked, when, "", 0)):
                    yield each, name, text


def _measure(place: Place, key: str, served: Served, memory: rhythms.Rhythm) -> None:
    facts = served.facts
    of = {"ClusterName": facts["cluster"], "ServiceName": facts["name"]}
    tasks = partial(_many, partial(running, place, key))
    put = partial(place.metrics.baseline, state=partial(_state, place))
    put("AWS/ECS", "CPUUtilization", of, served.cpu, "Percent")
    put("AWS/ECS", "MemoryUtilization", of, memory, "Percent")
    put("ECS/ContainerInsights", "RunningTaskCount", of, tasks, "Count")


def _many(of: Callable[[float], list[str]], minute: float) -> float:
    return float(len(of(minute)))


def _measure_balancers(place: Place) -> None:
    """Each target group's requests, and those of all that are behind one load balancer together."""
    behind: Mapping[str, Mapping[str, str]] = place.memory.get("behind", {})
    together: dict[str, list[Served]] = {}
    put = partial(place.metrics.baseline, "AWS/ApplicationELB", state=partial(_state, place))
    for key, both in behind.items():
        served = of(place)[key]
        together.setdefault(both["LoadBalancer"], []).append(served)
        _measure_requests(put, [served], both)
        healthy = partial(_many, served.healthy)
        put("HealthyHostCount", both, healthy, "Count")
        failing = partial(_failing, place, served)
        put("UnHealthyHostCount", both, failing, "Count")
    for name, every in together.items():
        _measure_requests(put, every, {"LoadBalancer": name})
        _measure_unserved(put, every, {"LoadBalancer": name})


def _failing(place: Place, served: Served, minute: float) -> float:
    return float(len(running(place, served.key, minute)) - len(served.healthy(minute)))


def _happened(every: Sequence[Served], minute: float) -> Iterator[Request]:
    for served in every:
        yield from served.happened(minute)


def _counted(
    every: Sequence[Served], which: Callable[[Request], bool], none: float | None
) -> rhythms.Baseline:
    return lambda minute: float(sum(map(which, _happened(every, minute)))) or none


def _measure_requests(put: Put, every: Sequence[Served], of: Mapping[str, str]) -> None:
    """A target's 5xx are counted also where there are none.

    RequestCount leaves out what no target could be chosen for.
    """

    def took(minute: float) -> Samples | None:
        asked = (each for each in _happened(every, minute) if _is_target(each))
        values = [each.latency_ms / 1000 for each in asked]
        return Samples(values, [1.0] * len(values)) if values else None

    put("RequestCount", of, _counted(every, lambda r: r.outcome != THROTTLED, 0.0), "Count")
    put("TargetResponseTime", of, took, "Seconds")
    for hundred in (2, 4, 5):
        fn = _counted(every, lambda r, h=hundred: _is_target(r) and r.status // 100 == h, 0.0)  # type: ignore[misc]
        put(f"HTTPCode_Target_{hundred}XX_Count", of, fn, "Count")


def _measure_unserved(put: Put, every: Sequence[Served], of: Mapping[str, str]) -> None:
    """The load balancer's own answers, counted where there are some."""
    for status in _BALANCERS:
        fn = _counted(every, lambda r, s=status: not _is_target(r) and r.status == s, None)  # type: ignore[misc]
        put(f"HTTPCode_ELB_{status}_Count", of, fn, "Count")
    put("HTTPCode_ELB_5XX_Count", of, _counted(every, lambda r: not _is_target(r), None), "Count")


def _is_target(request: Request) -> bool:
    """Whether a task answered, and not the load balancer in its place."""
    return request.outcome in (ANSWERED, CRASHED) and request.status not in _BALANCERS
