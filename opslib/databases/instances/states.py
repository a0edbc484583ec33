"""Whether a database serves: its state, what that asks for, a login, its rows, what waits."""

from collections.abc import Iterable, Iterator
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    OpsError,
    Question,
    Refused,
    dtypes,
    frame,
    sql,
)
from opslib.databases.instances import rds

UNAVAILABLE = "database-unavailable"  # the cause that findings name
WAITING = dtypes("""
    database str
    what     str
    change   str
    when     str
    by       utc
""")
COUNTS = dtypes("""
    table      str
    rows_there Int64
    rows_now   Int64
    difference Int64
""")
_UNKNOWN = "not a state that is known here: RDS's documentation says what it asks for"
_LOGIN = Question("a login", "an answer", "SELECT with the secret's login")


def judged(database: rds.Database, described: Json) -> Finding:
    """Its state as a finding: one that passes is a warning, one that does not, the cause."""
    kind, status = database.kind, described[database.kind.status]
    asked = Question(f"{database} is available", "available", f"rds {kind.describe}")
    if status in rds.told("serves"):
        return asked.ok(status, cause=UNAVAILABLE)
    if status in (*kind.pending, *rds.told("passing")):
        return asked.warn(f"{status}: ends by itself; look again in some minutes")
    if (told := rds.told("states").get(status)) is None:
        return asked.unknown(f"{status}: {_UNKNOWN}")
    seen, follows = f"{status}: {told['asks'].format(kind=kind.noun)}", told.get("next", "")
    return asked.critical(seen, cause=UNAVAILABLE, next=follows)


def login(ops: Connection) -> Finding:
    """Whether the database takes a login with the present secret."""
    try:
        version = sql.value(ops, "SELECT current_setting('server_version')")
    except OpsError as exc:
        return _LOGIN.critical(str(exc), next="databases/health")
    return _LOGIN.ok(f"PostgreSQL {version} answers")


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
        return Findings(asked.critical(str(exc), rule=rule))
    now = sql.count_rows(ops, sql.list_tables(ops))
    lost = [table for table, rows in now.items() if rows and not there.get(table)]
    held = sum(there.values())
    seen = f"logged in at {where}; {held:,} rows in {len(there)} tables, "
    seen += f"now {sum(now.values()):,}"
    seen += f"; nothing in {', '.join(lost)}" if lost else ""
    found = asked.judged(bool(held) and not lost, seen, otherwise="warn" if held else "critical")
    rows = [
        (table, there.get(table), now.get(table), there.get(table, 0) - now.get(table, 0))
        for table in sorted({*there, *now})
    ]
    return Findings(found, frame(rows, COUNTS))


def waiting(ops: Connection, database: rds.Database, members: Iterable[Json]) -> Iterator[Json]:
    """Rows of WAITING: modifications, and the maintenance that AWS announces, if it tells."""
    names = {database.name}
    for member in members:
        name = member[rds.NAME]
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
