"""CloudWatch alarms.

Every one that is the target's by its own patterns, and those that should be there.
"""

import json
import re
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    Question,
    Window,
    answer,
    check,
    clock,
    dtypes,
    fits,
    frame,
    metrics,
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
    watches: Metrics[].MetricStat.Metric
        || [{Namespace: Namespace, MetricName: MetricName, Dimensions: Dimensions}],
    said: StateReason, data: StateReasonData, sign: ComparisonOperator,
    measured: (Metrics[?Expression && ReturnData != `false`].Expression | [0])
        || join(' ', [MetricName || '?', Statistic || ExtendedStatistic][?@]),
    limit: Threshold, seconds: Period || (Metrics[].MetricStat.Period | [0]),
    periods: EvaluationPeriods, needed: DatapointsToAlarm || EvaluationPeriods
}"""


def list_alarms(ops: Connection) -> Frame:
    """Every alarm of the account and region that matches the target's patterns (`alarms.patterns`).

    A prefix would miss alarms that are named otherwise, so all are read. Columns: ALARMS;
    `attrs["total"]`: how many alarms there are (CloudWatch DescribeAlarms).
    """
    kinds = ["MetricAlarm", "CompositeAlarm"]
    every = ops.pages("cloudwatch", "describe_alarms", _DESCRIBED, AlarmTypes=kinds)
    patterns, expected = ops.target["alarms"]["patterns"], _expected(ops)
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
    found.attrs["total"], found.attrs["every"] = len(every), every
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


def _expected(ops: Connection) -> dict[str, str]:
    """Alarms that should be there, and the runbook's entry for each."""
    return dict(ops.target["alarms"].get("expected", {}))


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
    found = list_alarms(ops)
    total, patterns = found.attrs["total"], ", ".join(ops.target["alarms"]["patterns"])
    note = f"{len(found)} of the {total} alarms in {ops.where} match {patterns}."
    findings = [_state(ops, row) for row in found.itertuples()]
    every = (alarm for alarm in found.attrs["every"] if alarm["rule"] and alarm["tells"])
    parts = {name for alarm in every for name in _named(alarm)}
    silent = (found["actions"] == 0) & ~found["alarm"].isin(parts)  # the composite one tells
    for row in found[~found["actions_enabled"] | silent].itertuples():
        told = Question(f"alarm {row.alarm} tells somebody", "actions", _SOURCE)
        why = "it has no actions" if row.actions_enabled else "its actions are disabled"
        findings.append(told.warn(f"{why}: nobody would be told"))
    for name in sorted(_expected(ops).keys() - set(found["alarm"])):
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


UNHEARD = "alarm-unheard"  # the cause that findings name
_SNS_DOCS = "https://docs.aws.amazon.com/sns/latest/dg/sns-troubleshooting-topics.html"
_SNS_KEY = "alias/aws/sns"  # its policy, which nobody can change, lets no alarm use it
_HEARD = "there, somebody is subscribed and has confirmed it"


@check("Does an alarm that goes off reach somebody, and does it watch what is there?")
def check_reach(ops: Connection) -> Findings:
    """The topics that the target's alarms tell; actions that failed; metrics that are no more.

    A topic without a confirmed subscription hears an alarm and tells nobody.
    """
    found = list_alarms(ops)
    named = set(found["alarm"])
    mine = [alarm for alarm in found.attrs["every"] if alarm["alarm"] in named]
    tells = {arn for alarm in mine for arn in alarm["tells"] if ":sns:" in arn}
    topics = ops.each(lambda arn: answer(_topic(arn), _heard, ops, arn), sorted(tells))
    watched = _watched(mine)
    gone = ops.each(partial(_gone, ops), watched)
    findings = [*topics.values()]
    if named:  # of none, no action could fail: check_alarms says that there is none
        findings.append(answer(_FAILED, _failed, ops, named))
    findings += [lost for key, lost in gone.items() if lost]
    every = {alarm["alarm"] for alarm in found.attrs["every"]}
    for alarm in mine:  # composite ones may be made of one that is not there
        if lacks := sorted(set(_named(alarm)) - every):
            asked = Question(f"rule of alarm {alarm['alarm']}", "its alarms exist", _SOURCE)
            findings.append(asked.warn(f"there is no alarm {', '.join(lacks)}"))
    if watched and not any(gone.values()):
        watches = Question("what the alarms watch", "it sends metrics", "ListMetrics")
        findings.append(watches.ok(f"{len(watched)} things that send metrics"))
    return Findings(findings)


