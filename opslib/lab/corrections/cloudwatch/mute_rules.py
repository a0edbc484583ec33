"""Mute rules of alarms, which moto does not have. One of a cron expression never begins here."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.lab.aws.operations import AwsError, Call, Result, answers

_rules: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}  # by account and region, by name
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d)(:\d\d)?\)")
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
_MOST = timedelta(days=15)


def reset() -> None:
    _rules.clear()


def held() -> tuple[dict[Any, Any], ...]:
    return (_rules,)


def every(account: str, region: str) -> dict[str, dict[str, Any]]:
    return _rules.setdefault((account, region), {})


def _window(rule: dict[str, Any]) -> tuple[datetime, datetime] | None:
    """From when to when; None of a rule that comes again and again."""
    schedule = rule["Rule"]["Schedule"]
    if not (at := _AT.fullmatch(schedule["Expression"])):
        return None
    start = datetime.fromisoformat(at[1]).replace(tzinfo=UTC)
    return start, start + _duration(schedule["Duration"])


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    days, hours, minutes = (int(each or 0) for each in found.groups()) if found else (0, 0, 0)
    length = timedelta(days=days, hours=hours, minutes=minutes)
    if not timedelta(minutes=1) <= length <= _MOST:
        raise AwsError("ValidationException", f"Invalid duration: {text}", 400)
    return length


def _status(rule: dict[str, Any], now: datetime) -> str:
    window, end = _window(rule), rule.get("ExpireDate")
    if (end and now >= end) or (window and now >= window[1]):
        return "EXPIRED"
    # In the lab a minute is not waited for: a window that begins with the next one has begun.
    begun = window is not None and now >= window[0] - timedelta(minutes=1)
    return "ACTIVE" if begun else "SCHEDULED"


@answers("cloudwatch", "PutAlarmMuteRule")
def put_alarm_mute_rule(call: Call) -> Result:
    given = dict(call.params)
    for name in ("StartDate", "ExpireDate"):
        if name in given and given[name].tzinfo is None:  # as moto's parser reads them
            given[name] = given[name].replace(tzinfo=UTC)
    schedule = given["Rule"]["Schedule"]
    if not re.fullmatch(r"(at|cron)\(.+\)", schedule["Expression"]):
        raise AwsError("ValidationException", "Invalid schedule expression", 400)
    _duration(schedule["Duration"])
    every(call.account, call.region)[given["Name"]] = given | {"updated": call.received}
    return {}


@answers("cloudwatch", "DeleteAlarmMuteRule")
def delete_alarm_mute_rule(call: Call) -> Result:
    every(call.account, call.region).pop(call.params["AlarmMuteRuleName"], None)
    return {}


def _arn(call: Call, name: str) -> str:
    return f"arn:{call.partition}:cloudwatch:{call.region}:{call.account}:alarm-mute-rule:{name}"


@answers("cloudwatch", "GetAlarmMuteRule")
def get_alarm_mute_rule(call: Call) -> Result:
    rule = every(call.account, call.region).get(call.params["AlarmMuteRuleName"])
    if rule is None:
        raise AwsError("ResourceNotFoundException", "Alarm mute rule not found", 404)
    about = {name: value for name, value in rule.items() if name not in ("updated", "Tags")}
    return {
        **about,
        "AlarmMuteRuleArn": _arn(call, rule["Name"]),
        "Status": _status(rule, call.received),
        "LastUpdatedTimestamp": rule["updated"],
    }


@answers("cloudwatch", "ListAlarmMuteRules")
def list_alarm_mute_rules(call: Call) -> Result:
    alarm, statuses = call.params.get("AlarmName"), call.params.get("Statuses")
    found = []
    for name, rule in sorted(every(call.account, call.region).items()):
        status = _status(rule, call.received)
        targets = rule.get("MuteTargets", {}).get("AlarmNames", [])
        if (not alarm or alarm in targets) and (not statuses or status in statuses):
            about = {"AlarmMuteRuleArn": _arn(call, name), "Status": status}
            ends = {"ExpireDate": rule["ExpireDate"]} if "ExpireDate" in rule else {}
            found.append({**about, **ends, "LastUpdatedTimestamp": rule["updated"]})
    return {"AlarmMuteRuleSummaries": found}
