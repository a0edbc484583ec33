"""Drills of any system: operations that are denied; and none leaves a trace of what was written while it was on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from opslib.lab.places import Drill, Place
from opslib.lab.traffic import journals


def denial(*operations: str) -> tuple[Callable[[Place], None], Callable[[Place], None]]:
    """What denies these operations (`rds:DescribeDBInstances`) to everyone, and what allows them again."""

    def deny(place: Place) -> None:
        for operation in operations:
            place.deny(operation)

    def allow(place: Place) -> None:
        for operation in operations:
            place.allow(operation)

    return deny, allow


@dataclass(frozen=True)
class _Applied:
    name: str
    apply: Callable[[Place], None]

    def __call__(self, place: Place) -> None:
        journals.begin(place, self.name)
        self.apply(place)


@dataclass(frozen=True)
class _Undone:
    name: str
    undo: Callable[[Place], None]

    def __call__(self, place: Place) -> None:
        self.undo(place)
        journals.erase(place, self.name)


def journaled(listed: Iterable[Drill]) -> tuple[Drill, ...]:
    """The drills, each with the log of what happens while it is on."""
    return tuple(
        replace(drill, apply=_Applied(drill.name, drill.apply), undo=_Undone(drill.name, drill.undo))
        for drill in listed
    )