def _topic(arn: str) -> Question:
    return Question(f"topic {arn.rpartition(':')[2]}", _HEARD, _SNS_DOCS)


def _heard(ops: Connection, arn: str) -> Finding:
    asked = _topic(arn)
    try:
        known = ops.call("sns", "get_topic_attributes", TopicArn=arn)["Attributes"]
    except NotFound:
        seen = f"there is no such topic in {ops.where}: alarms tell nobody"
        return asked.critical(seen, cause=UNHEARD)
    path = "Subscriptions[].SubscriptionArn"
    each = ops.pages("sns", "list_subscriptions_by_topic", path, TopicArn=arn)
    confirmed = [arn for arn in each if arn.startswith("arn:")]
    waiting = each.count("PendingConfirmation")
    seen = f"{len(confirmed)} subscribed" + (f", {waiting} not confirmed" if waiting else "")
    if not confirmed:
        return asked.critical(f"{seen}: alarms tell nobody", cause=UNHEARD)
    if str(known.get("KmsMasterKeyId", "")).endswith(_SNS_KEY):
        seen += f"; encrypted with {_SNS_KEY}, which CloudWatch may not use: nothing arrives"
        return asked.critical(seen, cause=UNHEARD)
    return asked.ok(seen)


_FAILED = Question("actions of the alarms", "none failed in 24 h", "DescribeAlarmHistory")


def _failed(ops: Connection, named: set[str]) -> Finding:
    """What CloudWatch itself says of the actions that it took, or could not take."""
    items = ops.pages(
        "cloudwatch",
        "describe_alarm_history",
        "AlarmHistoryItems[].[AlarmName, HistorySummary]",
        HistoryItemType="Action",
        StartDate=ops.now() - timedelta(hours=24),
    )
    failed = [(name, said) for name, said in items if name in named and "Failed" in said]
    seen = f"{failed[0][0]}: {failed[0][1]}; {len(failed)} in all" if failed else "none failed"
    return _FAILED.judged(not failed, seen, cause=UNHEARD)


def _watched(alarms: list[Json]) -> dict[tuple[Any, ...], list[str]]:
    """What alarms watch, namespace and dimensions, with the alarms that do."""
    found: dict[tuple[Any, ...], list[str]] = {}
    for alarm in alarms:
        for metric in alarm["watches"] or ():
            if metric.get("Namespace") and metric.get("Dimensions"):
                pairs = sorted((each["Name"], each["Value"]) for each in metric["Dimensions"])
                found.setdefault((metric["Namespace"], *pairs), []).append(alarm["alarm"])
    return found


def _gone(ops: Connection, key: tuple[Any, ...]) -> Finding | None:
    """That a thing sends no metric at all; one metric may be silent because nothing happens."""
    space, *pairs = key
    about = ", ".join(f"{name} {value}" for name, value in pairs)
    asked = Question(f"{space} of {about}", "it sends metrics", "ListMetrics (of two weeks)")

    def look() -> Finding:
        some = metrics.is_sent(ops, space, dict(pairs))
        seen = "some" if some else "none for two weeks: an alarm watches what is not there"
        return asked.judged(some, seen, otherwise="warn", next="metrics/dashboard")

    found = answer(asked, look)
    return None if found.status == "ok" else found


def _named(composite: Json) -> list[str]:
    rule = composite["rule"] or ""
    said = re.findall(r"""\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*["']?([^"')]+)["']?\s*\)""", rule)
    return [name.rpartition(":alarm:")[2].strip() for name in said]
