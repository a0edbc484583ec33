"""Storage of an RDS instance: how much is free, and more of it.

It grows while it serves, and never shrinks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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
    planner,
    window,
)
from opslib.core.reads import metrics
from opslib.databases.instances import rds, states

FULL = "storage-full"
_ATTRIBUTE = "AllocatedStorage"
_WARN, _CRITICAL = 0.2, 0.1  # of the storage
_RULE = f"warn below {_WARN * 100:.0f} %, critical below {_CRITICAL * 100:.0f} %"
_GB = 2**30


@check("Is there storage left?")
def check_storage(ops: Connection, hours: float = 24) -> Findings:
    """Free storage now, as a share of all, and how long it lasts at the pace of the last hours."""
    database = rds.instance_of(ops)
    size, status, described = _described(ops, database)
    most = described.get("MaxAllocatedStorage") or 0
    grows = f"grows by itself up to {most} GiB" if most > size else "does not grow by itself"
    room = Question(f"{database} has room to write", f"not {FULL}", "rds describe_db_instances")
    state = room.judged(
        status in database.kind.serving,
        f"{status}; {size} GiB, {grows}",
        otherwise="critical" if status == FULL else "warn",
    )
    return Findings([state, _free(ops, database, size, hours)])


def _described(ops: Connection, database: rds.Database) -> tuple[int, str, Mapping[str, Any]]:
    """Its size in GiB, its state, all of its description."""
    described = database.describe(ops)
    return int(described[_ATTRIBUTE]), described["DBInstanceStatus"], described


def _free(ops: Connection, database: rds.Database, size: int, hours: float) -> Finding:
    asked = Question(f"free storage of {database}", _RULE, "GetMetricData AWS/RDS FreeStorageSpace")
    space = metrics.asked("free", "AWS/RDS", "FreeStorageSpace", database.key, "Minimum")
    found = metrics.query(ops, [space], window(ops, hours * 60))["value"] / _GB
    if found.empty:
        return asked.answer("unknown", f"no data for {hours:g} h")
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
    database = rds.instance_of(ops)
    size, status, described = _described(ops, database)
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
    notes, waits = list(_NOTES), rds.waiting_values(described)
    waits.pop(_ATTRIBUTE, None)
    title = f"Give {database} {wanted} GiB of storage"
    if waits:
        said = rds.in_words(waits)
        title += f", AND APPLY WHAT WAITS: {said}"
        look = f"LOOK: ApplyImmediately also applies {said}, which waits for the window"
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
    database = rds.instance_of(ops)
    size, status, _ = _described(ops, database)
    well = size == gigabytes and status in database.kind.serving
    asked = Question(
        f"storage of {database}", f"{gigabytes} GiB, serving", "rds describe_db_instances"
    )
    return Findings([asked.judged(well, f"{size} GiB, {status}"), states.login(ops)])


def storage_wanted(plan: Plan) -> int:
    """GiB after a plan of `plan_storage`; 0 when it has nothing to do."""
    return int(plan.steps[0].do["parameters"][_ATTRIBUTE]) if plan.steps else 0
