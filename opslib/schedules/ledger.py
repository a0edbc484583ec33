"""What became of each time that something was due, and who was told of it: beside the index.

In the index's database, so that two machines that share it run nothing twice and tell nothing
twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from opslib.core import OpsError
from opslib.records import facts
from opslib.records.chain import database
from opslib.records.records import Row, new_id

BEGUN, RUNNING, MISSED = "begun", "running", "missed"  # the rest are a record's outcomes
Now = Callable[[], datetime]
_KEY = ("schedule", "target")
_TEXTS = ("at", "host", "outcome", "record", "said", "trouble")

due = database.table(  # a row each time: what was due, and what became of it
    "scheduled",
    (*_KEY, "due"),
    (),
    *(sa.Column(name, sa.Text, nullable=False, default="") for name in _TEXTS),
    sa.Column("times", sa.Integer, nullable=False, default=1),  # how often it was missed
)
# what each channel was told last
told = database.table("told", (*_KEY, "channel"), ("trouble", "at"))
turn = sa.Table(  # whose turn it is, and until when at most
    "scheduler",
    database.metadata,
    sa.Column("only", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("holder", "host", "began", "until")),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("pid_started", sa.Text),
)


class Trouble(NamedTuple):
    """What is wrong: critical (and `of` what), unknown, failed, missed; nothing when `kind` is
    empty.
    """

    kind: str = ""
    of: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Trouble:
        said = json.loads(text or "{}")
        return cls(said.get("kind", ""), tuple(said.get("of", ())))

    def __str__(self) -> str:
        return json.dumps({"kind": self.kind, "of": [*self.of]}, ensure_ascii=False)

    def is_news(self, before: Trouble) -> bool:
        """Is it worth telling to who was told of `before`: another kind, or more than then?"""
        return self.kind != before.kind or not set(self.of) <= set(before.of)


def text(when: datetime) -> str:
    """A moment as kept: sorts as it comes."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


class Busy(OpsError):
    """Another is at it."""


class Turn:
    """The right to run what is due: one holds it at a time, and it has an end."""

    def __init__(self, now: Now) -> None:
        self._now, self._id = now, new_id()

    def take(self, minutes: float) -> None:
        """Raises Busy: another holds it, and lives as far as one can see."""
        began = self._now()
        mine = {"holder": self._id, "began": text(began), **facts.process()}
        mine["until"] = text(began + timedelta(minutes=minutes))
        if file := database.file():
            file.parent.mkdir(parents=True, exist_ok=True)
        with database.transaction() as connection:
            held = database.first(sa.select(turn).with_for_update())
            if held is None:
                connection.execute(sa.insert(turn).values(only=1, **mine))
                return
            if held["until"] > mine["began"] and not facts.is_gone(held):
                raise Busy(
                    f"Another run-due is at work on {machine(held['host'])} since "
                    f"{held['began'][:16]} UTC (until {held['until'][11:16]} at most). "
                    "Nothing was run here."
                )
            connection.execute(sa.update(turn).values(mine))

    def keep(self, minutes: float) -> None:
        """Have it for so long from now. Raises Busy: it had ended, and another took it."""
        if not self._set(self._now() + timedelta(minutes=minutes)):
            raise Busy("This run-due took longer than its turn, and another goes on. It ends here.")

    def give_back(self) -> None:
        self._set(self._now())

    def _set(self, until: datetime) -> bool:
        mine = sa.update(turn).where(turn.c.holder == self._id).values(until=text(until))
        with database.transaction() as connection:
            return connection.execute(mine).rowcount == 1


def machine(host: str) -> str:
    return host.partition("/")[0]


def last_turn() -> Row | None:
    """When run-due was last begun, and where; None: never."""
    return database.first(sa.select(turn))


def rows(since: datetime | None = None, **where: Any) -> list[Row]:
    """Every time that something was due (since then), oldest first; `outcome="running"` and the
    like narrow them.
    """
    asked = sa.select(due).filter_by(**where).order_by(due.c.due)
    return database.found(asked.where(due.c.due >= text(since)) if since else asked)


def latest(schedule: str, target: str) -> Row | None:
    """The last time that a schedule was due on a target, as far as it was looked at."""
    asked = sa.select(due).filter_by(schedule=schedule, target=target)
    return database.first(asked.order_by(due.c.due.desc()).limit(1))


def enter(schedule: str, target: str, at: datetime, now: datetime, **said: Any) -> bool:
    """Enter a time that was due; False when it is entered already: then it is another's."""
    key = {"schedule": schedule, "target": target, "due": text(at)}
    with database.transaction() as connection:
        if connection.execute(sa.select(due.c.at).filter_by(**key)).first():
            return False
        entered = {**key, "at": text(now), "host": machine(facts.host()), **said}
        connection.execute(sa.insert(due).values(entered))
        return True


def close(row: Row, **said: Any) -> None:
    """What became of a run."""
    same = [due.c[name] == row[name] for name in (*_KEY, "due")]
    with database.transaction() as connection:
        connection.execute(sa.update(due).where(*same).values(said))


def told_last(**key: str) -> Trouble:
    """`key`: schedule, target, channel."""
    found = database.first(sa.select(told).filter_by(**key))
    return Trouble.read(found["trouble"] if found else "")


def keep_told(trouble: Trouble, now: datetime, **key: str) -> None:
    with database.transaction() as connection:
        connection.execute(sa.delete(told).filter_by(**key))
        connection.execute(sa.insert(told).values(**key, trouble=str(trouble), at=text(now)))
