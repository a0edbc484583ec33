"""What the states of an RDS cluster or instance ask of an operator, and what waits to be done to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.findings import Finding
from opslib.core.tables import UTC_TIME
from opslib.databases.instances import rds

UNAVAILABLE = "database-unavailable"  # the cause that findings name
WAITING = {"database": "str", "what": "str", "change": "str", "when": "str", "by": UTC_TIME}
_PASSING = {
    *rds.PENDING,
    "failing-over",
    "promoting",
    "storage-config-upgrade",
    "storage-initialization",
    "delete-precheck",
}
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html: state -> what to do, what comes next here
_ASKS = {
    "storage-full": (
        "its storage is full, so it takes no writes and in the end no logins: give it more",
        "databases/storage",
    ),
    "stopped": (
        "somebody stopped it, or it was not used: start it (aws rds start-db-instance)",
        "",
    ),
    "stopping": ("somebody stops it: who, and why?", ""),
    "failed": ("it cannot be recovered by RDS: restore it beside", "databases/restore"),
    "restore-error": ("the restore did not succeed: restore again", "databases/restore"),
    "incompatible-restore": (
        "the restore did not succeed: restore to another moment or snapshot",
        "databases/restore",
    ),
    "incompatible-parameters": (
        "a parameter does not fit its class or version: correct the parameter group, then reboot",
        "databases/scale",
    ),
    "incompatible-option-group": ("its option group does not fit: correct or revert it", ""),
    "incompatible-network": (
        "its subnets have no free address, or are gone: correct its subnet group",
        "",
    ),
    "incompatible-create": ("its options do not fit together", ""),
    "insufficient-capacity": (
        "AWS has no machine of its class now: try another class or zone",
        "databases/scale",
    ),
    "inaccessible-encryption-credentials": (
        "its KMS key is disabled or denied: enable the key, then restore",
        "databases/restore",
    ),
    "inaccessible-encryption-credentials-recoverable": (
        "its KMS key is disabled or denied: enable the key within 7 days, then start it",
        "",
    ),
    "deleting": ("it is being deleted: who does that?", "databases/restore"),
}
_OTHERWISE = ("RDS's documentation says what this state asks for; tell AWS Support", "")


def judged(what: str, status: str, source: str) -> Finding:
    """A state as a finding: passing ones are a warning, those that do not end by themselves the cause."""
    question = f"{what} is available"
    if status == "available":
        return Finding("ok", question, status, "available", source)
    if status in _PASSING:
        return Finding(
            "warn",
            question,
            f"{status}: ends by itself; look again in some minutes",
            "available",
            source,
        )
    asks, follows = _ASKS.get(status, _OTHERWISE)
    return Finding(
        "critical", question, f"{status}: {asks}", "available", source, UNAVAILABLE, follows
    )


def waiting(
    ops: Connection, database: rds.Database, members: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Rows of WAITING: modifications that wait for the window, maintenance that AWS has announced. The latter may be unknown."""
    window = ""
    for member in members:
        window = str(member.get("PreferredMaintenanceWindow", ""))
        yield from _modifications(member, window)
    try:
        listed = ops.pages(
            "rds", "describe_pending_maintenance_actions", "PendingMaintenanceActions[]"
        )
    except OpsError as exc:
        yield {
            "database": database.name,
            "what": "maintenance",
            "change": f"unknown: {exc}",
            "when": "",
            "by": None,
        }
        return
    names = {database.name, *(str(m["DBInstanceIdentifier"]) for m in members)}
    for each in listed:
        name = each["ResourceIdentifier"].rpartition(":")[2]
        if name in names:
            yield from (
                _action(name, said) for said in each.get("PendingMaintenanceActionDetails", ())
            )


def _modifications(member: Mapping[str, Any], window: str) -> Iterator[dict[str, Any]]:
    for key, value in (member.get("PendingModifiedValues") or {}).items():
        yield {
            "database": member["DBInstanceIdentifier"],
            "what": "modification",
            "change": f"{key} to {value}",
            "when": f"in the maintenance window, {window} UTC"
            if window
            else "in the maintenance window",
            "by": None,
        }


def _action(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    by = (
        said.get("ForcedApplyDate")
        or said.get("AutoAppliedAfterDate")
        or said.get("CurrentApplyDate")
    )
    asked = said.get("OptInStatus") or (
        "forced by then" if said.get("ForcedApplyDate") else "not asked for yet"
    )
    return {
        "database": name,
        "what": "maintenance",
        "change": f"{said.get('Action', '')}: {said.get('Description', '')}".rstrip(": "),
        "when": asked,
        "by": by,
    }
