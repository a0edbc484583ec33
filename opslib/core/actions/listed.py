"""Values put into a list that AWS holds as a whole, beside those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jmespath

from opslib.core.actions.actions import Action, Aws, Read
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError

_TRIES = 5


class Listed(Action, kind="listed"):
    """Read a list, add and drop values, write it back with the lock that came with it.

    Others stay. Where somebody was faster, it is read again. `read`, `write`: the calls, without
    the list; `at`, `parameter`: where it is in the answer, what it is called in the write; `lock`:
    the token's name in both; `region`: another than the target's.
    """

    def __init__(
        self,
        read: Aws,
        write: Aws,
        at: str,
        parameter: str,
        lock: str,
        add: Sequence[str] = (),
        drop: Sequence[str] = (),
        region: str = "",
    ) -> None: ...

    def __str__(self) -> str:
        said = [f"+{each}" for each in self["add"]] + [f"-{each}" for each in self["drop"]]
        return f"{self.of(self['write'])}: {self['parameter']} {' '.join(said)}, the others kept"

    def perform(self, ops: Connection) -> Any:
        there = ops.at(self["region"])
        for tries in range(_TRIES):
            read, write = self["read"], self["write"]
            answer = there.call(read["service"], read["operation"], **read["parameters"])
            present = jmespath.search(self["at"], answer) or []
            wanted = [each for each in present if each not in self["drop"]]
            wanted += [each for each in self["add"] if each not in wanted]
            if wanted == present:
                return wanted
            given = {**write["parameters"], self["parameter"]: wanted}
            given[self["lock"]] = answer[self["lock"]]
            try:
                there.change(write["service"], write["operation"], self.token, **given)
            except OpsError as exc:
                if "OptimisticLock" not in str(exc) or tries == _TRIES - 1:
                    raise
            else:
                return wanted
        raise AssertionError("the last try returns or raises")


class There(Read, kind="there"):
    """The value at a JMESPath in an AWS answer of a region."""

    def __init__(
        self, region: str, service: str, operation: str, path: str, /, **parameters: Any
    ) -> None: ...

    def perform(self, ops: Connection) -> Any:
        return super().perform(ops.at(self["region"]))
