"""Whom alarms reach, and whether what they watch can come."""

import re
from datetime import timedelta
from difflib import SequenceMatcher
from functools import partial
from typing import Any

from opslib.alarms.states import list_alarms, made_of
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Question,
    answer,
    check,
    metrics,
)

UNHEARD = "alarm-unheard"  # the cause that findings name
_SNS_DOCS = "https://docs.aws.amazon.com/sns/latest/dg/sns-troubleshooting-topics.html"
_ALIKE = 0.92  # CPUUtilisation, CPUUtilization; not SignInThrottles, SignUpThrottles
_HEARD = "there, somebody is subscribed and has confirmed it"


@check("Does an alarm that goes off reach somebody, and does it watch what is there?")
def check_reach(ops: Connection) -> Findings:
    """The topics that the target's alarms tell; actions that failed; metrics that are no more.

    A topic without a confirmed subscription hears an alarm and tells nobody.
    """
    found = list_alarms(ops, everywhere=True)
    named = set(found["alarm"])
    mine = [alarm for alarm in found.attrs["every"] if alarm["alarm"] in named]
    tells = {arn for alarm in mine for arn in alarm["tells"] if ":sns:" in arn}
    topics = ops.each(lambda arn: answer(_topic(arn), _heard, ops, arn), sorted(tells))
    watched = _watched(mine)
    comes = ops.each(partial(_comes, ops, watched), watched)
    findings = [*topics.values(), *comes.values()]
    if named:  # of none, no action could fail: check_alarms says that there is none
        findings.append(answer(_FAILED, _failed, ops, named))
    every = {alarm["alarm"] for alarm in found.attrs["every"]}
    for alarm in mine:  # composite ones may be made of one that is not there
        if lacks := sorted(set(made_of(alarm)) - every):
            asked = Question(
                f"rule of alarm {alarm['alarm']}", "its alarms exist", "DescribeAlarms"
            )
            findings.append(asked.warn(f"there is no alarm {', '.join(lacks)}"))
    return Findings(findings)


def _topic(arn: str) -> Question:
    return Question(f"topic {arn.rpartition(':')[2]}", _HEARD, _SNS_DOCS)


def _heard(ops: Connection, arn: str) -> Finding:
    asked, path, at = _topic(arn), "Subscriptions[].SubscriptionArn", ops.at(arn.split(":")[3])
    try:
        each = at.pages("sns", "list_subscriptions_by_topic", path, TopicArn=arn)
    except NotFound:
        seen = f"there is no such topic in {at.where}: alarms tell nobody"
        return asked.critical(seen, cause=UNHEARD)
    confirmed = [arn for arn in each if arn.startswith("arn:")]
    waiting = each.count("PendingConfirmation")
    seen = f"{len(confirmed)} subscribed" + (f", {waiting} not confirmed" if waiting else "")
    if not confirmed:
        return asked.critical(f"{seen}: alarms tell nobody", cause=UNHEARD)
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

    Not AWS's own without dimensions: of what an account does not have, nothing is counted.
    """
    found: dict[tuple[Any, ...], set[str]] = {}
    for metric in (each for alarm in alarms for each in alarm["watches"]):
        space, every = metric["Namespace"], metric.get("Dimensions") or ()
        if every or not space.startswith("AWS/"):
            pairs = sorted((each["Name"], each["Value"]) for each in every)
            found.setdefault((space, *pairs), set()).add(metric["MetricName"])
    return found


def _comes(ops: Connection, watched: dict[tuple[Any, ...], set[str]], key: Any) -> Finding:
    """Whether what alarms watch can come. One metric may be silent because nothing happens; not so
    where another is called nearly so, or nothing makes it.
    """
    space, *pairs = key
    about = ", ".join(f"{name} {value}" for name, value in pairs) or "the system"
    asked = Question(f"{space} of {about}", "it sends metrics", "ListMetrics (of two weeks)")

    def look() -> Finding:
        sent = metrics.sent(ops, space, dict(pairs))
        if pairs and not sent:
            seen = "none for two weeks: an alarm watches what is not there"
            return asked.warn(seen, next="metrics/dashboard")
        told = {name: _never(ops, space, name, sent) for name in sorted(watched[key] - sent)}
        seen = "; ".join(f"no {name} for two weeks: {why}" for name, why in told.items() if why)
        return asked.judged(not seen, seen or "some", otherwise="warn", next="metrics/dashboard")

    return answer(asked, look)


def _never(ops: Connection, space: str, name: str, sent: set[str]) -> str:
    """Why a metric, which an alarm watches, cannot come; empty where it may wait for something."""
    if alike := [each for each in sorted(sent) if _alike(name, each)]:
        return f"there is {alike[0]}; the alarm's may be misspelt"
    made = {"metricName": name, "metricNamespace": space}
    own = not space.startswith("AWS/")
    if own and not ops.pages("logs", "describe_metric_filters", "metricFilters[]", 1, **made):
        return "nothing sends it to CloudWatch, and no filter of a log group makes it"
    return ""


def _alike(one: str, other: str) -> bool:
    """Up to case, an ending, a letter or two; 5xx and 5XXError, not 4xx and 5xx."""
    a, b = (re.sub("(error)?s?$", "", each.lower()) for each in (one, other))
    same = re.findall(r"\d", a) == re.findall(r"\d", b)
    return same and SequenceMatcher(None, a, b).ratio() > _ALIKE
