"""CloudWatch alarms.

Every one that is the target's by its own patterns, and those that should be there.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import Any

from opslib.core import (
    UTC_TIME,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Question,
    check,
    clock,
    frame,
    number,
)
from opslib.core.checks import causes

ALARMS = {
    "alarm": "str",
    "state": "str",
    "since": UTC_TIME,
    "threshold": "str",
    "expected": "bool",
    "actions_enabled": "bool",
    "actions": "int64",
    "next": "str",
    "proves": "str",
    "reason": "str",
}
_SOURCE = "DescribeAlarms"
_SIGNS = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": "≥",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "≤",
}


def list_alarms(ops: Connection) -> Frame:
    """Every alarm of the account and region that matches the target's patterns (`alarms.patterns`).

    A prefix would miss alarms that are named otherwise, so all are read. Columns: ALARMS;
    `attrs["total"]`: how many alarms there are (CloudWatch DescribeAlarms).
    """
    kinds = ["MetricAlarm", "CompositeAlarm"]
    every = ops.pages(
        "cloudwatch", "describe_alarms", "[MetricAlarms[], CompositeAlarms[]][]", AlarmTypes=kinds
    )
    patterns = ops.target["alarms"]["patterns"]
    rows = [
        _row(ops, alarm)
        for alarm in sorted(every, key=itemgetter("AlarmName"))
        if any(fnmatchcase(alarm["AlarmName"], pattern) for pattern in patterns)
    ]
    found = frame(rows, ALARMS)
    found.attrs["total"] = len(every)
    return found


def _expected(ops: Connection) -> dict[str, str]:
    """Alarms that should be there, and the runbook's entry for each."""
    return dict(ops.target["alarms"].get("expected", {}))


def _row(ops: Connection, alarm: Json) -> Json:
    name, expected = alarm["AlarmName"], _expected(ops)
    return {
        "alarm": name,
        "state": alarm["StateValue"],
        "since": alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"],
        "threshold": threshold(alarm),
        "expected": name in expected,
        "actions_enabled": alarm.get("ActionsEnabled", True),
        "actions": len(alarm.get("AlarmActions", ())),
        "next": f"{ops.target.system}/{expected[name]}" if expected.get(name) else "",
        "proves": _proves(ops, alarm),
        "reason": _reason(alarm),
    }


def _reason(alarm: Json) -> str:
    """The value that set it off, where CloudWatch keeps it; else its own sentence."""
    try:
        values = json.loads(alarm.get("StateReasonData") or "{}").get("recentDatapoints")
        return f"at {number(float(values[-1]))}"
    except (ValueError, TypeError, LookupError, AttributeError):
        return str(alarm.get("StateReason", ""))


def _proves(ops: Connection, alarm: Json) -> str:
    """What this alarm proves by going off; mostly nothing but that a number is too high."""
    measured = alarm.get("Namespace"), alarm.get("MetricName")
    if measured == ("AWS/RDS", "DatabaseConnections"):
        return causes.NEAR_LIMIT
    named = {each["Value"] for each in alarm.get("Dimensions", ()) if each["Name"] == "QueueName"}
    dead = {facts.get("dead_letters") for facts in ops.target.facts.get("queues", {}).values()}
    backlog = measured == ("AWS/SQS", "ApproximateNumberOfMessagesVisible") and named & dead
    return causes.BACKLOG if backlog else ""


def threshold(alarm: Json) -> str:
    """When an alarm goes off, in words.

    `Errors Sum > 10 in 5 min`, `Duration p95 > 25,000 in 2 of 3 × 1 min`.
    """
    if "AlarmRule" in alarm:
        return str(alarm["AlarmRule"])
    math = [
        m["Expression"]
        for m in alarm.get("Metrics", ())
        if m.get("Expression") and m.get("ReturnData", True)
    ]
    statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic", "")
    measured = math[0] if math else f"{alarm.get('MetricName', '?')} {statistic}"
    sign = _SIGNS.get(alarm["ComparisonOperator"], alarm["ComparisonOperator"])
    limit = f"{alarm['Threshold']:,g}" if "Threshold" in alarm else "its band"
    return f"{measured.strip()} {sign} {limit} in {_span(alarm)}"


def _span(alarm: Json) -> str:
    """How long, and how often in that time."""
    seconds = alarm.get("Period") or next(
        (m["MetricStat"]["Period"] for m in alarm.get("Metrics", ()) if "MetricStat" in m), 0
    )
    length = f"{seconds // 60} min" if seconds and seconds % 60 == 0 else f"{seconds} s"
    periods = alarm["EvaluationPeriods"]
    needed = alarm.get("DatapointsToAlarm", periods)
    if periods == 1:
        return length
    return f"{needed} of {periods} × {length}" if needed != periods else f"{periods} × {length}"


@check("Is an alarm going off, and are all of them there?")
def check_alarms(ops: Connection) -> Findings:
    """State of every alarm of the target, expected ones that are missing, those that tell nobody.

    Evidence: ALARMS.
    """
    found = list_alarms(ops)
    total, patterns = found.attrs["total"], ", ".join(ops.target["alarms"]["patterns"])
    note = f"{len(found)} of the {total} alarms in {ops.where} match {patterns}."
    findings = [_state(ops, row) for row in found.itertuples()]
    for row in found.itertuples():  # whom nobody would hear
        told = Question(f"alarm {row.alarm} tells somebody", "actions", _SOURCE)
        if not (row.actions_enabled and row.actions):
            why = "it has no actions" if row.actions_enabled else "its actions are disabled"
            findings.append(told.answer("warn", f"{why}: nobody would be told"))
    for name in [each for each in _expected(ops) if each not in set(found["alarm"])]:
        missing = Question(f"alarm {name}", "it exists", _SOURCE)
        seen = f"there is no such alarm in {ops.where}"
        findings.append(missing.answer("warn", seen, next="metrics/dashboard"))
    if found.empty:
        findings.append(Question("alarms", "at least one", _SOURCE).answer("unknown", note))
    return Findings(findings, found, note)


def _state(ops: Connection, row: Any) -> Finding:
    asked = Question(f"alarm {row.alarm}", row.threshold, _SOURCE)
    seen = f"{row.state} since {clock(row.since, ops.now())}"
    if row.state == "OK":
        return asked.answer("ok", seen)
    going = row.state == "ALARM"
    return asked.answer(
        "critical" if going else "unknown",
        f"{seen}, {row.reason}",
        cause=row.proves if going else "",
        next=row.next or "metrics/dashboard",
    )
