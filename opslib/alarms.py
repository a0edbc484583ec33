"""CloudWatch alarms: every one that is the target's by its own patterns, and those that should be there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from opslib.core.checks import causes
from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding, Findings
from opslib.core.tables import UTC_TIME, frame
from opslib.core.text import number
from opslib.core.times import clock

if TYPE_CHECKING:
    import pandas as pd

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
_SIGNS = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": "≥",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "≤",
}


def list_alarms(ops: Connection) -> pd.DataFrame:
    """Every alarm of the account and region that matches the target's patterns (`alarms.patterns`).

    A prefix would miss alarms that are named otherwise, so all are read. Columns: ALARMS; `attrs["total"]`: how many
    alarms there are (CloudWatch DescribeAlarms).
    """
    kinds = ["MetricAlarm", "CompositeAlarm"]
    every = ops.pages(
        "cloudwatch", "describe_alarms", "[MetricAlarms[], CompositeAlarms[]][]", AlarmTypes=kinds
    )
    facts = ops.target["alarms"]
    expected = facts.get("expected", {})
    rows = [
        _row(alarm, expected.get(alarm["AlarmName"], ""), ops.target.system)
        | {"expected": alarm["AlarmName"] in expected, "proves": _proves(ops, alarm)}
        for alarm in every
        if any(fnmatchcase(alarm["AlarmName"], pattern) for pattern in facts["patterns"])
    ]
    found = frame(sorted(rows, key=lambda row: row["alarm"]), ALARMS)
    found.attrs["total"] = len(every)
    return found


def _row(alarm: dict[str, Any], entry: str, system: str) -> dict[str, Any]:
    return {
        "alarm": alarm["AlarmName"],
        "state": alarm["StateValue"],
        "since": alarm.get("StateTransitionedTimestamp") or alarm["StateUpdatedTimestamp"],
        "threshold": threshold(alarm),
        "actions_enabled": alarm.get("ActionsEnabled", True),
        "actions": len(alarm.get("AlarmActions", ())),
        "next": f"{system}/{entry}" if entry else "",
        "reason": _reason(alarm),
    }


def _reason(alarm: dict[str, Any]) -> str:
    """The value that set it off, where CloudWatch keeps it; else its own sentence."""
    try:
        values = json.loads(alarm.get("StateReasonData") or "{}").get("recentDatapoints")
        return f"at {number(float(values[-1]))}"
    except (ValueError, TypeError, LookupError, AttributeError):
        return str(alarm.get("StateReason", ""))


def _proves(ops: Connection, alarm: dict[str, Any]) -> str:
    """What this alarm proves by going off; mostly nothing but that a number is too high."""
    measured = (alarm.get("Namespace"), alarm.get("MetricName"))
    dimensions = {each["Name"]: each["Value"] for each in alarm.get("Dimensions", ())}
    dead = {facts.get("dead_letters") for facts in ops.target.facts.get("queues", {}).values()}
    if measured == ("AWS/RDS", "DatabaseConnections"):
        return causes.NEAR_LIMIT
    if (
        measured == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
        and dimensions.get("QueueName") in dead
    ):
        return causes.BACKLOG
    return ""


def threshold(alarm: dict[str, Any]) -> str:
    """When an alarm goes off, in words: `Errors Sum > 10 in 5 min`, `Duration p95 > 25,000 in 2 of 3 × 1 min`."""
    if "AlarmRule" in alarm:
        return str(alarm["AlarmRule"])
    math = next(
        (
            m["Expression"]
            for m in alarm.get("Metrics", ())
            if m.get("Expression") and m.get("ReturnData", True)
        ),
        "",
    )
    measured = (
        math
        or f"{alarm.get('MetricName', '?')} {alarm.get('Statistic') or alarm.get('ExtendedStatistic', '')}"
    )
    sign = _SIGNS.get(alarm["ComparisonOperator"], alarm["ComparisonOperator"])
    limit = f"{alarm['Threshold']:,g}" if "Threshold" in alarm else "its band"
    return f"{measured.strip()} {sign} {limit} in {_span(alarm)}"


def _span(alarm: dict[str, Any]) -> str:
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
    """State of every alarm of the target, expected ones that are missing, and those that would tell nobody. Evidence: ALARMS."""
    found = list_alarms(ops)
    total, patterns = found.attrs["total"], ", ".join(ops.target["alarms"]["patterns"])
    note = f"{len(found)} of the {total} alarms in {ops.where} match {patterns}."
    findings = [_state(row, ops) for row in found.itertuples()]
    findings += _silent(found)
    findings += _missing(ops, set(found["alarm"]))
    if found.empty:
        findings.append(Finding("unknown", "alarms", note, "at least one", "DescribeAlarms"))
    return Findings(findings, found, note)


def _state(row: Any, ops: Connection) -> Finding:
    statuses = {"OK": "ok", "ALARM": "critical", "INSUFFICIENT_DATA": "unknown"}
    status = statuses.get(row.state, "unknown")
    seen = f"{row.state} since {clock(row.since, ops.now())}"
    if status != "ok":
        seen += f", {row.reason}"
    follows = "" if status == "ok" else row.next or "metrics/dashboard"
    cause = row.proves if row.state == "ALARM" else ""
    return Finding(
        status, f"alarm {row.alarm}", seen, row.threshold, "DescribeAlarms", cause, follows
    )


def _silent(found: pd.DataFrame) -> Iterator[Finding]:
    """Alarms that nobody would hear: their actions are disabled, or they have none."""
    for row in found.itertuples():
        why = (
            "its actions are disabled"
            if not row.actions_enabled
            else "it has no actions"
            if not row.actions
            else ""
        )
        if why:
            yield Finding(
                "warn",
                f"alarm {row.alarm} tells somebody",
                f"{why}: nobody would be told",
                "actions",
                "DescribeAlarms",
            )


def _missing(ops: Connection, present: set[str]) -> Iterator[Finding]:
    for name in ops.target["alarms"].get("expected", {}):
        if name not in present:
            yield Finding(
                "warn",
                f"alarm {name}",
                f"there is no such alarm in {ops.where}",
                "it exists",
                "DescribeAlarms",
                next="metrics/dashboard",
            )
