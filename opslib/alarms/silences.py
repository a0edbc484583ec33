"""Alarms that tell nobody for a while: CloudWatch's own mute rules, which end by themselves."""

from functools import partial

from opslib.alarms.states import list_alarms
from opslib.core import (
    Aws,
    Connection,
    Findings,
    Json,
    Mute,
    Planned,
    Question,
    Refused,
    Step,
    UsageError,
    check,
    clock,
    count,
    planner,
    require_known,
    result,
)

_LONGEST = 15 * 24 * 60  # minutes that a mute rule may hold
_SOURCE = "cloudwatch ListAlarmMuteRules"
_OPEN = ["ACTIVE", "SCHEDULED"]


def _rules(ops: Connection, alarm: str = "") -> list[Json]:
    """Mute rules that hold, or will: all of the account and region, or of one alarm."""
    path = "AlarmMuteRuleSummaries[].AlarmMuteRuleArn"
    of: Json = {"AlarmName": alarm} if alarm else {}
    arns = ops.pages("cloudwatch", "list_alarm_mute_rules", path, Statuses=_OPEN, **of)
    get = partial(ops.call, "cloudwatch", "get_alarm_mute_rule")
    names = [arn.rpartition(":")[2] for arn in arns]
    return [*ops.each(lambda name: get(AlarmMuteRuleName=name), names).values()]


@check("Is an alarm silenced, and until when?")
def check_silences(ops: Connection) -> Findings:
    """The mute rules that hold for alarms of the target: one each, with its end and its reason.

    Alarms whose actions are switched off, which nothing ends, are told by `check_alarms`.
    """
    mine = set(list_alarms(ops)["alarm"])
    found = []
    for rule in sorted(_rules(ops), key=lambda each: str(each["Name"])):
        if names := sorted(mine & {*rule.get("MuteTargets", {}).get("AlarmNames", ())}):
            schedule, end = rule["Rule"]["Schedule"], rule.get("ExpireDate")
            asked = Question(f"silence of {', '.join(names)}", "none, or on purpose", _SOURCE)
            seen = f"{rule['Status']}, {schedule['Expression']} for {schedule['Duration']}"
            seen += f", until {clock(end, ops.now())} UTC" if end else ", without an end"
            seen += f": {rule['Description']}" if rule.get("Description") else ""
            status = "ok" if rule["Status"] == "SCHEDULED" else "warn"
            found.append(asked.answer(status, seen, next="alarms/silence"))
    if found or not mine:  # of none, `check_alarms` says that there is none
        return Findings(found)
    asked = Question("silenced alarms", "none", _SOURCE)
    return Findings(asked.ok(f"none of {count(len(mine), 'alarm')}"))


@planner
def plan_silence(
    ops: Connection, alarm: str, minutes: int = 60, reason: str = "", lift: bool = False
) -> Planned:
    """Have an alarm tell nobody for so many minutes; or `lift` what silences it now.

    Raises UsageError (no such alarm of the target, no reason, no such time), Refused (silenced
    already).
    """
    known = list(list_alarms(ops)["alarm"])
    require_known("alarm", alarm, known, f" of {ops.target.name}")
    rules = _rules(ops, alarm)
    if lift:
        return _lifted(alarm, rules)
    if not reason.strip():
        raise UsageError("reason is empty: whoever misses the alarm wants to know why.")
    if not 1 <= minutes <= _LONGEST:
        raise UsageError(f"minutes={minutes}: CloudWatch mutes for 1 to {_LONGEST:,} minutes.")
    if active := [each["Name"] for each in rules if each["Status"] == "ACTIVE"]:
        raise Refused(
            f"{alarm} is silenced already, by {active[0]}. Nothing was changed; lift it "
            "first: lift=true."
        )
    gone = Aws("cloudwatch", "delete_alarm_mute_rule", AlarmMuteRuleName=result("mute.name"))
    step = Step(
        f"Silence {alarm} for {minutes} minutes",
        Mute(alarm, minutes, reason.strip()),
        "it tells whom it has to",
        f"silent for {minutes} minutes",
        [gone],
        name="mute",
    )
    notes = [
        "It goes on to be evaluated, and shows its state; only its actions wait.",
        "CloudWatch ends it by itself: nothing has to be switched on again.",
    ]
    return Planned(f"silence {alarm} for {minutes} minutes", [step], notes)


def _lifted(alarm: str, rules: list[Json]) -> Planned:
    """Rules of this alarm alone go; one of several alarms would be lifted for the others, too."""
    ours = [each for each in rules if each["MuteTargets"]["AlarmNames"] == [alarm]]
    steps = [
        Step(
            f"Lift {rule['Name']}",
            Aws("cloudwatch", "delete_alarm_mute_rule", AlarmMuteRuleName=rule["Name"]),
            "silent",
            "it tells whom it has to",
            [Aws("cloudwatch", "put_alarm_mute_rule", **_again(rule))],
        )
        for rule in ours
    ]
    left = [each["Name"] for each in rules if each not in ours]
    notes = [f"{name} mutes other alarms, too, and stays." for name in left]
    return Planned(
        f"{alarm} tells again", steps, notes if steps or left else [f"Nothing silences {alarm}."]
    )


def _again(rule: Json) -> Json:
    taken = ("Name", "Description", "Rule", "MuteTargets")
    given = {name: rule[name] for name in taken if name in rule}
    ends = {name: rule[name].isoformat() for name in ("StartDate", "ExpireDate") if rule.get(name)}
    return given | ends
