"""What the functions' log groups say: the day before, each second since, and what a drill adds (and takes with it)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from opslib.lab.corrections.rhythms import MINUTE
from opslib.lab.estates.base import LogEvent, Place
from opslib.lab.estates.bluemoxon import jobs, lines, names, schedules
from opslib.lab.estates.bluemoxon.traffic import Request, traffic
from opslib.lab.kit import functions

Told = tuple[datetime, str]  # when, what
_CONTAINERS = 3
_STEP = timedelta(milliseconds=1)


def stream(place: Place, key: str, when: datetime, version: str, container: str = "0") -> str:
    """`2026/11/22/[3]<32 hex>`: one execution environment of a version, for a day."""
    digest = hashlib.md5(f"{place.world.seed}/{place.name}/{key}/{when:%j}/{version}/{container}".encode()).hexdigest()
    return f"{when:%Y/%m/%d}/[{version}]{digest}"


def write(place: Place, key: str, told: Iterable[Told], version: str = "") -> None:
    """The lines of one invocation. While a drill is on, they are in streams that go with it."""
    drills = place.memory.get("drills", {})
    drill = next(reversed(list(drills)), "")
    group, version = names.log_group(place, key), version or functions.live(place, key)
    events = [(when, stream(place, key, when, version, drill or "asked"), message) for when, message in told]
    drills.get(drill, set()).update((group, name) for _, name, _ in events)
    place.logs(group, events)


def spread(when: datetime, messages: Iterable[str]) -> list[Told]:
    """Lines a millisecond apart."""
    return [(when + at * _STEP, message) for at, message in enumerate(messages)]


def tell(place: Place, key: str, when: datetime, told: list[Told], duration_ms: float, id: str = "") -> None:
    """One invocation of the live version, as a drill has it happen: its own lines, framed."""
    identifier = id or f"{names.number(place, str(told)):08x}-5b0a-4d1f-9e77-{names.number(place, key):012x}"
    run = lines.Run(identifier, functions.live(place, key), functions.memory(place, key), duration_ms)
    start, end, report = lines.framed(run, [])
    over = when + timedelta(milliseconds=duration_ms)
    write(place, key, [(when, start), *told, (over, end), (over + _STEP, report)])


def retell(place: Place) -> None:
    """Writes the API's own lines anew, after a deployment that was told late or taken back."""
    logs, group = place.backend("logs"), names.log_group(place, "api")
    for name in place.memory["streams"]:
        if name in logs.groups[group].streams:
            logs.delete_log_stream(group, name)
    place.memory["streams"] = set()
    place.logs(group, list(requests(place, names.start(place) - timedelta(days=1), place.memory["told"])))


def append_day(place: Place, since: datetime, until: datetime) -> None:
    """What the functions wrote in (since, until] on their own: requests, scheduled runs."""
    place.logs(names.log_group(place, "api"), requests(place, since, until))
    for key in schedules.scheduled(place):
        version = functions.live(place, key)
        runs = [
            (run.when, _framed(place, key, version, run))
            for minute in _minutes(since, until)
            if (run := schedules.run_at(place, key, minute)) and since < run.when <= until
        ]
        events = [
            (when + at * _STEP, stream(place, key, when, version), text)
            for when, messages in runs
            for at, text in enumerate(messages)
        ]
        if events:
            place.logs(names.log_group(place, key), events)


def append_jobs(place: Place) -> None:
    """What the workers wrote of the last day's jobs."""
    for kind in jobs.KINDS:
        key = str(place.facts["jobs"][kind]["function"])
        version, events = functions.live(place, key), []
        for job in jobs.history(place, kind):
            if job.started_at and job.finished_at and job.started_at > names.start(place) - timedelta(days=1):
                name = stream(place, key, job.started_at, version)
                run = lines.Run(str(job.id), version, functions.memory(place, key), 0.0)
                run = run._replace(duration_ms=(job.finished_at - job.started_at).total_seconds() * 1000)
                texts = lines.framed(run, lines.job_done(job))
                events += [(job.started_at, name, text) for text in texts[:2]]
                events += [(job.finished_at, name, text) for text in texts[2:]]
        place.logs(names.log_group(place, key), events)


def requests(place: Place, since: datetime, until: datetime) -> Iterator[LogEvent]:
    """The API's lines of (since, until]. A version that is bad fails the first requests of each minute."""
    seen, memory = traffic(place), functions.memory(place, "api")
    for minute in _minutes(since, until):
        for number, asked in enumerate(seen.at(minute)):
            when = datetime.fromtimestamp(minute + asked.second, UTC)
            if since < when <= until:
                yield from _told(place, asked, number, when, memory, number < seen.bad(minute))


def _told(place: Place, asked: Request, number: int, when: datetime, memory: int, first: bool) -> Iterator[LogEvent]:
    version = functions.live_at(place, "api", when)
    fails = first and functions.is_bad(place, "api", version)
    name = stream(place, "api", when, version, str(number % _CONTAINERS))
    place.memory.setdefault("streams", set()).add(name)
    for at, text in spread(when, lines.request(asked, when, version, memory, fails)):
        yield at, name, text


def _framed(place: Place, key: str, version: str, run: schedules.Run) -> list[str]:
    status = "timeout" if run.failed else ""
    frame = lines.Run(run.id, version, functions.memory(place, key), run.duration_ms, status=status)
    return lines.framed(frame, run.messages)


def _minutes(since: datetime, until: datetime) -> Iterator[float]:
    minute = since.timestamp() // MINUTE * MINUTE
    while minute <= until.timestamp():
        yield minute
        minute += MINUTE
