"""Names of plans that are spent, and who is changing a target now: tables beside the index.

Machines that share an index share them, so an approval is used once on all of them.
"""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from opslib.core import Connection, OpsError, Refused, paths
from opslib.records import facts, files
from opslib.records.chain import database

LEASE_SECONDS = 60.0  # without a renewal, on a machine that we cannot look at
_spent = database.table("spent_plans", ["plan"], ["target", "by", "at"])
_leases = database.table(
    "leases",
    ["target"],
    ["token", "holder", "host"],
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

    Raises Refused naming who holds it, OpsError when the index does not answer. Meanwhile
    `ops.require_hold` raises when it was lost (a machine that slept, an index that was away).
    """
    files.require_writable(paths.records())
    lease, done = _Lease(ops.target.name), threading.Event()
    _take(ops, lease.token)
    renewing = threading.Thread(target=lease.keep, args=(done,), daemon=True)
    renewing.start()
    ops.require_hold = lease.require
    try:
        yield
    finally:
        ops.require_hold = lambda: None
        done.set()
        renewing.join()
        mine = sa.delete(_leases).filter_by(target=lease.target, token=lease.token)
        with contextlib.suppress(OpsError), database.transaction() as connection:
            connection.execute(mine)  # else it ends by itself


class _Lease:
    """Of a target. `_renewed`: when the index last said that it is ours, by `facts.uptime`."""

    def __init__(self, target: str) -> None:
        self.target, self.token, self._renewed = target, secrets.token_hex(8), facts.uptime()

    def keep(self, done: threading.Event) -> None:
        """A renewal that the index does not take is tried again: the lease holds for three."""
        while not done.wait(LEASE_SECONDS / 4):
            with contextlib.suppress(OpsError):
                self._renew()

    def require(self) -> None:
        """It is still ours, also of who slept. Raises OpsError."""
        if facts.uptime() - self._renewed < LEASE_SECONDS / 2:
            return
        try:
            ours = self._renew()
        except OpsError as exc:
            if facts.uptime() - self._renewed < LEASE_SECONDS:
                return
            raise OpsError(f"The hold on {self.target} has ended, and {exc}") from exc
        if not ours:
            raise OpsError(
                f"The hold on {self.target} had ended, and somebody else has changed it since, or "
                "does now. Look before anything else."
            )

    def _renew(self) -> bool:
        asked = facts.uptime()
        with database.transaction() as connection:
            until = _now(connection) + LEASE_SECONDS
            mine = sa.update(_leases).filter_by(target=self.target, token=self.token)
            ours = connection.execute(mine.values(until=until)).rowcount == 1
        if ours:
            self._renewed = asked
        return ours


def _take(ops: Connection, token: str) -> None:
    process, target = facts.process(), ops.target.name
    with database.transaction() as connection:
        now = _now(connection)
        since = datetime.fromtimestamp(now, UTC)
        holder = f"{ops.identity.arn} (process {process['pid']} on {process['host']})"
        holder += f" since {since:%Y-%m-%d %H:%M:%S} UTC"
        mine = {"token": token, "holder": holder, **process, "until": now + LEASE_SECONDS}
        asked = sa.select(_leases).filter_by(target=target).with_for_update()
        held = database.first(asked)
        if held is None:
            try:
                connection.execute(sa.insert(_leases).values(target=target, **mine))
                return
            except IntegrityError:
                raise Refused(
                    f"{target} is being changed by somebody who began at this very moment. "
                    "Nothing was changed; preview again when that has ended."
                ) from None
        if held["until"] > now and not facts.is_gone(held):
            end = datetime.fromtimestamp(held["until"], UTC)
            raise Refused(
                f"{target} is being changed by {held['holder']}, who holds it until {end:%H:%M:%S} "
                "UTC, and longer while that goes on. Nothing was changed; preview again when it "
                "has ended. Should it have been killed, its hold ends then by itself."
            )
        connection.execute(sa.update(_leases).filter_by(target=target).values(**mine))


def _now(connection: sa.Connection) -> float:
    """The index's clock where it is a server: those of machines differ."""
    if connection.dialect.name == "sqlite":
        return time.time()
    clock = sa.extract("epoch", sa.func.clock_timestamp())
    return float(connection.execute(sa.select(clock)).scalar_one())
