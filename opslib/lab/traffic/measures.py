"""The metrics that Lambda and API Gateway would write of an API's traffic,
and of single invocations.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from opslib.lab import rhythms
from opslib.lab.forms import days as forms
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.placeholders import filled
from opslib.lab.rhythms import Samples
from opslib.lab.traffic import traffic
from opslib.lab.traffic.traffic import ANSWERED, CRASHED, THROTTLED, TIMED_OUT, Request

COUNT, MILLISECONDS = "Count", "Milliseconds"
_DAY_SECONDS = 86_400.0
_OVERHEAD_MS, _INTEGRATION_MS = 9.0, 2.0  # what API Gateway adds to an answer
Measured = Callable[[float], float | Samples | None]


def api(place: Place) -> None:
    """Exactly the requests that the log tells of, and those that never reached the function."""
    for key in traffic.of(place).keys:
        _function(place, key)
    gateway = {"ApiId": names.gateway(place)}
    for metric, fn, unit in (
        ("Count", _counted(place, _all), COUNT),
        ("4xx", _marked(place, _all, lambda r: r.status // 100 == 4), COUNT),
        ("5xx", _marked(place, _all, lambda r: r.status // 100 == 5), COUNT),
        (
            "Latency",
            _values(place, _all, lambda r: r.latency_ms + r.init_ms + _OVERHEAD_MS),
            MILLISECONDS,
        ),
        (
            "IntegrationLatency",
            _values(place, _all, lambda r: r.latency_ms + r.init_ms + _INTEGRATION_MS),
            MILLISECONDS,
        ),
    ):
        _put(place)("AWS/ApiGateway", metric, gateway, fn, unit)


def _function(place: Place, key: str) -> None:
    """Of the requests that are its own."""
    seen, function = traffic.of(place), {"FunctionName": names.function(place, key)}

    def mine(request: Request) -> bool:
        return seen.served(request.method, request.path) == key

    def ran(request: Request) -> bool:
        return _ran(request) and mine(request)

    for metric, fn, unit in (
        ("Invocations", _counted(place, ran), COUNT),
        ("Errors", _marked(place, ran, _failed), COUNT),
        ("Throttles", _counted(place, lambda r: not _ran(r) and mine(r)), COUNT),
        ("Duration", _values(place, ran, lambda r: r.latency_ms), MILLISECONDS),
        (
            "ConcurrentExecutions",
            lambda m: float(1 + sum(map(mine, seen.at(m))) // 6),
            COUNT,
        ),
    ):
        _put(place)("AWS/Lambda", metric, function, fn, unit)


def _put(place: Place) -> Callable[..., None]:
    """A baseline that is made of requests."""
    return partial(place.metrics.baseline, state=partial(traffic.state, place))


def _all(request: Request) -> bool:
    return True


def _ran(request: Request) -> bool:
    return request.outcome != THROTTLED


def _failed(request: Request) -> bool:
    return request.outcome in (CRASHED, TIMED_OUT)


def _counted(place: Place, which: Callable[[Request], bool]) -> Measured:
    return lambda minute: float(sum(map(which, traffic.of(place).happened(minute))))


def _values(
    place: Place, which: Callable[[Request], bool], value: Callable[[Request], float]
) -> Measured:
    def fn(minute: float) -> Samples | None:
        values = [
            value(request) for request in traffic.of(place).happened(minute) if which(request)
        ]
        return Samples(values, [1.0] * len(values)) if values else None

    return fn


def _marked(
    place: Place, which: Callable[[Request], bool], marked: Callable[[Request], bool]
) -> Measured:
    """Of a minute's requests a sample of 1 for each that is marked, of 0 for each other."""

    def fn(minute: float) -> Samples | None:
        asked = [request for request in traffic.of(place).happened(minute) if which(request)]
        ones = sum(map(marked, asked))
        return Samples((0.0, 1.0), (float(len(asked) - ones), float(ones))) if asked else None

    return fn


def ran(place: Place, key: str, when: datetime, duration_ms: float, failed: bool = False) -> None:
    """One invocation of a function, as Lambda counts it."""
    dimensions = {"FunctionName": names.function(place, key)}
    for metric, value, unit in (
        ("Invocations", 1.0, COUNT),
        ("Errors", float(failed), COUNT),
        ("Throttles", 0.0, COUNT),
        ("Duration", duration_ms, MILLISECONDS),
    ):
        place.metrics.put("AWS/Lambda", metric, dimensions, when, value, unit)


def answered(place: Place, key: str, when: datetime, latency_ms: float) -> None:
    """One request that was really made, as Lambda and API Gateway count it."""
    function, gateway = (
        {"FunctionName": names.function(place, key)},
        {"ApiId": names.gateway(place)},
    )
    put = place.metrics.put
    put("AWS/Lambda", "Invocations", function, when, 1.0, COUNT)
    put("AWS/Lambda", "Duration", function, when, latency_ms, MILLISECONDS)
    put("AWS/ApiGateway", "Count", gateway, when, 1.0, COUNT)
    put("AWS/ApiGateway", "Latency", gateway, when, latency_ms, MILLISECONDS)


def climbing(since: datetime, ramp: timedelta, low: float, high: float) -> Callable[[float], float]:
    """A metric that goes evenly from low to high, and stays there."""

    def value(minute: float) -> float:
        share = (minute - since.timestamp()) / ramp.total_seconds()
        return float(round(low + (high - low) * min(1.0, max(0.0, share))))

    return value


def seed_day(place: Place, every: Mapping[str, forms.Measured]) -> None:
    """`every`: by the name that its numbers are drawn with."""
    for name, group in every.items():
        number, space = names.number(place, name), group_space(place, group)
        for dimensions in [filled(place, each) for each in group.dimensions]:
            for at, each in enumerate(group.day):
                metric, fn, unit = _told(place, each, number + at, group.whole)
                place.metrics_of(space).baseline(space, metric, dimensions, fn, unit)
            for metric, counted in group.requests.items():
                _put(place)(space, metric, dimensions, _answers(place, counted), "Count")


def group_space(place: Place, group: forms.Measured) -> str:
    return str(filled(place, group.namespace))


def _told(
    place: Place,
    each: forms.Metric | tuple[str, float, float, float, str],
    seed: int,
    whole: list[str],
) -> tuple[str, Callable[[float], float], str]:
    """Its name, its value by the minute, its unit."""
    if isinstance(each, forms.Metric):
        start = names.start(place).timestamp()
        return each.metric, partial(_straight, each, start), each.unit
    metric, night, day, noise, unit = each
    rhythm = rhythms.daily_rhythm(night, day, noise, seed)
    return metric, rhythms.counts(rhythm, seed) if metric in whole else rhythm, unit


def _straight(metric: forms.Metric, start: float, minute: float) -> float:
    return metric.value + metric.per_day * (minute - start) / _DAY_SECONDS


def _answers(place: Place, which: forms.Counted) -> Callable[[float], float]:
    def fn(minute: float) -> float:
        happened = traffic.of(place).happened(minute)
        return float(sum(each.outcome == ANSWERED and _is(which, each) for each in happened))

    return fn


def _is(which: forms.Counted, request: Request) -> bool:
    return (
        which.method in (None, request.method)
        and which.path in (None, request.path)
        and which.status in (None, request.status)
        and which.but != request.status
    )
