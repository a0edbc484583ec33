"""What the functions' log groups say.

The API's requests, single invocations, and what a drill adds and takes with it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache

from opslib.lab.aws.ground import LogEvent
from opslib.lab.corrections.logs import log_stores
from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.rhythms import MINUTE
from opslib.lab.traffic import lines, traffic

Told = tuple[datetime, str]  # when, what
_CONTAINERS = 3
STEP = timedelta(milliseconds=1)


def stream(place: Place, key: str, when: datetime, version: str, container: str = "0") -> str:
    """`2026/11/22/[3]<32 hex>`: one execution environment of a version, for a day."""
    return _stream(f"{place.world.seed}/{place.name}/{key}", when.date(), version, container)


@lru_cache(1024)
def _stream(whose: str, day: date, version: str, container: str) -> str:
    digest = hashlib.md5(f"{whose}/{day:%j}/{version}/{container}".encode()).hexdigest()
    return f"{day:%Y/%m/%d}/[{version}]{digest}"


def write(place: Place, key: str, told: Iterable[Told], version: str = "") -> None:
    """The lines of one invocation. While a drill is on, they are in streams that go with it."""
    drills = place.memory.get("drills", {})
    drill = next(reversed(list(drills)), "")
    group, version = names.log_group(place, key), version or functions.live(place, key)
    events = [
        (when, stream(place, key, when, version, drill or "asked"), message)
        for when, message in told
    ]
    drills.get(drill, set()).update((group, name) for _, name, _ in events)
    place.logs(group, events)


def spread(when: datetime, messages: Iterable[str]) -> list[Told]:
    """Lines a millisecond apart."""
    return [(when + at * STEP, message) for at, message in enumerate(messages)]


def tell(
    place: Place, key: str, when: datetime, told: list[Told], duration_ms: float, id: str = ""
) -> None:
    """One invocation of the live version, as a drill has it happen: its own lines, framed."""
    identifier = (
        id or f"{names.number(place, str(told)):08x}-5b0a-4d1f-9e77-{names.number(place, key):012x}"
    )
    run = lines.Run(
        identifier, functions.live(place, key), functions.memory(place, key), duration_ms
    )
    start, end, report = lines.framed(run, [])
    over = when + timedelta(milliseconds=duration_ms)
    write(place, key, [(when, start), *told, (over, end), (over + STEP, report)])


def begin(place: Place, drill: str) -> None:
    """From now on, what happens is told in this drill's streams."""
    place.memory.setdefault("drills", {})[drill] = set()


def erase(place: Place, drill: str) -> None:
    """Takes away every line that was written for a drill or while it was on, and every point."""
    for namespace, metric, dimensions, minute, value in place.memory.get("points", {}).pop(
        drill, []
    ):
        place.metrics.drop(namespace, metric, dimensions, minute, value)
    _delete(place, place.memory.get("drills", {}).pop(drill, set()))


def _delete(place: Place, streams: Iterable[tuple[str, str]]) -> None:
    logs = place.backend("logs")
    for group, name in streams:
        if group in logs.groups and name in logs.groups[group].streams:
            logs.delete_log_stream(group, name)


def append_requests(place: Place, since: datetime, until: datetime) -> None:
    """What the functions behind the API wrote in (since, until] of the day's requests."""
    place.memory["told"] = until
    told: dict[str, list[LogEvent]] = {key: [] for key in traffic.of(place).keys}
    for key, event in _requests(place, since, until):
        told[key].append(event)
    for key, events in told.items():
        place.logs(names.log_group(place, key), events)


def retell(place: Place, since: datetime) -> None:
    """Writes the lines of the requests since then anew, from the start of that minute.

    After something that was told late or taken back.
    """
    begin = max(since, names.start(place) - timedelta(days=1)).replace(second=0, microsecond=0)
    for key in traffic.of(place).keys:
        group = place.backend("logs").groups[names.log_group(place, key)]
        log_stores.cut(group, place.memory["streams"], int(begin.timestamp() * 1000))
    append_requests(place, begin - STEP, place.memory["told"])


def _requests(place: Place, since: datetime, until: datetime) -> Iterator[tuple[str, LogEvent]]:
    """Each with the function whose line it is."""
    seen, streams = traffic.of(place), place.memory.setdefault("streams", set())
    memory = {key: functions.memory(place, key) for key in seen.keys}
    for minute in minutes(since, until):
        for number, asked in enumerate(seen.happened(minute)):
            when = traffic.at(minute, asked)
            if since < when <= until and asked.outcome != traffic.THROTTLED:
                key = seen.served(asked.method, asked.path)
                version = functions.live_at(place, key, when)
                name = stream(place, key, when, version, str(number % _CONTAINERS))
                streams.add(name)
                for at, text in spread(when, seen.lines(asked, when, version, memory[key])):
                    yield key, (at, name, text)


def minutes(since: datetime, until: datetime) -> Iterator[float]:
    """The starts of the minutes that a window touches, as epoch seconds."""
    minute = since.timestamp() // MINUTE * MINUTE
    while minute <= until.timestamp():
        yield minute
        minute += MINUTE
