"""An app's migrations and what applies them, whatever its own table of them is like."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

Database: TypeAlias = psycopg.Connection[Any]


@dataclass(frozen=True)
class Revision:
    """A migration. `down` undoes it."""

    name: str
    title: str
    up: str
    down: str = ""


@dataclass(frozen=True)
class Migrations:
    """Revisions, oldest first.

    The last one is of the next release, not yet of any database (drill migration-pending).

    SQL of the app's own table: `latest` answers the newest that it has had; `done` notes that it
    has had `%(name)s`,
    `undone` that it has it no longer, but `%(before)s`.
    """

    revisions: Sequence[Revision]
    latest: str
    done: str
    undone: str

    @property
    def next(self) -> str:
        return self.revisions[-1].name

    @property
    def head(self) -> str:
        """The newest of the released code."""
        return self.revisions[-2].name

    def current(self, database: Database) -> str | None:
        """The newest revision that the database has had."""
        row = database.execute(self.latest.encode()).fetchone()
        return row[0] if row else None

    def newest(self, database: Database) -> tuple[Revision, Revision]:
        """The newest revision that the database has had, and the one before it."""
        at = self._at(self.current(database) or "")
        if not (at and self.revisions[at].down):
            raise ValueError(f"{self.revisions[at].name} has no way back")
        return self.revisions[at], self.revisions[at - 1]

    def pending(self, database: Database, head: str) -> list[Revision]:
        """The revisions up to the code's head that the database has not had."""
        at = self.current(database)
        return list(self.revisions[self._at(at) + 1 if at else 0 : self._at(head) + 1])

    def create(
        self, database: Database, fill: Callable[[Database], None] = lambda database: None
    ) -> None:
        """Makes the schema in an empty database.

        All of the released code, with the rows after the first.
        """
        with database.transaction():
            for revision in self.revisions[:-1]:
                self._apply(database, revision)
                if revision is self.revisions[0]:
                    fill(database)

    def upgrade(self, database: Database, head: str) -> tuple[str | None, str | None]:
        """Applies what is pending, all or nothing. Returns the revision before and after."""
        before = self.current(database)
        with database.transaction():
            for revision in self.pending(database, head):
                self._apply(database, revision)
        return before, self.current(database)

    def run(self, database: Database, head: str) -> dict[str, Any]:
        """Upgrades, and says what was done as an app's answer."""
        applied = [revision.name for revision in self.pending(database, head)]
        before, after = self.upgrade(database, head)
        return {"status": "success", "previous": before, "current": after, "applied": applied}

    def downgrade(self, database: Database, to: str) -> None:
        """Undoes revisions, the newest first, until the database is at `to`."""
        with database.transaction():
            while (at := self.current(database)) is not None and self._at(at) > self._at(to):
                revision, before = self.revisions[self._at(at)], self.revisions[self._at(at) - 1]
                database.execute(revision.down.encode())
                database.execute(self.undone.encode(), {"name": at, "before": before.name})

    def _at(self, name: str) -> int:
        return [revision.name for revision in self.revisions].index(name)

    def _apply(self, database: Database, revision: Revision) -> None:
        database.execute(revision.up.encode())
        database.execute(self.done.encode(), {"name": revision.name})
