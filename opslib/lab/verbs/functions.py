"""Verbs about functions: deployments, settings changed by hand, reserved concurrency."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from opslib.lab.forms.values import Duration
from opslib.lab.resources import functions, names
from opslib.lab.traffic import days
from opslib.lab.verbs.verbs import Stage, Verb, verb


@verb("deploy", "lambda", "logs")
class Deploy(Verb):
    """A new version of a function, live since a while.

    bad:                fails one request in four
    lost, timeout, memory, variables: its settings are other ones than those of the version before
    outside:            it is in no VPC
    ahead:              its code is of the next migration, which nobody has run
    """

    function: str
    since: Duration = timedelta(hours=1)
    bad: bool = False
    lost: frozenset[str] = frozenset()
    timeout: int | None = None
    memory: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    outside: bool = False
    ahead: bool = False

    def touched(self) -> frozenset[str]:
        seen = {"api"} if self.bad or self.ahead else set()
        seen |= {"metrics"} if self.bad else set()
        seen |= {"database"} if self.ahead else set()
        return self.touches | seen

    def apply(self, stage: Stage) -> None:
        place, key, when = stage.place, self.function, stage.ago(self.since)
        schema = place.memory["migrations"].next if self.ahead else ""
        more = stage.filled(self.variables)

        def change(function: Any) -> None:
            function.timeout = self.timeout or function.timeout
            function.memory_size = self.memory or function.memory_size
            kept = {k: v for k, v in function.environment_vars.items() if k not in self.lost}
            function.environment_vars = {**kept, **more}
            if self.outside:
                function._vpc_config = {}
            if self.ahead:
                _know(function, place.memory["schema"], schema)

        version = functions.deploy(place, stage.drill, key, when, change, schema)
        stage.kept = key, version
        if self.bad:
            place.memory.setdefault("bad", set()).add(stage.kept)
        self._retell(stage, when)

    def holds(self, stage: Stage) -> bool:
        """Whether what it deployed is still called."""
        return not stage.kept or functions.live(stage.place, self.function) == stage.kept[1]

    def undo(self, stage: Stage) -> None:
        place = stage.place
        since = functions.withdraw(place, stage.drill, self.function)
        if self.bad:
            place.memory["bad"].discard(stage.kept)
            place.memory.pop("asked", None)
        if self.ahead:
            migrations = place.memory["migrations"]
            with place.database(names.database(place)) as database:
                migrations.downgrade(database, migrations.head)
        self._retell(stage, since)

    def _retell(self, stage: Stage, since: datetime) -> None:
        day = days.of(stage.place)
        if day is not None and self.function in day.keys:
            stage.retell(since)


def _know(function: Any, released: str, next: str) -> None:
    """Variables that say the released schema say the next."""
    known = function.environment_vars
    function.environment_vars = {k: next if v == released else v for k, v in known.items()}


@verb("reserve", "lambda")
class Reserve(Verb):
    """Somebody reserved a concurrency for a function, which is also its cap."""

    function: str
    concurrency: int

    def apply(self, stage: Stage) -> None:
        backend, name = self._of(stage)
        stage.kept = (backend.get_function_concurrency(name),)
        backend.put_function_concurrency(name, self.concurrency)

    def holds(self, stage: Stage) -> bool:
        backend, name = self._of(stage)
        reserved = backend.get_function_concurrency(name)
        return reserved is not None and int(reserved) <= self.concurrency

    def undo(self, stage: Stage) -> None:
        if stage.kept:
            functions.take_back_concurrency(stage.place, self.function, stage.kept[0])

    def _of(self, stage: Stage) -> tuple[Any, str]:
        return stage.place.backend("lambda"), names.function(stage.place, self.function)
