"""Whom alarms reach, and whether what they watch can come."""

import re
from datetime import timedelta
from difflib import SequenceMatcher
from functools import partial
from typing import Any

from opslib.alarms.states import list_alarms, made_of
from opslib.core import Connection, Finding, Findings, Json, NotFound, Question, answer, check

UNHEARD = "alarm-unheard"  # the cause that findings name
_SNS_DOCS = "https://docs.aws.amazon.com/sns/latest/dg/sns-troubleshooting-topics.html"
_SNS_KEY = "alias/aws/sns"  # its policy, which nobody can change, lets no alarm use it
_ALIKE = 0.92  # CPUUtilisation, CPUUtilization; not SignInThrottles, SignUpThrottles
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
    gone = ops.each(partial(_gone, ops, watched), watched)
    findings = [*topics.values()]
    if named:  # of none, no action could fail: check_alarms says that there is none
        findings.append(answer(_FAILED, _failed, ops, named))
    findings += [lost for key, lost in gone.items() if lost]
    every = {alarm["alarm"] for alarm in found.attrs["every"]}
    for alarm in mine:  # composite ones may be made of one that is not there
        if lacks := sorted(set(made_of(alarm)) - every):
            asked = Question(
                f"rule of alarm {alarm['alarm']}", "its alarms exist", "DescribeAlarms"
            )
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


def _watched(alarms: list[Json]) -> dict[tuple[Any, ...], set[str]]:
    """What alarms watch, namespace and dimensions, with the metrics' names.

    AWS's own without dimensions are of everything; there an account may have nothing to count.
    """
    found: dict[tuple[Any, ...], set[str]] = {}
    for alarm in alarms:
        for metric in alarm["watches"] or ():
            space, every = metric.get("Namespace") or "AWS/", metric.get("Dimensions") or ()
            if every or not space.startswith("AWS/"):
                pairs = sorted((each["Name"], each["Value"]) for each in every)
                found.setdefault((space, *pairs), set()).add(metric["MetricName"])
    return found


def _gone(ops: Connection, watched: dict[tuple[Any, ...], set[str]], key: Any) -> Finding | None:
    """That a thing sends no metric at all, or one that is called nearly so, or nobody makes it.

    Else one metric may be silent because nothing happens.
    """
    space, *pairs = key
    about = ", ".join(f"{name} {value}" for name, value in pairs) or "the system"
    asked = Question(f"{space} of {about}", "it sends metrics", "ListMetrics (of two weeks)")

    def look() -> Finding:
        path = "Metrics[].MetricName" if pairs else "Metrics[?!Dimensions].MetricName"
        of = [{"Name": name, "Value": value} for name, value in pairs]
        sent = {*ops.pages("cloudwatch", "list_metrics", path, Namespace=space, Dimensions=of)}
        if pairs and not sent:
            seen = "none for two weeks: an alarm watches what is not there"
            return asked.warn(seen, next="metrics/dashboard")
        wrong = [
            f"no {name}, which an alarm watches, for two weeks; {why}"
            for name in sorted(watched[key] - sent)
            if (why := _unsent(ops, space, name, sent, bool(pairs)))
        ]
        seen = "; ".join(wrong) or "some"
        return asked.judged(not wrong, seen, otherwise="warn", next="metrics/dashboard")

    found = answer(asked, look)
    return None if found.status == "ok" else found


def _unsent(ops: Connection, space: str, name: str, sent: set[str], of_one: bool) -> str:
    """Why a metric can never come; empty where it may wait for something to happen."""
    if alike := [each for each in sorted(sent) if _alike(name, each)]:
        return f"there is {alike[0]}: is its name misspelt?"
    made = {"metricName": name, "metricNamespace": space}
    if of_one or ops.pages("logs", "describe_metric_filters", "metricFilters[]", 1, **made):
        return ""
    return "no filter of a log group makes it"


def _alike(one: str, other: str) -> bool:
    """Up to case, a plural, a letter or two; 5xx and 5XXError, not 4xx and 5xx."""
    a, b = (each.lower().rstrip("s") for each in (one, other))
    digits = re.sub(r"\D", "", a)
    if digits != re.sub(r"\D", "", b):
        return False
    begins = bool(digits) and (a.startswith(b) or b.startswith(a))
    return begins or SequenceMatcher(None, a, b).ratio() > _ALIKE
