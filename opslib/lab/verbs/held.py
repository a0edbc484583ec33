"""Verbs about what AWS holds: one thing of a service is another way, or is gone."""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from opslib.lab.corrections.accounts import costs
from opslib.lab.corrections.accounts.mail import suppress
from opslib.lab.forms.values import Duration
from opslib.lab.resources.edges import mail
from opslib.lab.verbs.access import AREAS
from opslib.lab.verbs.verbs import Stage, Verb, verb


@verb("vary")
class Vary(Verb):
    """Somebody changed a thing by hand, or took it away.

    held:     where moto's backend of the service keeps its kind: `vpc_end_points`
    where:    its attributes, as patterns
    becomes:  attributes and their other values; none: it is gone
    """

    service: str
    held: str
    where: Mapping[str, str] = field(default_factory=dict)
    becomes: Mapping[str, Any] = field(default_factory=dict)

    def touched(self) -> frozenset[str]:
        return frozenset({AREAS.get(self.service, self.service)})

    def apply(self, stage: Stage) -> None:
        known = self._known(stage)
        where = stage.filled(self.where)
        keys = [key for key, thing in known.items() if _fits(thing, where)]
        if not keys:
            raise LookupError(f"{stage.drill}: {self.service} holds nothing with {where}")
        stage.kept = {key: (known[key], dict(vars(known[key]))) for key in keys}
        for key in keys:
            vars(known[key]).update(self.becomes)
            if not self.becomes:
                del known[key]

    def holds(self, stage: Stage) -> bool:
        known = self._known(stage)
        return all(
            not self.becomes or vars(known[key]).items() >= self.becomes.items()
            for key in stage.kept
            if key in known
        )

    def undo(self, stage: Stage) -> None:
        """Puts back what was changed, whatever else was done to it meanwhile."""
        known = self._known(stage)
        for key, (thing, before) in (stage.kept or {}).items():
            known[key] = thing
            for name in self.becomes or before:
                if name in before:
                    vars(thing)[name] = before[name]
                else:
                    vars(thing).pop(name, None)

    def _known(self, stage: Stage) -> dict[Any, Any]:
        known: dict[Any, Any] = getattr(stage.place.backend(self.service), self.held)
        return known


def _fits(thing: Any, where: Mapping[str, str]) -> bool:
    return all(fnmatchcase(str(getattr(thing, name)), pattern) for name, pattern in where.items())


@verb("spend", "ce")
class Spend(Verb):
    """A service costs so much more a day, since some days."""

    service: str
    usd: float
    since: Duration = timedelta(days=3)

    def apply(self, stage: Stage) -> None:
        since = stage.ago(self.since)
        costs.spend(stage.place.account, stage.drill, self.service, self.usd, since)

    def undo(self, stage: Stage) -> None:
        costs.save(stage.place.account, stage.drill)


Values = Mapping[str, Any]


@verb("mail", "sesv2")
class Mail(Verb):
    """SES says otherwise, by the names of its API; mappings are merged.

    account:     of the account
    identities:  of each identity of the target's file
    sets:        of its configuration set
    suppressed:  so many addresses came on the list within `over`, each with the reason
    """

    account: Values = field(default_factory=dict)
    identities: Values = field(default_factory=dict)
    sets: Values = field(default_factory=dict)
    suppressed: int = 0
    reason: str = "BOUNCE"
    over: Duration = timedelta(hours=5)

    def apply(self, stage: Stage) -> None:
        held, kinds = mail.of(stage.place), ("account", "identities", "sets")
        held["said"][stage.drill] = {kind: dict(getattr(self, kind)) for kind in kinds}
        for at in range(self.suppressed):
            when = stage.since - self.over * (at / self.suppressed)
            suppress(held, self._address(at), self.reason, when)

    def undo(self, stage: Stage) -> None:
        held = mail.of(stage.place)
        held["said"].pop(stage.drill, None)
        for at in range(self.suppressed):
            held["suppressed"].pop(self._address(at), None)

    def _address(self, at: int) -> str:
        return f"customer{at + 1}@mail.example"
