"""What an apply did is taken back.

By its record, as an operator does, or at once by the actions it left.
"""

from __future__ import annotations

from opslib import apply, changes
from opslib.core.connections import targets
from opslib.core.connections.connection import Connection
from opslib.core.plans.applying import Applied
from opslib.records import reading


def confirmed(target: str) -> str:
    """What is typed to change it at whatever time a test runs."""
    windows = "maintenance" in targets.load(target).facts
    return f"{target} outside the window" if windows else target


def undo_last(ops: Connection) -> None:
    """The newest change of the target, by its record."""
    record = reading.list_records(target=ops.target.name, outcome="changed")[0]
    apply(ops, changes.plan_undo(ops, record.id), "now", confirmed(ops.target.name))


def undo(ops: Connection, applied: Applied) -> None:
    """Without a record."""
    for actions in reversed(applied.undo):
        for action in actions or ():
            action.perform(ops)
