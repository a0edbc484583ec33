"""What hands events to the functions: the mappings of their queues and streams."""

from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Function,
    Json,
    Question,
    check,
    dtypes,
    frame,
    functions,
    logs,
)

SOURCES = dtypes("""
    function str
    source   str
    state    str
    result   str
    changed  utc
    calls    str
""")
SOURCE_OFF = "event-source-off"  # the cause that findings name
_DOCS = "https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html"
_RULE = "enabled, its last batch handed over, as the alias calls it"
_PASSING = ("Creating", "Enabling", "Updating")
_OFF = ("Disabling", "Disabled", "Deleting")
_MAPPED = """EventSourceMappings[].{
    calls: FunctionArn, source: EventSourceArn, state: State, result: LastProcessingResult || '',
    changed: LastModified, why: StateTransitionReason || ''}"""


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
    found, rows = [], []
    for key in names:
        known = Function(ops, key)
        for mapping in every:
            called, _, qualifier = mapping["calls"].partition(":function:")[2].partition(":")
            if called == known.name:
                row = mapping | {"function": key, "calls": qualifier or functions.LATEST}
                row["source"] = (mapping["source"] or "?").rpartition(":")[2]
                rows.append(row)
                found.append(_judged(known, row, (key, row["source"]) in expected))
    mapped = {(row["function"], row["source"]) for row in rows}
    for key, queue in sorted(expected - mapped):
        seen = "there is no mapping: nothing hands its messages to the function"
        found.append(_asked(key, queue).critical(seen, cause=SOURCE_OFF, next="functions/health"))
    note = "" if found else "No event source calls them, and the target's file names none."
    return Findings(found, frame(rows, SOURCES), note)


def _asked(key: str, source: str) -> Question:
    return Question(f"source {source} of {key}", _RULE, _DOCS)


def _judged(function: Function, row: Json, expected: bool) -> Finding:
    asked, state, result = _asked(function.key, row["source"]), row["state"], row["result"]
    seen = f"{state}, last: {result or 'nothing told'}"
    if state in _OFF:
        seen += f" ({row['why']}): what comes waits" if row["why"] else ": what comes waits"
        status, cause = ("critical", SOURCE_OFF) if expected else ("warn", "")
        return asked.answer(status, seen, cause=cause, next="functions/health")
    if state in _PASSING:
        return asked.ok(f"{seen}; ends by itself")
    if state != "Enabled":
        return asked.unknown(seen)
    if result.startswith("PROBLEM"):
        return asked.critical(seen, next="functions/configuration")
    alias: Any = function.facts.get("alias")
    if alias and row["calls"] != alias:
        seen += f"; it calls {row['calls']}, not the alias {alias}"
        return asked.warn(seen, next="functions/configuration")
    if not result or result.startswith(("OK", "No records processed")):
        return asked.ok(seen, cause=SOURCE_OFF)
    return asked.unknown(seen)
