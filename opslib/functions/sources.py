"""What calls a function by itself: event source mappings of its queues and streams, rules of
EventBridge's default bus, schedules of its Scheduler that the target's file names.

Looked at; paused and let go on. What is paused keeps its settings; what it would have brought waits
in a queue, and is lost from a rule.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Function,
    Json,
    Kind,
    Planned,
    Refused,
    Step,
    Thing,
    beside,
    check,
    dtypes,
    frame,
    functions,
    logs,
    look,
    planner,
    require_known,
    sayings,
)
from opslib.core.actions.actions import Merge

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


_MAPPING = Kind(
    "event source",
    "lambda",
    "get_event_source_mapping",
    "@",
    "UUID",
    "State",
    pending=("Creating", "Enabling", "Disabling", "Updating"),
    modify="update_event_source_mapping",
    seconds=600,
)
_RULE = Kind("rule", "events", "describe_rule", "@", "Name", "State", pending=())
_SCHEDULE = Kind("schedule", "scheduler", "get_schedule", "@", "Name", "State", pending=())
_TOLD = ("Arn", "CreationDate", "LastModificationDate")  # by Scheduler, which takes the rest back
_LOST = "what it would have sent meanwhile is not sent later"
_NONE = (
    "No event source mapping, rule or schedule calls it. What else does (an API, a bucket, a "
    "topic) is held back by functions/scale with reserved=0."
)


class _Trigger(NamedTuple):
    """One of them. `does`: what leads to each state, paused first; `then`: what becomes of events
    meanwhile.
    """

    thing: Thing
    name: str
    state: str
    does: dict[str, Action]
    then: str


@planner
def plan_triggers(
    ops: Connection, function: str, trigger: str = "", resume: bool = False
) -> Planned:
    """Pause what calls a function (or one `trigger`), or let it go on: `resume`.

    Raises UsageError (nothing of that name calls it), Refused (one is being changed just now).
    """
    known = Function(ops, function)
    found = list(_triggers(known))
    if trigger:
        require_known("trigger", trigger, [each.name for each in found], f" of {known.name}")
        found = [each for each in found if each.name == trigger]
    steps, notes = list[Step](), list[str]()
    for each in found:
        if each.state in each.thing.kind.pending:
            raise Refused(
                f"{each.name} is {each.state}: somebody changes it at this moment. "
                "Nothing was changed; plan again when that has ended."
            )
        after, back = reversed(each.does) if resume else each.does
        if each.state == after:
            notes.append(f"{each.name} is {after} already.")
            continue
        title = f"Let {each.name} go on" if resume else f"Pause {each.name}"
        do, undo, thing = each.does[after], [each.does[back]], each.thing
        steps.append(Step(title, do, each.state, after, undo, thing.status()))
        if pending := thing.kind.pending:
            until = thing.until("State", pending, [after], thing.kind.seconds)
            steps.append(Step(f"Wait until {each.name} is {after}", until, after=after, undo=[]))
        notes += [] if resume else [f"{each.name}: {each.then}."]
    summary = f"{'let go on' if resume else 'pause'} what calls {known.name}"
    return Planned(summary, steps, notes if found else [_NONE])


def _triggers(function: Function) -> Iterator[_Trigger]:
    for each in list_mappings(function.ops).get(function.name, ()):
        thing = Thing(_MAPPING, each["id"])
        does = {"Disabled": thing.put("Enabled", False), "Enabled": thing.put("Enabled", True)}
        then = "what comes waits in it, for as long as it keeps that"
        yield _Trigger(thing, each["source"], each["state"], does, then)
    own = function.configuration()["FunctionArn"].removesuffix(":$LATEST")
    arns = [own, *(f"{own}:{alias}" for alias in [function.facts.get("alias")] if alias)]
    by_target = ("events", "list_rule_names_by_target", "RuleNames[]")
    rules = (name for arn in arns for name in function.ops.pages(*by_target, TargetArn=arn))
    for name in dict.fromkeys(rules):
        thing = Thing(_RULE, name)
        targets = function.ops.pages("events", "list_targets_by_rule", "Targets[].Arn", Rule=name)
        others = [arn.rpartition(":")[2] for arn in targets if arn not in arns]
        then = f"{_LOST}; {', '.join(others)} gets nothing from it either" if others else _LOST
        calls = {"DISABLED": "disable_rule", "ENABLED": "enable_rule"}
        does = {state: Aws("events", call, Name=name) for state, call in calls.items()}
        yield _Trigger(thing, name, thing.describe(function.ops)["State"], does, then)
    for facts in function.ops.target.at("schedules").values():
        thing = Thing(_SCHEDULE, facts["name"], {"GroupName": facts.get("group", "default")})
        said = look(function.ops, thing.read(), {})
        if said and said["Target"]["Arn"] in arns:
            write, told = thing.call("update_schedule", Target=said["Target"]), (*_TOLD, *thing.key)
            put = partial(Merge, thing.read(), write, "", drop=told)
            does = {state: put(put={"State": state}) for state in ("DISABLED", "ENABLED")}
            yield _Trigger(thing, thing.name, said["State"], does, _LOST)
