"""Whether a database serves: its state, what that asks for, a login, what waits for its window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opslib.core import UTC_TIME, Connection, Finding, Json, OpsError, Question
from opslib.core.connections import sql
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
# State -> what to do, what comes next here; the states are told in
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
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
_LOGIN = Question("a login", "an answer", "SELECT with the secret's login")


def judged(what: str, status: str, source: str) -> Finding:
    """A state as a finding: one that passes is a warning, one that does not, the cause."""
    asked = Question(f"{what} is available", "available", source)
    if status == "available":
        return asked.answer("ok", status)
    if status in _PASSING:
        return asked.answer("warn", f"{status}: ends by itself; look again in some minutes")
    asks, follows = _ASKS.get(status, _OTHERWISE)
    return asked.answer("critical", f"{status}: {asks}", cause=UNAVAILABLE, next=follows)


def login(ops: Connection) -> Finding:
    """Whether the database takes a login with the present secret."""
    try:
        version = sql.value(ops, "SELECT current_setting('server_version')")
    except OpsError as exc:
        return _LOGIN.answer("critical", str(exc), next="databases/health")
    return _LOGIN.answer("ok", f"PostgreSQL {version} answers")


def waiting(
    ops: Connection, database: rds.Database, members: Iterable[Mapping[str, Any]]
) -> Iterator[Json]:
    """Rows of WAITING: modifications, and the maintenance that AWS announces, if it tells."""
    names = {database.name}
    for member in members:
        names.add(member["DBInstanceIdentifier"])
        window = member.get("PreferredMaintenanceWindow")
        when = "in the maintenance window" + (f", {window} UTC" if window else "")
        for key, value in rds.waiting_values(member).items():
            change = f"{key} to {value}"
            yield _row(member["DBInstanceIdentifier"], "modification", change, when)
    operation = "describe_pending_maintenance_actions"
    try:
        listed = ops.pages("rds", operation, "PendingMaintenanceActions[]")
    except OpsError as exc:
        yield _row(database.name, "maintenance", f"unknown: {exc}", "")
        return
    for each in listed:
        name = each["ResourceIdentifier"].rpartition(":")[2]
        if name in names:
            for said in each.get("PendingMaintenanceActionDetails", ()):
                yield _maintenance(name, said)


def _row(database: str, what: str, change: str, when: str, by: Any = None) -> Json:
    return dict(zip(WAITING, (database, what, change, when, by), strict=True))


def _maintenance(name: str, said: Mapping[str, Any]) -> Json:
    forced = said.get("ForcedApplyDate")
    asked = said.get("OptInStatus") or ("forced by then" if forced else "not asked for yet")
    by = forced or said.get("AutoAppliedAfterDate") or said.get("CurrentApplyDate")
    change = f"{said.get('Action', '')}: {said.get('Description', '')}".rstrip(": ")
    return _row(name, "maintenance", change, asked, by)
