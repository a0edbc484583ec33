"""Names out of a target's facts, in the few words that the rest of this estate uses."""

from __future__ import annotations

from opslib.lab.places import Place
from opslib.lab.resources.names import (
    arn,
    database,
    function,
    gateway,
    generator,
    log_group,
    number,
    shared_generator,
    start,
)

__all__ = [
    "arn", "bucket", "database", "dead_letters", "function", "gateway", "generator", "log_group", "number", "prefix",
    "queue", "shared_generator", "start",
]  # fmt: skip


def queue(place: Place, key: str) -> str:
    return str(place.facts["queues"][key]["name"])


def dead_letters(place: Place, key: str) -> str:
    return str(place.facts["queues"][key]["dead_letters"])


def bucket(place: Place) -> str:
    return str(place.facts["buckets"]["images"]["name"])


def prefix(place: Place, kind: str) -> str:
    """`books/` or `listings/`: what the bucket's keys have and the tables' do not."""
    return str(place.facts["orphans"][kind]["prefix"])
