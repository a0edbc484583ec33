"""Whether a database serves: its state, what that asks for, a login, its rows, what waits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from opslib.core import (
    UTC_TIME,
    Connection,
    Finding,
    Findings,
    Json,
    OpsError,
    Question,
    Refused,
    frame,
)
from opslib.core.connections import sql
from opslib.databases.instances import rds

UNAVAILABLE = "database-unavailable"  # the cause that findings name
WAITING = {"database": "str", "what": "str", "change": "str", "when": "str", "by": UTC_TIME}
COUNTS = {"table": "str", "rows_there": "Int64", "rows_now": "Int64", "difference": "Int64"}
_SERVES = ("available", "backing-up", "storage-optimization")  # in all of them as always
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
        "somebody stopped it, or it was not used: start it (aws rds start-db-{kind})",
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
_UNKNOWN = "not a state that is known here: RDS's documentation says what it asks for"
_LOGIN = Question("a login", "an answer", "SELECT with the secret's login")


def judged(database: rds.Database, described: Json) -> Finding:
    """Its state as a finding: one that passes is a warning, one that does not, the cause."""
    kind, status = database.kind, described[database.kind.status]
    asked = Question(f"{database} is available", "available", f"rds {kind.describe}")
    if status in _SERVES:
        return asked.answer("ok", status, cause=UNAVAILABLE)
    if status in _PASSING:
        return asked.answer("warn", f"{status}: ends by itself; look again in some minutes")
    if status not in _ASKS:
        return asked.answer("unknown", f"{status}: {_UNKNOWN}")
    asks, follows = _ASKS[status]
    seen = f"{status}: {asks.format(kind=kind.noun)}"
    return asked.answer("critical", seen, cause=UNAVAILABLE, next=follows)


def login(ops: Connection) -> Finding:
    """Whether the database takes a login with the present secret."""
    try:
        version = sql.value(ops, "SELECT current_setting('server_version')")
    except OpsError as exc:
        return _LOGIN.answer("critical", str(exc), next="databases/health")
    return _LOGIN.answer("ok", f"PostgreSQL {version} answers")


def require_login(ops: Connection) -> None:
    """Raises Refused when the database takes no login with the present secret."""
    if (found := login(ops)).status != "ok":
        raise Refused(f"No login now: {found.seen} Nothing was changed; see databases/health.")


def compared(ops: Connection, other: rds.Database) -> Findings:
    """Does a copy of the target's database take a login with the present secret, and has it rows?

    In every table that has some now. Evidence: COUNTS, none without a login.
    """
    at = other.endpoint(ops)
    where = f"{at['host']}:{at['port']}"
    asked = Question(
        f"{other} takes a login and has its rows",
        "a login, and rows in every table that has some now",
        f"SELECT count(*) on {where}",
    )
    try:
        there = sql.count_rows(ops, sql.list_tables(ops, at), at)
    except OpsError as exc:
        rule = "a login with the present secret"
        return Findings([asked.answer("critical", str(exc), rule=rule)])
    now = sql.count_rows(ops, sql.list_tables(ops))
    lost = [table for table, rows in now.items() if rows and not there.get(table)]
    held = sum(there.values())
    seen = f"logged in at {where}; {held:,} rows in {len(there)} tables, "
    seen += f"now {sum(now.values()):,}"
    seen += f"; nothing in {', '.join(lost)}" if lost else ""
    found = asked.judged(bool(held) and not lost, seen, otherwise="warn" if held else "critical")
    rows = [
        {
            "table": table,
            "rows_there": there.get(table),
            "rows_now": now.get(table),
            "difference": there.get(table, 0) - now.get(table, 0),
        }
        for table in sorted({*there, *now})
    ]
    return Findings([found], frame(rows, COUNTS))


def waiting(ops: Connection, database: rds.Database, members: Iterable[Json]) -> Iterator[Json]:
    """Rows of WAITING: modifications, and the maintenance that AWS announces, if it tells."""
    names = {database.name}
    for member in members:
        name = member["DBInstanceIdentifier"]
        names.add(name)
        for key, value in (member.get("PendingModifiedValues") or {}).items():
            yield _row(name, "modification", f"{key} to {value}", f"in {rds.window_of(member)}")
    try:
        listed = ops.pages("rds", "describe_pending_maintenance_actions", _MAINTENANCE)
    except OpsError as exc:
        yield _row(database.name, "maintenance", f"unknown: {exc}", "")
        return
    for each in listed:
        name = each["of"].rpartition(":")[2]
        for said in each["details"] if name in names else ():
            when = said["asked"] or ("forced by then" if said["forced"] else "not asked for yet")
            change = f"{said['action']}: {said['description']}".rstrip(": ")
            yield _row(name, "maintenance", change, when, said["forced"] or said["by"])


_MAINTENANCE = """PendingMaintenanceActions[].{
    of: ResourceIdentifier,
    details: (PendingMaintenanceActionDetails || `[]`)[].{
        action: Action || '', description: Description || '', asked: OptInStatus,
        forced: ForcedApplyDate, by: AutoAppliedAfterDate || CurrentApplyDate}
}"""


def _row(database: str, what: str, change: str, when: str, by: Any = None) -> Json:
    return dict(zip(WAITING, (database, what, change, when, by), strict=True))
