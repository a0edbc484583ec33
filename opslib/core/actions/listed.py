"""Values put into a list that AWS holds as a whole, beside those that are there."""

from collections.abc import Sequence
from typing import Any

import jmespath

from opslib.core.actions.actions import Action, Read, action, called
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError

_TRIES = 5


def _listed(do: Action) -> str:
    said = [f"+{each}" for each in do["add"]] + [f"-{each}" for each in do["drop"]]
    return f"{Action(do['write'])}: {do['parameter']} {' '.join(said)}, the others kept"


@action("listed", _listed)
def Listed(
    ops: Connection,
    read: Action,
    write: Action,
    at: str,
    parameter: str,
    lock: str,
    add: Sequence[str] = (),
    drop: Sequence[str] = (),
    region: str = "",
) -> Any:
    """Read a list, add and drop values, write it back with the lock that came with it.

    Others stay. Where somebody was faster, it is read again. `read`, `write`: the calls, without
    the list; `at`, `parameter`: where it is in the answer, what it is called in the write; `lock`:
    the token's name in both; `region`: another than the target's.
    """
    there, tries = ops.at(region), _TRIES
    while True:
        answer = there.call(read["service"], read["operation"], **read["parameters"])
        present = jmespath.search(at, answer) or []
        wanted = [each for each in present if each not in drop]
        wanted += [each for each in add if each not in wanted]
        if wanted == present:
            return wanted
        given = {**write["parameters"], parameter: wanted, lock: answer[lock]}
        try:
            there.change(write["service"], write["operation"], **given)
            return wanted
        except OpsError as exc:
            tries -= 1
            if "OptimisticLock" not in str(exc) or not tries:
                raise


@action("there", called)
def There(
    ops: Connection, region: str, service: str, operation: str, path: str, /, **parameters: Any
) -> Any:
    """The value at a JMESPath in an AWS answer of a region."""
    return Read(service, operation, path, **parameters).perform(ops.at(region))
