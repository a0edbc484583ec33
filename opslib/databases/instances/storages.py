"""Storage of an RDS instance: how much is free, and more of it. It grows while the instance serves, and never shrinks."""

from __future__ import annotations

import math
from typing import Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws, Read
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.reads import metrics
from opslib.core.times import window
from opslib.databases.instances import classes, rds

FULL = "storage-full"
_WARN, _CRITICAL = 0.2, 0.1  # of the storage
_GB = 2**30
_WAIT_SECONDS = 3600


@check("Is there storage left?")
def check_storage(ops: Connection, hours: float = 24) -> Findings:
    """Free storage now, as a share of what there is, and how long it lasts at the pace of the last hours."""
    database = classes.of(ops)
    described = database.describe(ops)
    size, status = int(described["AllocatedStorage"]), described["DBInstanceStatus"]
    most = described.get("MaxAllocatedStorage")
    grows = (
        f"grows by itself up to {most} GiB" if most and most > size else "does not grow by itself"
    )
    state = Finding(
        "critical" if status == FULL else "ok" if status in rds.SERVING else "warn",
        f"{database} has room to write",
        f"{status}; {size} GiB, {grows}",
        f"not {FULL}",
        "rds describe_db_instances",
    )
    return Findings([state, _free(ops, database, size, hours)])


def _free(ops: Connection, database: rds.Database, size: int, hours: float) -> Finding:
    free_space = metrics.asked(
        "free", "AWS/RDS", "FreeStorageSpace", {database.kind.dimension: database.name}, "Minimum"
    )
    found = metrics.query(ops, [free_space], window(ops, hours * 60))["value"]
    question, source = f"free storage of {database}", "GetMetricData AWS/RDS FreeStorageSpace"
    rule = f"warn below {_WARN * 100:.0f} %, critical below {_CRITICAL * 100:.0f} %"
    if found.empty:
        return Finding("unknown", question, f"no data for {hours:g} h", rule, source)
    free, used = found.iloc[-1] / _GB, (found.iloc[0] - found.iloc[-1]) / _GB
    share = free / size
    seen = f"{free:.1f} GiB of {size} GiB ({share * 100:.0f} %)"
    seen += (
        f"; {used:.1f} GiB less than {hours:g} h ago: full in {free / used * hours / 24:.1f} days"
        if used > 0.5 and free > 0.5
        else ""
    )
    status = "critical" if share < _CRITICAL else "warn" if share < _WARN else "ok"
    return Finding(status, question, seen, rule, source)


@planner
def plan_storage(ops: Connection, gigabytes: int = 0) -> Planned:
    """Storage of that many GiB, at once; 0: half as much again. Also where the status is storage-full.

    Raises UsageError (less than there is, less than a tenth more), Refused (neither available nor full).
    """
    database = classes.of(ops)
    described = database.describe(ops)
    size, status = int(described["AllocatedStorage"]), described["DBInstanceStatus"]
    wanted, least = gigabytes or math.ceil(size * 1.5), -(-size * 11 // 10)
    if wanted == size:
        return Planned(f"{database} keeps {size} GiB", [], [f"It has {size} GiB already."])
    if wanted < least:
        raise UsageError(
            f"{wanted} GiB is too little: {database} has {size} GiB, storage never shrinks, and RDS adds a tenth or more: {least} GiB."
        )
    if status not in ("available", FULL):
        raise Refused(
            f"{database} is {status}. RDS grows one that is available or {FULL}; after a change of storage it takes the "
            "next one only six hours later. Nothing was changed."
        )
    pending = {
        k: v
        for k, v in (described.get("PendingModifiedValues") or {}).items()
        if k != "AllocatedStorage"
    }
    return Planned(
        f"{database} from {size} to {wanted} GiB, at once",
        _steps(database, size, wanted, pending),
        _notes(described, pending),
    )


def _steps(database: rds.Database, size: int, wanted: int, pending: dict[str, Any]) -> list[Step]:
    also = f", AND APPLY WHAT WAITS: {classes.listed(pending)}" if pending else ""
    grow = Step(
        f"Give {database} {wanted} GiB of storage{also}",
        do=Aws(
            "rds",
            "modify_db_instance",
            **database.key,
            AllocatedStorage=wanted,
            ApplyImmediately=True,
        ),
        before=size,
        after=wanted,
        undo=None,
        observe=Read(
            "rds", "describe_db_instances", "DBInstances[0].AllocatedStorage", **database.key
        ),
    )
    until = database.changed("AllocatedStorage", size, wanted, _WAIT_SECONDS, besides=[FULL])
    return [
        grow,
        Step(
            f"Wait until it has {wanted} GiB and serves", until, after=until["expect"][0], undo=[]
        ),
    ]


def _notes(described: dict[str, Any], pending: dict[str, Any]) -> list[str]:
    notes = [
        "It serves meanwhile, and is slower for some hours (storage-optimization). The next change of storage: in six hours.",
        "It cannot be undone: storage never shrinks. Terraform must say the same, or it tries to shrink it.",
    ]
    if pending:
        said = classes.listed(pending)
        notes.insert(
            0,
            f"LOOK: ApplyImmediately also applies {said}, which waits for the window, with its interruption.",
        )
    if described.get("ReadReplicaDBInstanceIdentifiers"):
        notes.append("Its read replicas have storage of their own: give them as much.")
    return notes


@check("Has it the storage, and does it serve?")
def check_grown(ops: Connection, gigabytes: int) -> Findings:
    """After a change: as many GiB as planned, a state that serves, and a login."""
    database = classes.of(ops)
    described = database.describe(ops)
    size, status = int(described["AllocatedStorage"]), described["DBInstanceStatus"]
    well = size == gigabytes and status in rds.SERVING
    grown = Finding(
        "ok" if well else "critical",
        f"storage of {database}",
        f"{size} GiB, {status}",
        f"{gigabytes} GiB, serving",
        "rds describe_db_instances",
    )
    return Findings([grown, classes.login(ops)])


def storage_wanted(plan: Plan) -> int:
    """GiB after a plan of `plan_storage`; 0 when it has nothing to do."""
    return int(plan.steps[0].do["parameters"]["AllocatedStorage"]) if plan.steps else 0
