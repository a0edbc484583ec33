"""The troubles that bluemoxon's runbook knows, each put in and taken out again. A drill's name is the finding's cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opslib.lab.estates.base import Drill, Place
from opslib.lab.estates.bluemoxon import journals
from opslib.lab.estates.bluemoxon.drills import answers, releases, stores, surroundings, work

_LISTED = (*surroundings.DRILLS, *work.DRILLS, *releases.DRILLS, *stores.DRILLS, *answers.DRILLS)


@dataclass(frozen=True)
class _Applied:
    """A drill's apply, with the log of what happens while it is on."""

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


DRILLS = tuple(
    Drill(d.name, d.title, d.cause, _Applied(d.name, d.apply), _Undone(d.name, d.undo), d.targets, d.found_by)
    for d in _LISTED
)
