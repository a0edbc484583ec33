"""A drill is a list of verbs, each with its own undo: data of an estate's drills.yaml.

    cold-start:
      title: Requests are slow in bursts
      cause: A third of the requests has to wait for a new environment.
      found_by: [functions/latency]
      does:
        - trouble: {since: 50m, bursts: [6, 3], share: 0.8, init_ms: [2300, 3300]}

A verb is a dataclass of what the YAML gives it. It says what it `touches`, so that one knows which
procedures can see it: logs, metrics, api (what its address answers), database (sessions and rows),
and the services lambda, sqs, s3, cognito, ec2, rds, secrets, acm, … as boto3 calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar, dataclass_transform

from pydantic import dataclasses

from opslib.lab.forms.values import STRICT
from opslib.lab.places import Drill, Place
from opslib.lab.resources import placeholders
from opslib.lab.traffic import days, journals, tasks

Kind = TypeVar("Kind", bound="Verb")


class Verb:
    """What a drill does, and how it is taken back."""

    touches: ClassVar[frozenset[str]] = frozenset()
    bare: ClassVar[str] = ""  # what a value without keys is given as

    def touched(self) -> frozenset[str]:
        """What this one touches, where that depends on what the YAML gives it."""
        return self.touches

    def apply(self, stage: Stage) -> None:
        """Puts it in; `stage.kept` is what `undo` needs."""

    def undo(self, stage: Stage) -> None:
        """Takes it out, whatever was done about it meanwhile."""

    def tick(self, stage: Stage) -> None:
        """Called about each second while the drill is on."""

    def holds(self, stage: Stage) -> bool:
        """Whether it still is as the verb made it: no when somebody has repaired it."""
        return True


@dataclass
class Stage:
    """Where a verb is at work: the target, the drill, since when, what is kept for the undo."""

    place: Place
    drill: str
    verb: Verb
    since: datetime
    beside: list[Stage]  # those of the drill's verbs, this one too
    kept: Any = None

    def lasts(self) -> bool:
        """Whether nobody has repaired what the drill did."""
        return all(stage.verb.holds(stage) for stage in self.beside)

    def ago(self, duration: timedelta) -> datetime:
        return self.since - duration

    def filled(self, value: Any) -> Any:
        """A text of the YAML, or many, with what it names of the target."""
        return placeholders.filled(self.place, value)

    def retell(self, since: datetime) -> None:
        """The log of the requests since then is told anew when all of the drill is done."""
        self.place.memory["retell"] = min(since, self.place.memory.get("retell", since))


VERBS: dict[str, type[Verb]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def verb(name: str, *touches: str) -> Callable[[type[Kind]], type[Kind]]:
    """Makes a class the verb of that name, and its annotations what the YAML may give it."""

    def known(kind: type[Kind]) -> type[Kind]:
        kind.touches = frozenset(touches)
        made: Any = dataclasses.dataclass(config=STRICT, frozen=True, kw_only=True)(kind)
        VERBS[name] = made
        checked: type[Kind] = made
        return checked

    return known


Verbs = Callable[[Place], Sequence[Verb]]


@dataclass(frozen=True)
class _Played:
    """A drill's two directions."""

    name: str
    verbs: Verbs

    def apply(self, place: Place) -> None:
        journals.begin(place, self.name)
        now, stages = place.now(), _stages(place).setdefault(self.name, [])
        for each in self.verbs(place):
            stages.append(Stage(place, self.name, each, now, stages))
            each.apply(stages[-1])
        _retell(place)

    def undo(self, place: Place) -> None:
        for stage in reversed(_stages(place).pop(self.name, [])):
            stage.verb.undo(stage)
        _retell(place)
        journals.erase(place, self.name)


def made(name: str, verbs: Sequence[Verb], **about: Any) -> Drill:
    """The drill of these verbs. `about`: title, cause, found_by, targets."""
    touches: frozenset[str] = frozenset().union(*(each.touched() for each in verbs))
    return played(name, lambda place: verbs, touches=touches, **about)


def played(name: str, verbs: Verbs, **about: Any) -> Drill:
    """A drill whose verbs depend on the target."""
    both = _Played(name, verbs)
    return Drill(name, apply=both.apply, undo=both.undo, **about)


def tick(place: Place) -> None:
    """Lets each verb that is at work look at what was done about it."""
    for stages in _stages(place).values():
        for stage in stages:
            stage.verb.tick(stage)


def _stages(place: Place) -> dict[str, list[Stage]]:
    held: dict[str, list[Stage]] = place.memory.setdefault("stages", {})
    return held


def _retell(place: Place) -> None:
    if since := place.memory.pop("retell", None):
        if days.of(place):
            journals.retell(place, since)
        tasks.retell(place, since)
