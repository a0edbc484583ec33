"""What RDS itself reported of a database: failovers, restarts, failures, storage."""

from __future__ import annotations

import re

from opslib.core import (
    SEVERITY,
    Connection,
    Findings,
    Json,
    Question,
    check,
    clock,
    count,
    dtypes,
    frame,
)
from opslib.databases.instances import rds

EVENTS = dtypes("""
    time       utc
    status     str
    source     str
    categories str
    message    str
""")
_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html"
_SHOWN = 3
# Each of RDS's categories; what is in none of them is unknown.
_CATEGORIES = {
    "failure": "critical",
    "low storage": "critical",
    "availability": "warn",
    "deletion": "warn",
    "failover": "warn",
    "global failover": "warn",
    "recovery": "warn",
    "backtrack": "ok",
    "backup": "ok",
    "configuration change": "ok",
    "creation": "ok",
    "maintenance": "ok",
    "migration": "ok",
    "notification": "ok",
    "patching": "ok",
    "read replica": "ok",
    "restoration": "ok",
    "security": "ok",
    "security patching": "ok",
    "serverless": "ok",
}
_TROUBLE = re.compile(
    r"fail|error|unable|cannot|could not|stopped|terminated|\bfull\b|exhaust|insufficient"
    r"|incompatible|crash|restarted|corrupt|denied|not allowed|exceed",
    re.IGNORECASE,
)
_EVENT = """Events[].{
    time: Date, source: SourceIdentifier || '', message: Message || '',
    categories: join(', ', EventCategories || `[]`)}"""


@check("What did RDS report?")
def check_events(ops: Connection, hours: float = 24) -> Findings:
    """RDS's events of the database, its instances and automated snapshots (RDS DescribeEvents).

    Judged by RDS's categories, and by a message that says that something went wrong. RDS keeps them
    for 14 days. Evidence: EVENTS, without the daily ones.
    """
    database = rds.database_of(ops)
    members = rds.members(ops, database, database.describe(ops))
    names = {database.name, *(each[rds.INSTANCE.key] for each in members)}
    found = ops.pages("rds", "describe_events", _EVENT, Duration=int(hours * 60))
    mine = [event | {"status": _status(event)} for event in found if _of(event, database, names)]
    asked = Question(
        f"events of {database}", f"no failure, failover or restart in {hours:g} h", _DOCS
    )
    worst = max((event["status"] for event in mine), key=SEVERITY.__getitem__, default="ok")
    told = sorted(
        (event for event in mine if event["status"] != "ok"),
        key=lambda event: (-SEVERITY[event["status"]], -event["time"].timestamp()),
    )
    seen = count(len(mine), "event") + (", none of them a trouble" if mine and not told else "")
    if told:
        seen = "; ".join(
            f"{clock(event['time'], ops.now())} {event['source']}: {event['message']}"
            for event in told[:_SHOWN]
        )
        seen += f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return Findings([asked.answer(worst, seen)], frame(told, EVENTS) if told else None)


def _status(event: Json) -> str:
    kinds = [kind for kind in event["categories"].split(", ") if kind]
    by_kind = [_CATEGORIES.get(kind, "unknown") for kind in kinds] or ["ok"]
    worst = max(by_kind, key=SEVERITY.__getitem__)
    return "warn" if worst == "ok" and _TROUBLE.search(event["message"]) else worst


def _of(event: Json, database: rds.Database, names: set[str]) -> bool:
    """Whether it is of the database: of an instance that was deleted, too."""
    source = event["source"]
    former = "deletion" in event["categories"] and source.startswith(f"{database.name}-")
    snapshot = re.match(rf"rds:({'|'.join(map(re.escape, names))})-\d{{4}}-", source)
    return source in names or former or snapshot is not None
