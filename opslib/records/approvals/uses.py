"""Names of plans that are spent, and who is changing a target now: tables beside the index.

Machines that share an index share them, so an approval is used once on all of them.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from opslib.core import OpsError, Refused, paths
from opslib.core.connections.connection import Connection
from opslib.records import facts, files
from opslib.records.chain import database

LEASE_SECONDS = 60.0  # without a renewal, on a machine that we cannot look at
_spent = sa.Table(
    "spent_plans",
    database.metadata,
    sa.Column("plan", sa.String(200), primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
_leases = sa.Table(
    "leases",
    database.metadata,
    sa.Column("target", sa.String(200), primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("pid_started", sa.Text),
    sa.Column("until", sa.Float, nullable=False),  # seconds since 1970, by the index's own clock
)


def spend(ops: Connection, approved: str, names: Sequence[str]) -> None:
    """Use up the name that was approved, and the other names of the same plan.

    Raises Refused when it was used before; of two at once one is refused.
    """
    said = {"target": ops.target.name, "by": ops.identity.arn, "at": facts.moment()}
    with database.transaction() as connection:
        for name in dict.fromkeys([*names, *filter(None, [approved])]):
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(_spent).values(plan=name, **said))
            except IntegrityError:
                if name == approved:
                    was = connection.execute(sa.select(_spent).filter_by(plan=name)).one()
                    raise Refused(
                        f"Plan {name} was applied already, by {was.by} at {was.at[:19]} UTC: an "
                        "approval is for one use. Nothing was changed; preview again."
                    ) from None


@contextmanager
def holding(ops: Connection) -> Iterator[None]:
    """Nobody else changes the target meanwhile: a lease, renewed while this process lives.

    Raises Refused naming who holds it, OpsError when the index does not answer.
    """
    files.require_writable(paths.records())
    token, done = secrets.token_hex(8), threading.Event()
    _take(ops, token)
    renewing = threading.Thread(target=_renew, args=(ops.target.name, token, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        with contextlib.suppress(OpsError):  # it ends by itself
            _give_back(ops.target.name, token)


def _take(ops: Connection, token: str) -> None:
    process, target = facts.process(), ops.target.name
    holder = f"{ops.identity.arn} (process {process['pid']} on {process['host']})"
    mine = {"token": token, "holder": holder, **process}
    with database.transaction() as connection:
        now = _now(connection)
        mine["until"] = now + LEASE_SECONDS
        held = connection.execute(
            sa.select(_leases).filter_by(target=target).with_for_update()
        ).first()
        if held is None:
            try:
                connection.execute(sa.insert(_leases).values(target=target, **mine))
                return
            except IntegrityError:
                raise Refused(
                    f"{target} is being changed by somebody who began at this very moment. "
                    "Nothing was changed; preview again when that has ended."
                ) from None
        gone = held.host == process["host"] and facts.process_started(held.pid) != held.pid_started
        if held.until > now and not gone:
            end = datetime.fromtimestamp(held.until, UTC)
            raise Refused(
                f"{target} is being changed by {held.holder}. Nothing was changed; preview again "
                "when that has ended. Should it have been killed, its hold ends at "
                f"{end:%H:%M:%S} UTC by itself."
            )
        connection.execute(sa.update(_leases).filter_by(target=target).values(**mine))


def _renew(target: str, token: str, done: threading.Event) -> None:
    """A renewal that the index does not take is tried again: the lease holds for three."""
    while not done.wait(LEASE_SECONDS / 4):
        with contextlib.suppress(OpsError), database.transaction() as connection:
            mine = sa.update(_leases).filter_by(target=target, token=token)
            connection.execute(mine.values(until=_now(connection) + LEASE_SECONDS))


def _give_back(target: str, token: str) -> None:
    with database.transaction() as connection:
        connection.execute(sa.delete(_leases).filter_by(target=target, token=token))


def _now(connection: sa.Connection) -> float:
    """The index's clock where it is a server: those of machines differ."""
    if connection.dialect.name == "sqlite":
        return time.time()
    clock = sa.extract("epoch", sa.func.clock_timestamp())
    return float(connection.execute(sa.select(clock)).scalar_one())
