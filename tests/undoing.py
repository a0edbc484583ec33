"""What an apply did is taken back.

By its record, as an operator does, or at once by the actions it left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def objects_taken_out(ops: Connection, *buckets: str) -> Iterator[None]:
    """What is put into versioned buckets inside, over others or not, is taken out afterwards."""
    shape = "[Versions, DeleteMarkers][].[Key, VersionId]"

    def held() -> set[tuple[str, str, str]]:
        return {
            (bucket, *each)
            for bucket in buckets
            for each in ops.pages("s3", "list_object_versions", shape, Bucket=bucket)
        }

    before = held()
    yield
    for bucket, key, version in held() - before:
        ops.call("s3", "delete_object", Bucket=bucket, Key=key, VersionId=version)
