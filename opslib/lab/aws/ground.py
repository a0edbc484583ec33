"""What everything in the lab stands on.

Its clock, moto's backends, clients, PostgreSQL, its places.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

import moto.backends

from opslib.core.connections.identities import partition
from opslib.lab.aws.handlers import FunctionHandler
from opslib.lab.postgres.postgres import Postgres
from opslib.lab.valkey import Valkey

LogEvent = tuple[datetime, str, str]  # when, stream, message


class Counts(Protocol):
    """The metrics of an account and region, to be added to."""

    def put(
        self,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        timestamp: datetime | float,
        point: float,
        unit: str = ...,
    ) -> None: ...


class Standing(Protocol):
    """A target in the lab, as far as AWS's answers depend on it."""

    faults: dict[str, Any]
    memory: dict[str, Any]

    @property
    def world(self) -> Ground[Any]: ...
    @property
    def account(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def metrics(self) -> Counts: ...
    def now(self) -> datetime: ...
    def backend(self, service: str) -> Any: ...
    def logs(self, group: str, events: Iterable[LogEvent]) -> None: ...


P = TypeVar("P", bound=Standing, covariant=True)


class Ground(ABC, Generic[P]):
    """The lab's state, as far as places and AWS's answers need it."""

    def __init__(self, seed: int, postgres: Postgres) -> None:
        self.seed = seed
        self.postgres = postgres
        self.places: Mapping[str, P] = {}
        self.unfit: dict[str, str] = {}  # account: why nothing in it answers
        self.settings: dict[str, float] = {"delay_ms": 0}
        self.caches: dict[str, Valkey] = {}  # by target
        self.started = self.now()  # t0: what is seeded is told from here

    def now(self) -> datetime:
        return datetime.now(UTC)

    def backend(self, service: str, account: str, region: str) -> Any:
        """moto's backend of a service (boto3's name of it); global services have one an account."""
        regions = moto.backends.get_backend(service)[account]
        return regions[region] if region in regions else regions[partition(region)]

    @abstractmethod
    def client(self, service: str, account: str, region: str, user: str) -> Any:
        """A boto3 client that calls the lab in-process."""

    @abstractmethod
    def use(self, place: Any) -> None:
        """To be called before a place is used for the first time."""

    @abstractmethod
    def handler(self, place: Any, key: str) -> FunctionHandler | None:
        """The code of a function of a place, by its key in the facts."""

    def places_in(self, account: str, region: str) -> list[P]:
        found = self.places.values()
        return [place for place in found if (place.account, place.region) == (account, region)]

    def function_place(self, account: str, region: str, function: str) -> tuple[P, str] | None:
        """The place and the key in its facts of a Lambda function by its AWS name."""
        for place in self.places_in(account, region):
            for key, facts in place.facts.get("functions", {}).items():
                if facts["name"] == function:
                    return place, key
        return None
