"""The functions that run by the clock: their log lines and what Lambda counts of them."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, NamedTuple

from opslib.lab import rhythms
from opslib.lab.aws.ground import LogEvent
from opslib.lab.forms.days import Clock
from opslib.lab.places import Place
from opslib.lab.resources import functions, names
from opslib.lab.traffic import lines
from opslib.lab.traffic.journals import STEP, minutes, stream

_CHANCE = re.compile(r"\{(\d+)-(\d+)\}")


class Run(NamedTuple):
    """One scheduled invocation."""

    when: datetime
    id: str
    duration_ms: float
    failed: bool
    messages: list[str]


def clocks(place: Place) -> dict[str, Clock]:
    """Those of the functions that are here, by key."""
    known = place.memory["data"].functions.clocks
    return {key: clock for key, clock in known.items() if key in place.facts["functions"]}


def run_at(place: Place, key: str, clock: Clock, minute: float) -> Run | None:
    """The run that starts in the minute that begins at this epoch second, if any."""
    of_day = round(rhythms.hour_of_day(minute) * 60)
    if of_day % clock.every != clock.at:
        return None
    rng = Random(f"{names.number(place, key)}/{rhythms.chance(0, minute)}")
    when = datetime.fromtimestamp(minute + 1 + 20 * rng.random(), UTC)
    begins = f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}"
    id = f"{begins}-4c1e-9a2b-{rng.getrandbits(48):012x}"
    if of_day == clock.late:
        seconds = functions.live_function(place, key).timeout
        text = f"{when:%Y-%m-%dT%H:%M:%S}.114Z {id} Task timed out after {seconds}.00 seconds"
        return Run(when, id, seconds * 1000.0, True, [text])
    messages = [_line(rng, when, each) for each in clock.lines]
    return Run(when, id, rng.uniform(*clock.ms), False, messages)


def _line(rng: Random, when: datetime, line: Any) -> str:
    if isinstance(line, str):
        return str(_drawn(rng, line))
    return lines.entry("INFO", when, **{name: _drawn(rng, value) for name, value in line.items()})


def _drawn(rng: Random, value: Any) -> Any:
    """`{12-59}` is a number by chance; alone, it stays a number."""

    def number(found: re.Match[str]) -> int:
        return rng.randrange(int(found[1]), int(found[2]) + 1)

    if not isinstance(value, str):
        return value
    if alone := _CHANCE.fullmatch(value):
        return number(alone)
    return _CHANCE.sub(lambda found: str(number(found)), value)


def measure(place: Place) -> None:
    for key, clock in clocks(place).items():
        dimensions = {"FunctionName": names.function(place, key)}
        run = partial(run_at, place, key, clock)

        def of(value: Callable[[Run], float], run: Any = run) -> Callable[[float], float | None]:
            return lambda minute: value(found) if (found := run(minute)) else None

        for metric, fn, unit in (
            ("Invocations", of(lambda each: 1.0), "Count"),
            ("Errors", of(lambda each: float(each.failed)), "Count"),
            ("Duration", of(lambda each: each.duration_ms), "Milliseconds"),
            ("Throttles", of(lambda each: 0.0), "Count"),
        ):
            place.metrics.baseline("AWS/Lambda", metric, dimensions, fn, unit)


def append(place: Place, since: datetime, until: datetime) -> None:
    """What they wrote in (since, until]."""
    for key, clock in clocks(place).items():
        if events := [*_events(place, key, clock, since, until)]:
            place.logs(names.log_group(place, key), events)


def _events(
    place: Place, key: str, clock: Clock, since: datetime, until: datetime
) -> Iterator[LogEvent]:
    version, memory = functions.live(place, key), functions.memory(place, key)
    for minute in minutes(since, until):
        run = run_at(place, key, clock, minute)
        if run and since < run.when <= until:
            status = "timeout" if run.failed else ""
            frame = lines.Run(run.id, version, memory, run.duration_ms, status=status)
            for at, text in enumerate(lines.framed(frame, run.messages)):
                yield run.when + at * STEP, stream(place, key, run.when, version), text
