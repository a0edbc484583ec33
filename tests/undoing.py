"""What an apply did is taken back: by its record, as an operator does, or at once by the actions it left."""

from __future__ import annotations

from opslib import _actions, apply, changes, records
from opslib.connections import Connection
from opslib.plans import Applied


def undo_last(ops: Connection) -> None:
    """The newest change of the target, by its record."""
    record = records.list_records(target=ops.target.name, outcome="changed")[0]
    apply(ops, changes.plan_undo(ops, record.id), "now", ops.target.name)


def undo(ops: Connection, applied: Applied) -> None:
    """Without a record."""
    for actions in reversed(applied.undo):
        for action in actions or ():
            _actions.perform(ops, action, {})
