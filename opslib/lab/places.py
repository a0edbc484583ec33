"""What a system brings to the lab.

Its estate, and the place where an estate stands for one target.

An estate is a module `opslib.lab.estates.<system>` (dashes as underscores) with a global `ESTATE:
Estate`. The lab
seeds it once for every target of that system found in parameters/targets; every name comes from the
target's facts.
A system without such a module gets what its target's file describes
(`opslib.lab.estates.strangers`).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pkgutil import iter_modules
from random import Random
from typing import Any
from zlib import crc32

import psycopg

from opslib.core.connections.targets import Target
from opslib.lab import estates
from opslib.lab.aws.ground import Ground, LogEvent
from opslib.lab.aws.handlers import ApiHandler, FunctionHandler
from opslib.lab.corrections.cloudwatch.metric_stores import Store

# What a target's file says of the target itself.
_ABOUT = {"title", "system", "environment", "production", "account", "region", "profile", "policy"}


@dataclass
class Place:
    """One target in the lab: where its estate stands, and all that the estate's code needs."""

    world: Ground[Place]
    target: Target
    faults: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)  # the estate's own; emptied by reset

    @property
    def name(self) -> str:
        """`bluemoxon-staging`"""
        return self.target.key

    @property
    def called(self) -> str:
        """Its name, as far as it can be the beginning of every name in AWS and PostgreSQL."""
        return plain(self.name)

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.target.facts

    @property
    def described(self) -> bool:
        """Whether its file describes anything of it."""
        return bool(set(self.facts) - _ABOUT)

    @property
    def account(self) -> str:
        return self.target.account

    @property
    def region(self) -> str:
        return self.target.region

    @property
    def rng(self) -> Random:
        """A new generator.

        The same numbers for the same seed and target, each time that it is asked for.
        """
        return Random(f"{self.world.seed}/{self.name}")

    def now(self) -> datetime:
        """The lab's clock: UTC."""
        return self.world.now()

    def backend(self, service: str) -> Any:
        """moto's backend (`"lambda"`, `"sqs"`, …) in this place's account and region."""
        return self.world.backend(service, self.account, self.region)

    def client(self, service: str, user: str = "operator") -> Any:
        """A boto3 client that calls the lab in-process.

        No HTTP, no faults, no delay, not in CloudTrail.
        """
        return self.world.client(service, self.account, self.region, user)

    def database(self, name: str) -> psycopg.Connection[Any]:
        """A superuser's connection (autocommit) to one of the lab's real databases."""
        return self.world.postgres.connect(name)

    def logs(self, group: str, events: Iterable[LogEvent]) -> None:
        """Appends many events to a log group in this account,
        making group and streams as needed.
        """
        from opslib.lab.corrections.logs import logs

        logs.append(self.account, self.region, group, events)

    @property
    def metrics(self) -> Store:
        """The metric store of this account and region: baselines, points, gauges, overlays."""
        return self.metrics_of("")

    def metrics_of(self, namespace: str) -> Store:
        """The one that has a namespace: that of a global service is in one region."""
        from opslib.core.connections.identities import kept_in
        from opslib.lab.corrections.cloudwatch import metrics

        return metrics.store(self.account, kept_in(self.region, namespace))

    def deny(self, operation: str, message: str = "") -> None:
        """Denies an operation to callers of this account.

        `s3:ListObjectsV2`, `rds:*` (boto3's service, API's name).
        """
        self.faults.setdefault("deny", {})[operation] = message

    def allow(self, operation: str) -> None:
        self.faults.get("deny", {}).pop(operation, None)


@dataclass(frozen=True)
class Drill:
    """A fault put into the lab. Its name is the cause that the findings name."""

    name: str
    title: str
    cause: str
    apply: Callable[[Place], None]
    undo: Callable[[Place], None]
    targets: tuple[str, ...] = ()  # environments ("staging"); none: all
    found_by: tuple[str, ...] = ()  # entries of the runbook or procedures
    touches: frozenset[str] = frozenset()  # what it can be seen in: logs, metrics, lambda …

    brings: frozenset[str] = frozenset()  # other causes that are then named, too
    needs: Callable[[Place], bool] = lambda place: True  # what of a target it is about

    def fits(self, place: Place) -> bool:
        return (not self.targets or place.target.environment in self.targets) and self.needs(place)


def plain(name: str) -> str:
    """A name of a target or system as it is; of one with other letters, or a long one, what of it
    every service takes, and a number that keeps it apart.
    """
    if _PLAIN.fullmatch(name):
        return name
    letters = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONG]
    return f"t{crc32(name.encode()):08x}-{letters}".rstrip("-")


_LONG = 30  # of 63 and 64, for what is added to it
_PLAIN = re.compile(f"[a-z][a-z0-9-]{{,{_LONG + 10}}}")


def _nothing(place: Place, now: datetime) -> None:
    """No ticker."""


@dataclass(frozen=True)
class Estate:
    """A system. `functions`: a handler for each key of the facts' `functions`.

    `tick` is called about each second.
    """

    seed: Callable[[Place], None]
    api: Callable[[Place], ApiHandler] | None = None
    functions: Mapping[str, FunctionHandler] = field(default_factory=dict)
    tick: Callable[[Place, datetime], None] = _nothing
    drills: tuple[Drill, ...] = ()


EMPTY = Estate(seed=lambda place: None)  # an account with its users and nothing in it


def load(system: str) -> Estate:
    """The estate of a system; one made from its target's file when the lab has none for it."""
    name = system.replace("-", "_")
    own = {each.name for each in iter_modules(estates.__path__) if each.ispkg}
    return _estate(name) if name in own else strangers()


def strangers() -> Estate:
    """The estate of a target of which only its file is known."""
    return _estate("strangers")


def _estate(name: str) -> Estate:
    estate: Estate = importlib.import_module(f"{estates.__name__}.{name}").ESTATE
    return estate
