"""What hands events to the functions: the mappings of their queues and streams."""

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Function,
    Json,
    beside,
    check,
    dtypes,
    frame,
    functions,
    logs,
    sayings,
)

SOURCES = dtypes("""
    function str
    source   str
    state    str
    result   str
    changed  utc
    calls    str
""")
_MAPPED = """EventSourceMappings[].{
    id: UUID, calls: FunctionArn, source: EventSourceArn, state: State, changed: LastModified,
    result: LastProcessingResult || 'nothing told',
    why: StateTransitionReason || 'no reason told'}"""


def list_mappings(ops: Connection) -> dict[str, list[Json]]:
    """Every event source mapping of the account and region, by the function's name.

    `calls`: its version or alias; `source`: the end of its ARN. Lambda ListEventSourceMappings.
    """
    found: dict[str, list[Json]] = {}
    for each in ops.pages("lambda", "list_event_source_mappings", _MAPPED):
        name, _, qualifier = each["calls"].partition(":function:")[2].partition(":")
        each |= {"calls": qualifier or functions.LATEST}
        each["source"] = (each["source"] or "?").rpartition(":")[2]
        found.setdefault(name, []).append(each)
    return found


@check("Do the functions get what they are to work off?")
def check_sources(ops: Connection, function: str = logs.ALL) -> Findings:
    """The event source mappings of functions, and of the queues whose worker the target names.

    One that is off lets its queue grow in silence. Evidence: SOURCES (Lambda
    ListEventSourceMappings).
    """
    names = functions.named(ops, function)
    mapped = list_mappings(ops)
    expected = {  # by the kinds of jobs in the target's file
        (job["function"], ops.target["queues"][job["queue"]]["name"])
        for job in ops.target.at("jobs").values()
        if job.get("function") in names and "queue" in job
    }
    said, rows, found = beside(__file__, "sources"), [], list[Finding]()
    for key in names:
        known = Function(ops, key)
        for mapping in mapped.get(known.name, ()):
            row = mapping | {"function": key, "expected": (key, mapping["source"]) in expected}
            rows.append(row)
            alias = known.facts.get("alias") or row["calls"]
            found += sayings(said, row | {"alias": alias})
    for key, queue in sorted(expected - {(row["function"], row["source"]) for row in rows}):
        found += sayings(said, {"function": key, "source": queue})
    note = "" if found else "No event source calls them, and the target's file names none."
    return Findings(found, frame(rows, SOURCES), note)
