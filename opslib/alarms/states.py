"""CloudWatch alarms.

Every one that is the target's by its own patterns, and those that should be there.
"""

import json
import re
from datetime import datetime
from operator import itemgetter
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Question,
    Window,
    check,
    clock,
    dtypes,
    fits,
    frame,
    identities,
    number,
    targets,
)
from opslib.core.checks import causes

ALARMS = dtypes("""
    alarm           str
    state           str
    since           utc
    threshold       str
    expected        bool
    actions_enabled bool
    actions         int64
    next            str
    proves          str
    reason          str
""")
_GLOBAL = ("distributions", "dns", "costs")  # sections of the target's file
_SOURCE = "DescribeAlarms"
_SIGNS = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": "≥",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "≤",
}


_DESCRIBED = """[MetricAlarms[], CompositeAlarms[]][].{
    alarm: AlarmName, state: StateValue, since: StateTransitionedTimestamp || StateUpdatedTimestamp,
    actions_enabled: ActionsEnabled != `false`, actions: length(AlarmActions || `[]`),
    namespace: Namespace, metric: MetricName, queue: Dimensions[?Name == 'QueueName'].Value | [0],
    rule: AlarmRule, tells: AlarmActions || `[]`,
    watches: (Metrics[].MetricStat.Metric
        || [{Namespace: Namespace, MetricName: MetricName, Dimensions: Dimensions}])[?Namespace],
    said: StateReason, data: StateReasonData, sign: ComparisonOperator,
    measured: (Metrics[?Expression && ReturnData != `false`].Expression | [0])
        || join(' ', [MetricName || '?', Statistic || ExtendedStatistic][?@]),
    limit: Threshold, seconds: Period || (Metrics[].MetricStat.Period | [0]),
    periods: EvaluationPeriods, needed: DatapointsToAlarm || EvaluationPeriods
}"""


def list_alarms(ops: Connection, everywhere: bool = False) -> Frame:
    """Every alarm of the account and region that matches the target's patterns (`alarms.patterns`).

    `everywhere`: where the target has something global, also of the one region that tells of such.
    A prefix would miss alarms that are named otherwise, so all are read. Columns: ALARMS;
    `attrs["every"]`: all that there are (CloudWatch DescribeAlarms).
    """

    def read(region: str) -> list[Json]:
        kinds = ["MetricAlarm", "CompositeAlarm"]
        asked = "cloudwatch", "describe_alarms", _DESCRIBED
        return ops.at(region).pages(*asked, AlarmTypes=kinds)

    every, home = read(ops.target.region), identities.home(ops.target.region)
    if everywhere and home != ops.target.region and any(map(ops.target.at, _GLOBAL)):
        every += ops.each(read, [home], "alarms of {}").get(home, ())
    patterns, expected = ops.target["alarms"]["patterns"], ops.target.at("alarms", "expected")
    rows = []
    for alarm in sorted(every, key=itemgetter("alarm")):
        name = alarm["alarm"]
        if fits(name, patterns):
            computed = {
                "threshold": alarm["rule"] or _threshold(alarm),
                "expected": name in expected,
                "next": targets.entry_of(ops.target, expected.get(name, "")),
                "proves": _proves(ops, alarm),
                "reason": _reason(alarm),
            }
            rows.append(alarm | computed)
    found = frame(rows, ALARMS)
    found.attrs["every"] = every
    return found


def list_states(ops: Connection, within: Window) -> list[tuple[datetime, str, str]]:
    """When which of the target's alarms changed from which state to which, oldest first."""
    if not (patterns := ops.target.at("alarms").get("patterns")):
        return []
    path = "AlarmHistoryItems[].[Timestamp, AlarmName, HistorySummary]"
    at: Json = {"HistoryItemType": "StateUpdate", "StartDate": within.start, "EndDate": within.end}
    items = ops.pages("cloudwatch", "describe_alarm_history", path, **at)
    return sorted(
        (when, name, said.partition(" from ")[2])
        for when, name, said in items
        if fits(name, patterns)
    )


