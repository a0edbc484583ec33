"""What RDS itself reported of a database: failovers, restarts, failures, storage."""

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
    few,
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
    database, _, members = rds.present(ops)
    names = {database.name, *(each[rds.NAME] for each in members)}
    found = ops.pages("rds", "describe_events", _EVENT, Duration=int(hours * 60))
    mine = [event | {"status": _status(event)} for event in found if _of(event, database, names)]
    rule = f"no failure, failover or restart in {hours:g} h"
    asked = Question(f"events of {database}", rule, _DOCS)
    told = sorted(
        (event for event in mine if event["status"] != "ok"),
        key=lambda event: (-SEVERITY[event["status"]], -event["time"].timestamp()),
    )
    if not told:
        seen = count(len(mine), "event") + ", none of them a trouble" * bool(mine)
        return Findings(asked.ok(seen))
    first = [
        f"{clock(event['time'], ops.now())} {event['source']}: {event['message']}" for event in told
    ]
    return Findings(asked.answer(told[0]["status"], few(first, _SHOWN, "; ")), frame(told, EVENTS))


def _status(event: Json) -> str:
    """By its categories, the worst first; what is in none of rds.yaml's is unknown."""
    known = {kind: status for status, kinds in rds.told("events").items() for kind in kinds}
    kinds = filter(None, event["categories"].split(", "))
    told = (known.get(kind, "unknown") for kind in kinds)
    worst = max(told, key=SEVERITY.__getitem__, default="ok")
    return "warn" if worst == "ok" and _TROUBLE.search(event["message"]) else worst


def _of(event: Json, database: rds.Database, names: set[str]) -> bool:
    """Whether it is of the database: of an instance that was deleted, too."""
    source = event["source"]
    former = "deletion" in event["categories"] and source.startswith(f"{database.name}-")
    snapshot = re.match(rf"rds:({'|'.join(map(re.escape, names))})-\d{{4}}-", source)
    return source in names or former or snapshot is not None
