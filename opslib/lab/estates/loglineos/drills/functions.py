"""Drills in the functions: what makes requests slow, turns them away or refuses them, and what a deployment brought."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from opslib.lab.estates.loglineos import troubles
from opslib.lab.estates.loglineos.traffic import KEY
from opslib.lab.estates.loglineos.troubles import Trouble
from opslib.lab.places import Drill, Place
from opslib.lab.resources import functions, names
from opslib.lab.traffic import journals, releases

COLD, TOO_LOW, THROTTLED, MALFORMED = "cold-start", "timeout-too-low", "function-throttled", "malformed-requests"
BAD, DRIFT = "bad-version", "configuration-drift"
_SINCE, _BAD_SINCE, _DRIFT_SINCE = timedelta(minutes=50), timedelta(minutes=60), timedelta(hours=3)
_RESERVED = 2
_CLIENT, _EXECUTOR = "user-6202", "user-0415"
_LOST, _MEMORY_MB = "MAX_SPAN_BYTES", 256
_SPAN, _EXECUTION = ("POST", "/spans"), ("POST", "/executions")


def start_cold(place: Place) -> None:
    """In bursts, so that a third of all requests meets no environment that runs."""
    since = place.now() - _SINCE
    troubles.begin(place, COLD, Trouble(since, bursts=(6, 3), share=0.8, init_ms=(2_300, 3_300)))


def outgrow(place: Place) -> None:
    """Executions take about a third of a minute, and some more than half of one; there are more of them, too."""
    since = place.now() - _SINCE
    grown = Trouble(since, route=_EXECUTION, factor=60, spread=0.8)
    more = Trouble(since, route=_EXECUTION, factor=500, spread=0.8, added=0.5, user=_EXECUTOR)
    troubles.begin(place, TOO_LOW, grown, more)


def throttle(place: Place) -> None:
    """What comes while two run is turned away, until somebody allows more."""
    since, lambda_ = place.now() - _SINCE, place.backend("lambda")
    name = names.function(place, KEY)
    place.memory[THROTTLED] = [lambda_.get_function_concurrency(name)]
    lambda_.put_function_concurrency(name, _RESERVED)
    troubles.begin(place, THROTTLED, Trouble(since, lasts=_capped, share=0.3, throttled=True, status=503))
    place.memory[THROTTLED].append(
        place.metrics.overlay(
            "AWS/Lambda", "ConcurrentExecutions", {"FunctionName": name}, since, None, partial(_at_once, place), "Count"
        )
    )


def _capped(place: Place) -> bool:
    reserved = place.backend("lambda").get_function_concurrency(names.function(place, KEY))
    return reserved is not None and int(reserved) <= _RESERVED


def _at_once(place: Place, minute: float) -> float:
    """Never more than are reserved; when more are, what is asked for."""
    until: datetime | None = place.faults["traffic"][THROTTLED][0].until
    return float(_RESERVED if until is None or minute < until.timestamp() else 2 * _RESERVED)


def unthrottle(place: Place) -> None:
    before, overlay = place.memory.pop(THROTTLED)
    overlay.remove()
    troubles.end(place, THROTTLED)
    functions.take_back_concurrency(place, KEY, before)


def send_malformed(place: Place) -> None:
    """One client's new release forgets a field."""
    message, since = "Validation failed: missing field 'this'", place.now() - _SINCE
    more = Trouble(since, route=_SPAN, added=1.4, user=_CLIENT, status=400, message=message)
    troubles.begin(place, MALFORMED, more)


def drift(place: Place) -> None:
    change = releases.settings(lost=[_LOST], memory=_MEMORY_MB)
    functions.deploy(place, DRIFT, KEY, place.now() - _DRIFT_SINCE, change)
    journals.retell(place)


DRILLS = (
    Drill(
        COLD, "Requests are slow in bursts, though the function's own duration is not",
        "A third of the requests has to wait for a new environment, which takes almost three seconds.",
        start_cold, partial(troubles.end, name=COLD), found_by=("functions/latency",),
    ),
    Drill(
        TOO_LOW, "Some executions fail: 'Task timed out after 30.00 seconds'",
        "What is executed has grown: many runs take a third of a minute, and the longest are cut off.",
        outgrow, partial(troubles.end, name=TOO_LOW), found_by=("functions/latency",),
    ),
    Drill(
        THROTTLED, "Nearly a third of the requests is turned away with 503, and the log says nothing",
        "Somebody reserved a concurrency of 2 for the loader: that is also its cap.",
        throttle, unthrottle, found_by=("functions/health", "functions/scale"),
    ),
    Drill(
        MALFORMED, "The log fills with 'Validation failed'", "One client sends spans without a field.",
        send_malformed, partial(troubles.end, name=MALFORMED), found_by=("logs/errors",),
    ),
    Drill(
        BAD, "One request in four fails with 500 since the last deployment, an hour ago",
        "The newest version of the loader fails on spans without a payload.",
        lambda place: releases.deploy_bad(place, BAD, KEY, place.now() - _BAD_SINCE),
        lambda place: releases.withdraw(place, BAD, KEY),
        found_by=("functions/rollback", "reports/daily"),
    ),
    Drill(
        DRIFT, "The loader runs with other settings than the reference says",
        "A deployment by hand lowered its memory and lost a variable.",
        drift, lambda place: releases.withdraw(place, DRIFT, KEY),
        found_by=("functions/configuration", "reports/daily"),
    ),
)  # fmt: skip