def _reason(alarm: Json) -> str:
    """The value that set it off, where CloudWatch keeps it; else its own sentence."""
    try:
        values = json.loads(alarm["data"] or "{}").get("recentDatapoints")
        return f"at {number(float(values[-1]))}"
    except (ValueError, TypeError, LookupError, AttributeError):
        return alarm["said"] or ""


def _proves(ops: Connection, alarm: Json) -> str:
    """What this alarm proves by going off; mostly nothing but that a number is too high."""
    measured = alarm["namespace"], alarm["metric"]
    if measured == ("AWS/RDS", "DatabaseConnections"):
        return causes.NEAR_LIMIT
    dead = [facts.get("dead_letters") for facts in ops.target.at("queues").values()]
    waiting = measured == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    return causes.BACKLOG if waiting and alarm["queue"] in dead else ""


def _threshold(alarm: Json) -> str:
    """When an alarm of a metric goes off, in words: of what, how long, how often in that time.

    `Errors Sum > 10 in 5 min`, `Duration p95 > 25,000 in 2 of 3 × 1 min`.
    """
    sign = _SIGNS.get(alarm["sign"], alarm["sign"])
    limit = "its band" if alarm["limit"] is None else f"{alarm['limit']:,g}"
    periods, needed = alarm["periods"], alarm["needed"]
    often = f"{periods} × " if periods > 1 else ""
    often = f"{needed} of {often}" if needed != periods else often
    length = f"{(alarm['seconds'] or 0) / 60:g} min"
    return f"{alarm['measured']} {sign} {limit} in {often}{length}"


@check("Is an alarm going off, and are all of them there?")
def check_alarms(ops: Connection) -> Findings:
    """State of every alarm of the target, expected ones that are missing, those that tell nobody.

    Evidence: ALARMS.
    """
    found = list_alarms(ops, everywhere=True)
    every, patterns = found.attrs["every"], ", ".join(ops.target["alarms"]["patterns"])
    note = f"{len(found)} of the {len(every)} alarms in {ops.where} match {patterns}."
    findings = [_state(ops, row) for row in found.itertuples()]
    parts = {name for of in every if of["rule"] and of["tells"] for name in made_of(of)}
    silent = (found["actions"] == 0) & ~found["alarm"].isin(parts)  # the composite one tells
    for row in found[~found["actions_enabled"] | silent].itertuples():
        told = Question(f"alarm {row.alarm} tells somebody", "actions", _SOURCE)
        why = "it has no actions" if row.actions_enabled else "its actions are disabled"
        findings.append(told.warn(f"{why}: nobody would be told"))
    for name in sorted(ops.target.at("alarms", "expected").keys() - set(found["alarm"])):
        missing = Question(f"alarm {name}", "it exists", _SOURCE)
        seen = f"there is no such alarm in {ops.where}"
        gone = missing.critical(seen, cause=causes.GONE, next="metrics/dashboard")
        findings.append(gone)
    if found.empty:
        findings.append(Question("alarms", "at least one", _SOURCE).unknown(note))
    return Findings(findings, found, note)


def _state(ops: Connection, row: Any) -> Finding:
    asked = Question(f"alarm {row.alarm}", row.threshold, _SOURCE, row.since)
    seen = f"{row.state} since {clock(row.since, ops.now())}"
    if row.state == "OK":
        return asked.ok(seen, cause=row.proves)
    going = row.state == "ALARM"
    return asked.answer(
        "critical" if going else "unknown",
        f"{seen}, {row.reason}",
        cause=row.proves if going else "",
        next=row.next or "metrics/dashboard",
    )


def made_of(composite: Json) -> list[str]:
    """The alarms that a composite one is made of."""
    rule = composite["rule"] or ""
    said = re.findall(r"""\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*["']?([^"')]+)["']?\s*\)""", rule)
    return [name.rpartition(":alarm:")[2].strip() for name in said]
