"""What hands events to the functions: the mappings of their queues and streams."""

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Function,
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
    calls: FunctionArn, source: EventSourceArn, state: State, changed: LastModified,
    result: LastProcessingResult || 'nothing told',
    why: StateTransitionReason || 'no reason told'}"""


@check("Do the functions get what they are to work off?")
def check_sources(ops: Connection, function: str = logs.ALL) -> Findings:
    """The event source mappings of functions, and of the queues whose worker the target names.

    One that is off lets its queue grow in silence. Evidence: SOURCES (Lambda
    ListEventSourceMappings).
    """
    names = functions.named(ops, function)
    every = ops.pages("lambda", "list_event_source_mappings", _MAPPED)
    expected = {  # by the kinds of jobs in the target's file
        (job["function"], ops.target["queues"][job["queue"]]["name"])
        for job in ops.target.at("jobs").values()
        if job.get("function") in names and "queue" in job
    }
    said, rows, found = beside(__file__, "sources"), [], list[Finding]()
    for key in names:
        known = Function(ops, key)
        for mapping in every:
            called, _, qualifier = mapping["calls"].partition(":function:")[2].partition(":")
            if called == known.name:
                row = mapping | {"function": key, "calls": qualifier or functions.LATEST}
                row["source"] = (mapping["source"] or "?").rpartition(":")[2]
                rows.append(row)
                told = {"expected": (key, row["source"]) in expected, **row}
                told["alias"] = known.facts.get("alias") or row["calls"]
                found += sayings(said, told)
    mapped = {(row["function"], row["source"]) for row in rows}
    for key, queue in sorted(expected - mapped):
        found += sayings(said, {"function": key, "source": queue})
    note = "" if found else "No event source calls them, and the target's file names none."
    return Findings(found, frame(rows, SOURCES), note)
