"""Storage of an RDS instance: how much is free, and more of it.

It grows while it serves, and never shrinks.
"""

import math
from datetime import timedelta

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Plan,
    Planned,
    Question,
    Refused,
    UsageError,
    check,
    metrics,
    planner,
    window,
)
from opslib.databases.instances import rds, states

FULL = "storage-full"
_ATTRIBUTE = "AllocatedStorage"
_WARN, _CRITICAL = 0.2, 0.1  # of the storage
_RULE = f"warn below {_WARN * 100:.0f} %, critical below {_CRITICAL * 100:.0f} %"
_GB = 2**30
_LATE = timedelta(minutes=30)  # a value that is older is not of now


@check("Is there storage left?")
def check_storage(ops: Connection, hours: float = 24) -> Findings:
    """Free storage now, as a share of all, and how long it lasts at the pace of the last hours."""
    database, described = rds.instance_of(ops)
    size, most = described[_ATTRIBUTE], described.get("MaxAllocatedStorage") or 0
    grows = (
        f"It grows by itself up to {most} GiB." if most > size else "It does not grow by itself."
    )
    state = states.judged(database, described)
    return Findings([state, _free(ops, database, size, hours)], note=grows)


def _free(ops: Connection, database: rds.Database, size: int, hours: float) -> Finding:
    asked = Question(f"free storage of {database}", _RULE, "GetMetricData AWS/RDS FreeStorageSpace")
    space = {"": ("AWS/RDS", "FreeStorageSpace", database.key, "Minimum")}
    found = metrics.series(ops, space, window(ops, hours * 60))[""] / _GB
    if found.empty:
        return asked.unknown(f"no data for {hours:g} h")
    if ops.now() - (newest := found.index[-1]) > _LATE:
        seen = f"{found.iloc[-1]:.1f} GiB, but that is of {newest:%m-%d %H:%M} UTC: nothing since"
        return asked.unknown(seen, next="alarms/review")
    free, used = found.iloc[-1], found.iloc[0] - found.iloc[-1]
    share = free / size
    seen = f"{free:.1f} GiB of {size} GiB ({share * 100:.0f} %)"
    if min(used, free) > 0.5:
        days = free / used * hours / 24
        seen += f"; {used:.1f} GiB less than {hours:g} h ago: full in {days:.1f} days"
    low = "critical" if share < _CRITICAL else "warn"
    return asked.judged(share >= _WARN, seen, otherwise=low)


@planner
def plan_storage(ops: Connection, gigabytes: int = 0) -> Planned:
    """Storage of that many GiB, at once; 0: half as much again.

    Also where the status is storage-full. Raises UsageError (less than there is, less than a tenth
    more), Refused (neither available nor full).
    """
    database, described = rds.instance_of(ops)
    size, status = described[_ATTRIBUTE], described["DBInstanceStatus"]
    wanted, least = gigabytes or math.ceil(size * 1.5), -(-size * 11 // 10)
    if wanted == size:
        return Planned(f"{database} keeps {size} GiB", [], [f"It has {size} GiB already."])
    if wanted < least:
        raise UsageError(
            f"{wanted} GiB is too little: {database} has {size} GiB, storage never shrinks, "
            f"and RDS adds a tenth or more: {least} GiB."
        )
    if status not in ("available", FULL):
        raise Refused(
            f"{database} is {status}. RDS grows one that is available or {FULL}; after a change of "
            "storage it takes the next one only six hours later. Nothing was changed."
        )
    notes, (_, others) = list(_NOTES), rds.waiting(described, _ATTRIBUTE)
    title = f"Give {database} {wanted} GiB of storage"
    if others:
        title += f", AND APPLY WHAT WAITS: {others}"
        look = f"LOOK: ApplyImmediately also applies {others}, which waits for the window"
        notes.insert(0, f"{look}, with its interruption.")
    if described.get("ReadReplicaDBInstanceIdentifiers"):
        notes.append("Its read replicas have storage of their own: give them as much.")
    titles = title, f"Wait until it has {wanted} GiB and serves"
    steps = database.changed(_ATTRIBUTE, size, wanted, titles, reversible=False, besides=[FULL])
    return Planned(f"{database} from {size} to {wanted} GiB, at once", steps, notes)


_NOTES = (
    "It serves meanwhile, and is slower for some hours (storage-optimization). "
    "The next change of storage: in six hours.",
    "It cannot be undone: storage never shrinks. "
    "Terraform must say the same, or it tries to shrink it.",
)


@check("Has it the storage, and does it serve?")
def check_grown(ops: Connection, gigabytes: int) -> Findings:
    """After a change: as many GiB as planned, a state that serves, and a login."""
    database, described = rds.instance_of(ops)
    size, status = described[_ATTRIBUTE], described["DBInstanceStatus"]
    well = size == gigabytes and status in database.kind.serving
    asked = Question(
        f"storage of {database}", f"{gigabytes} GiB, serving", "rds describe_db_instances"
    )
    return Findings([asked.judged(well, f"{size} GiB, {status}"), states.login(ops)])


def storage_wanted(plan: Plan) -> int:
    """GiB after a plan of `plan_storage`; 0 when it has nothing to do."""
    return int(plan.steps[0].do["parameters"][_ATTRIBUTE]) if plan.steps else 0
