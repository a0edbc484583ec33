"""Verbs about what CloudTrail tells: somebody's calls, and the trail itself. And an ordinary past.

The events alone are put there: what they would have changed is as it was.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import timedelta
from typing import Any

from moto.cloudtrail.models import Trail as MotoTrail
from pydantic.dataclasses import dataclass

from opslib.core.connections import identities
from opslib.lab.aws import credentials, trail
from opslib.lab.forms.values import STRICT, Duration
from opslib.lab.places import Place, plain
from opslib.lab.resources import names
from opslib.lab.verbs.verbs import Stage, Verb, verb

_DEPLOYER, _THEIRS = "deployer", "203.0.112.20"


@dataclass(config=STRICT, frozen=True, kw_only=True)
class Made:
    """A call, or several like it: `secretsmanager:GetSecretValue`. `about`: what each is of.

    globally: an event of a global service, which is in us-east-1 alone
    more: what else the record has
    """

    call: str
    about: list[str] = field(default_factory=lambda: [""])
    error: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    globally: bool = False


@verb("trail", "cloudtrail")
class Trail(Verb):
    """Somebody's calls, from `ago` on, so far apart. `key`: of whom the lab knows, theirs."""

    by: str
    calls: list[Made]
    address: str
    key: str = ""
    kind: str = "IAMUser"
    ago: Duration = timedelta(minutes=30)
    every: Duration = timedelta(seconds=20)

    def apply(self, stage: Stage) -> None:
        stage.kept = [*self.events(stage.place, stage)]
        for event in stage.kept:
            trail.add(event)

    def events(self, place: Place, stage: Stage) -> Iterator[trail.Event]:
        known = self.by in credentials.USERS
        key = credentials.credentials(place.account, self.by)[0] if known else self.key
        each = [(made, about) for made in self.calls for about in stage.filled(made.about)]
        for at, (made, about) in enumerate(each):
            service, _, operation = made.call.partition(":")
            yield trail.Event(
                id=str(uuid.uuid4()),
                time=stage.ago(self.ago - at * self.every),
                service=service,
                operation=operation,
                user=self.by,
                key=key,
                account=place.account,
                region=identities.home(place.region) if made.globally else place.region,
                address=self.address,
                agent="aws-cli/2.31",
                resources=((f"AWS::{service}", about),) if about else (),
                error=(made.error, f"User: {self.by} is not authorized") if made.error else None,
                parameters=json.dumps(stage.filled(made.parameters) or {"id": about}),
                kind=self.kind,
                more=json.dumps(made.more),
            )

    def undo(self, stage: Stage) -> None:
        ids = {event.id for event in stage.kept or ()}
        for held in trail.trails.values():
            kept = [event for event in held if event.id not in ids]
            held.clear()
            held.extend(kept)


@verb("stop_trail", "cloudtrail")
class StopTrail(Verb):
    """The account's trail does not log any more; nobody's call says why."""

    def apply(self, stage: Stage) -> None:
        _held(stage.place)[_called(stage.place)].stop_logging()

    def undo(self, stage: Stage) -> None:
        _held(stage.place)[_called(stage.place)].start_logging()


class _Kept(MotoTrail):  # type: ignore[misc]
    """One whose bucket is in an account of its own, as is usual."""

    def check_bucket_exists(self) -> None:
        """Not from here."""


def _held(place: Place) -> Any:
    return place.backend("cloudtrail").trails


def _called(place: Place) -> str:
    return f"{plain(place.target.system)}-trail"


def seed(place: Place) -> None:
    """A trail that logs; and what those who belong here did of old, with a deployment among it."""
    name = _called(place)
    if name not in _held(place):
        bucket = f"{plain(place.target.system)}-trails"
        about = ("", "", True, True, True, False, "", "", "")
        made = _Kept(place.account, place.region, name, bucket, *about)
        made.start_logging()
        _held(place)[name] = made
    secrets = [*place.facts.get("secrets", {})]
    reads = Made(call="secretsmanager:GetSecretValue", about=secrets or [""])
    services = [facts["name"] for facts in place.facts.get("services", {}).values()]
    functions = [facts["name"] for facts in place.facts.get("functions", {}).values()]
    deploys = [
        Made(call="ecs:RegisterTaskDefinition", about=services),
        Made(call="ecs:UpdateService", about=services),
        Made(call="lambda:UpdateFunctionCode20150331v2", about=functions),
        Made(call="lambda:UpdateAlias20150331", about=functions),
        Made(call="iam:PutRolePolicy", about=[f"{place.called}-role"], globally=True),
    ]
    past: list[tuple[str, str, list[Made], float]] = [
        (user, "127.0.0.1", [reads], 20) for user in credentials.USERS
    ]
    past += [(_DEPLOYER, _THEIRS, deploys, days) for days in (9, 1.25)]
    stage = Stage(place, "past", Verb(), names.start(place), [])
    for by, address, calls, days in past:
        told = Trail(by=by, address=address, calls=calls, key=_key(by), ago=timedelta(days=days))
        _add(told.events(place, stage))


def _key(by: str) -> str:
    return f"LABKEY{by.upper():0<14}"


def _add(events: Iterable[trail.Event]) -> None:
    for event in events:
        trail.add(event)
