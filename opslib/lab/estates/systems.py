"""A system's estate out of its folder: estate.yaml, drills.yaml, and three files of SQL."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic.dataclasses import dataclass

from opslib.core.errors import unknown_name
from opslib.lab.aws.handlers import ApiHandler, FunctionHandler, Invocation
from opslib.lab.estates import seeding
from opslib.lab.estates.seeding import Application, Texts
from opslib.lab.forms import data, reading
from opslib.lab.forms.reading import Document
from opslib.lab.forms.values import STRICT
from opslib.lab.places import Drill, Estate, Place
from opslib.lab.resources.databases.migrations import Migrations, Revision
from opslib.lab.traffic.apps import App
from opslib.lab.verbs import verbs

_STATEMENT = re.compile(r"^-- statement (\S+)\n", re.MULTILINE)


@dataclass(config=STRICT, frozen=True, kw_only=True)
class About:
    """A drill in drills.yaml; `targets`: the environments for it, where not all.

    `brings`: other causes that are truly there then, and named: dead letters of what failed.
    """

    title: str
    cause: str
    found_by: list[str]
    does: list[dict[str, Any]]
    targets: list[str] = field(default_factory=list)
    brings: list[str] = field(default_factory=list)


class System:
    """An estate's files, read when they are first needed."""

    def __init__(self, folder: Path, application: Application) -> None:
        self._folder, self.application = folder, application

    def estate(self) -> Estate:
        return Estate(
            seed=self.seed,
            api=self.api,
            functions={key: self._function(key) for key in self._keys()},
            tick=self.tick,
            drills=tuple(self.drills()),
        )

    def data(self, environment: str) -> data.Data:
        """estate.yaml with what is different in an environment. Raises UsageError."""
        return _data(self._folder / "estate.yaml", environment)

    def texts(self, environment: str) -> Texts:
        about = self.data(environment).database.migrations
        statements = _statements(self._folder / "statements.sql")
        if about is None:
            return Texts(statements=statements)
        found = [Revision(*each) for each in reading.revisions(self._folder / "schema.sql")]
        rows = self._folder / "rows.sql"
        migrations = Migrations(found, about.latest, about.done, about.undone)
        return Texts(migrations, rows.read_text() if rows.exists() else "", statements)

    def seed(self, place: Place) -> None:
        environment = place.target.environment
        seeding.seed(place, self.data(environment), self.texts(environment), self.application)

    def tick(self, place: Place, now: datetime) -> None:
        seeding.tick(place, now, self.application)

    def api(self, place: Place) -> ApiHandler:
        return self._app(place).handler(place)

    def _app(self, place: Place) -> App:
        about, key = place.memory["data"].api, place.memory["data"].traffic.function
        return App(place, key, about, self.application.routes, self.application.said)

    def _keys(self) -> Iterator[str]:
        traffic = self.data("").traffic
        yield from dict.fromkeys([traffic.function, *traffic.behind.values()])
        yield from self.application.functions

    def _function(self, key: str) -> FunctionHandler:
        if known := self.application.functions.get(key):
            return known

        def answer(event: Any, place: Place, invocation: Invocation) -> Any:
            return self._app(place).function(event, place, invocation)

        return answer

    def drills(self) -> Iterator[Drill]:
        """Those of drills.yaml, in its order. Raises UsageError."""
        path = self._folder / "drills.yaml"
        if not path.exists():
            return
        document = reading.document(path)
        for name, given in document.data.items():
            about = document.made(About, given, (name,))
            does = [_verb(document, (name, "does", at), each) for at, each in enumerate(about.does)]
            found_by, targets = tuple(about.found_by), tuple(about.targets)
            yield verbs.made(
                name,
                does,
                title=about.title,
                cause=about.cause,
                found_by=found_by,
                targets=targets,
                brings=frozenset(about.brings),
            )


@cache
def _data(path: Path, environment: str) -> data.Data:
    document = reading.document(path)
    given = dict(document.data)
    environments = given.pop("environments", {})
    return document.made(data.Data, reading.merged(given, environments.get(environment, {})))


def _verb(document: Document, place: tuple[str | int, ...], given: Mapping[str, Any]) -> verbs.Verb:
    if len(given) != 1:
        raise document.wrong(place, "one verb stands here, with what it is given")
    name, values = next(iter(given.items()))
    if name not in verbs.VERBS:
        raise document.wrong((*place, name), str(unknown_name("verb", name, verbs.VERBS)))
    kind = verbs.VERBS[name]
    if kind.bare and not isinstance(values, Mapping):
        values = {kind.bare: values}
    return document.made(kind, values or {}, (*place, name))


def _statements(path: Path) -> dict[str, str]:
    """Statements by the name that stands over each: `-- statement spans_of_owner`."""
    if not path.exists():
        return {}
    parts = _STATEMENT.split(path.read_text(encoding="utf-8"))[1:]
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
