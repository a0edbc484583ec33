"""The functions that run by the clock: scraper each ten minutes, cleanup each hour, db-sync each night (staging)."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from opslib.lab import rhythms
from opslib.lab.estates.bluemoxon import lines, names
from opslib.lab.estates.bluemoxon.titles import TITLES
from opslib.lab.places import Place

_EVERY = {"scraper": 10, "cleanup": 60, "db-sync": 1440}  # minutes
_AT = {"scraper": 4, "cleanup": 17, "db-sync": 150}  # minute of the lab's day
_TIMEOUT_AT = 194  # the scraper's one slow page each night


class Run(NamedTuple):
    """One scheduled invocation."""

    when: datetime
    id: str
    duration_ms: float
    failed: bool
    messages: list[str]


def scheduled(place: Place) -> list[str]:
    """The keys of the functions that run by the clock here."""
    return [key for key in _EVERY if key in place.facts["functions"]]


def run_at(place: Place, key: str, minute: float) -> Run | None:
    """The run that starts in the minute that begins at this epoch second, if any."""
    of_day = round(rhythms.hour_of_day(minute) * 60)
    if of_day % _EVERY[key] != _AT[key]:
        return None
    rng = Random(f"{names.number(place, key)}/{rhythms.chance(0, minute)}")
    when = datetime.fromtimestamp(minute + 1 + 20 * rng.random(), UTC)
    identifier = f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4c1e-9a2b-{rng.getrandbits(48):012x}"
    if key == "scraper" and of_day == _TIMEOUT_AT:
        return Run(
            when,
            identifier,
            120_000.0,
            True,
            [f"{when:%Y-%m-%dT%H:%M:%S}.114Z {identifier} Task timed out after 120.00 seconds"],
        )
    duration, messages = {"scraper": _scrape, "cleanup": _clean, "db-sync": _sync}[key](rng, when)
    return Run(when, identifier, duration, False, messages)


def _scrape(rng: Random, when: datetime) -> tuple[float, list[str]]:
    title, seen = rng.choice(TITLES), rng.randrange(12, 60)
    first = lines.entry("INFO", when, message="search", source="ebay", query=f"{title[1]} {title[0]} {title[3]}")
    done = lines.entry("INFO", when, message="search done", source="ebay", results=seen, new=rng.randrange(0, 3))
    plain = f"Rate table of 4 currencies is fresh; results limited to {10 * (seen // 10 + 1)}"
    return rng.uniform(14_000, 42_000), ["Browser is warm: reusing page", first, plain, done]


def _clean(rng: Random, when: datetime) -> tuple[float, list[str]]:
    return rng.uniform(300, 900), [lines.entry("INFO", when, message="cleanup done", removed=rng.randrange(0, 5))]


def _sync(rng: Random, when: datetime) -> tuple[float, list[str]]:
    done = lines.entry("INFO", when, message="sync done", mode="cognito_only", users_created=0, users_updated=0)
    return rng.uniform(2_100, 2_900), [done]
