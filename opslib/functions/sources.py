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
    id: UUID, calls: FunctionArn, source: EventSourceArn, state: State, changed: LastModified,
    result: LastProcessingResult || '', why: StateTransitionReason || ''}"""


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
    found, rows = [], []
    for key in names:
        known = Function(ops, key)
        for mapping in mapped.get(known.name, ()):
            rows.append(mapping | {"function": key})
            found.append(_judged(known, mapping, (key, mapping["source"]) in expected))
    for key, queue in sorted(expected - {(row["function"], row["source"]) for row in rows}):
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
        return asked.answer(status, seen, cause=cause, next="functions/triggers")
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
