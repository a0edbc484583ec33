"""Things of an account, as instances, snapshots, services: how AWS calls a kind of them is data,
and what is asked of one and done with it is the same for every kind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from opslib.core.actions.actions import Action, Aws, Read, Wait
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound
from opslib.core.plans.plans import Step
from opslib.core.tables import Json, Params


@dataclass(frozen=True)
class Kind:
    """How AWS calls a kind of thing.

    `at`: JMESPath to it in what `describe` answers. `key`: the parameter that names it there,
    `services[]` where that is a list; `called`: its parameter in other calls, when it is another.
    `status`: JMESPath to its state in there. `pending`: states that end by themselves, `changing`:
    more of them while a value is changed. `serving`: states in which it does its work, the first
    one when nothing is under way. `deleting`, `modifying`: what these calls take besides.
    """

    noun: str
    service: str
    describe: str
    at: str
    key: str
    status: str
    pending: Sequence[str]
    changing: Sequence[str] = ()
    serving: Sequence[str] = ("available",)
    called: str = ""
    create: str = ""
    delete: str = ""
    deleting: Params = field(default_factory=dict)
    modify: str = ""
    modifying: Params = field(default_factory=dict)
    seconds: int = 3600

    def find_all(self, ops: Connection, shape: str = "", **given: Any) -> list[Json]:
        """Each of that kind that the parameters choose, as described or in a JMESPath's shape."""
        items = f"{self.at.removesuffix('[0]')}[]"
        return ops.pages(
            self.service, self.describe, f"{items}.{shape}" if shape else items, **given
        )


def free_name(stem: str, taken: Iterable[str]) -> str:
    """The stem with the first number behind it that makes a name which is free."""
    held = {*taken}
    return next(name for at in count(1) if (name := f"{stem}{at}") not in held)


@dataclass(frozen=True)
class Thing:
    """One of a kind by its name. `within`: what else names it, as the cluster of a service."""

    kind: Kind
    name: str
    within: Params = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind.noun} {self.name}".lstrip()

    @property
    def key(self) -> Json:
        """The parameters that name it in a call."""
        return self._named(self.kind.called or self.kind.key)

    def _named(self, key: str) -> Json:
        name = [self.name] if key.endswith("[]") else self.name
        return {key.removesuffix("[]"): name, **self.within}

    def describe(self, ops: Connection) -> Json:
        """As AWS describes it. Raises NotFound."""
        found: Json | None = self.read().perform(ops)
        if found is None:
            raise NotFound(f"{self} not found in {ops.where}.")
        return found

    def exists(self, ops: Connection) -> bool:
        """Whether there is one of that name; denied is an error, not an absence."""
        try:
            self.describe(ops)
        except NotFound:
            return False
        return True

    def read(self, path: str = "") -> Action:
        """Reads what is at a path of its description; without one, all of it."""
        kind = self.kind
        at = f"{kind.at}.{path}" if path else kind.at
        return Read(kind.service, kind.describe, at, **self._named(kind.key))

    def status(self) -> Action:
        """Reads its state."""
        return self.read(self.kind.status)

    def until(self, path: str, pending: Sequence[Any], expect: Sequence[Any], most: int) -> Action:
        kind, path = self.kind, self.read(path)["path"]
        named = self._named(kind.key)
        return Wait(kind.service, kind.describe, path, [*pending], [*expect], most, **named)

    def call(self, operation: str, **parameters: Any) -> Action:
        """A call that names it."""
        return Aws(self.kind.service, operation, **self.key, **parameters)

    def put(self, attribute: str, value: Any, **how: Any) -> Action:
        """Gives an attribute another value."""
        return self.call(self.kind.modify, **{attribute: value, **self.kind.modifying, **how})

    def gone(self) -> Action:
        """Deletes it."""
        return self.call(self.kind.delete, **self.kind.deleting)

    def made(self, title: str, do: Action) -> list[Step]:
        """It is made, and waited for until it serves; undo deletes it."""
        kind, status = self.kind, self.status()
        until = self.until(kind.status, kind.pending, kind.serving[:1], kind.seconds)
        waiting = f"Wait until {self} is {kind.serving[0]}"
        stays = f"!contains(['deleting', 'DELETING'], {status['path']})"
        there = Action(status, path=f"{kind.at} && {stays} && 'there' || 'absent'")
        return [
            Step(title, do, "absent", "there", [self.gone()], there),
            Step(waiting, until, None, kind.serving[0], [], status),
        ]

    def changed(
        self,
        attribute: str,
        before: Any,
        after: Any,
        titles: tuple[str, str],
        *,
        reversible: bool = True,
        seconds: int = 0,
        besides: Sequence[str] = (),
    ) -> list[Step]:
        """An attribute gets another value, with which it is waited for; undo puts the old one.

        `titles`: of the change, of the wait. `besides`: states to be waited out, too. What has not
        begun yet still serves with the old value for a while.
        """
        kind = self.kind
        passing = [*kind.pending, *kind.changing, *besides]
        pending = [f"{before} {state}" for state in (*passing, kind.serving[0])]
        pending += [f"{after} {state}" for state in passing if state not in kind.serving]
        done = [f"{after} {state}" for state in kind.serving]
        path = f"[to_string({attribute}), {kind.status}] | join(' ', @)"
        until = self.until(path, pending, done, seconds or kind.seconds)
        undo = [self.put(attribute, before)] if reversible else None
        do = self.put(attribute, after)
        return [
            Step(titles[0], do, before, after, undo, self.read(attribute)),
            Step(titles[1], until, after=done[0], undo=[]),
        ]
