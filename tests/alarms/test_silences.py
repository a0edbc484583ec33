"""A silence has an end and a reason, is shown while it holds, and goes by itself or when lifted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from opslib import alarms, apply
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError
from tests.undoing import undo

TARGET, ALARM = "lab/bluemoxon-staging", "bluemoxon-staging-api-errors"

pytestmark = pytest.mark.usefixtures("records_folder")


def seen(ops: Connection) -> str:
    (found,) = alarms.check_silences(ops)
    return f"{found.status}: {found.seen}"


def test_it_is_shown_with_its_end_and_reason_and_its_undo_lifts_it(ops: Connection) -> None:
    assert seen(ops).startswith("ok: none of")
    plan = alarms.plan_silence(ops, ALARM, 30, "the provider is down")
    assert plan.steps == alarms.plan_silence(ops, ALARM, 30, "the provider is down").steps
    assert seen(ops).startswith("ok")
    applied = apply(ops, plan, plan.id)
    assert "the provider is down" in seen(ops)
    assert seen(ops).startswith("warn: ACTIVE")
    with pytest.raises(Refused, match="silenced already"):
        alarms.plan_silence(ops, ALARM, 5, "again")
    undo(ops, applied)
    assert seen(ops).startswith("ok")


def test_lifting_it_takes_the_rule_of_this_alarm_alone_and_undo_puts_it_back(
    ops: Connection,
) -> None:
    rule = {"Schedule": {"Expression": "at(2026-01-01T00:00)", "Duration": "P15D"}}
    until = ops.now() + timedelta(hours=1)
    rule["Schedule"]["Expression"] = f"at({ops.now():%Y-%m-%dT%H:%M})"
    put = ops.client("cloudwatch").put_alarm_mute_rule
    of_both = [ALARM, "bluemoxon-staging-api-duration"]
    put(Name="one", Rule=rule, MuteTargets={"AlarmNames": [ALARM]}, ExpireDate=until)
    put(Name="both", Rule=rule, MuteTargets={"AlarmNames": of_both}, ExpireDate=until)
    plan = alarms.plan_silence(ops, ALARM, lift=True)
    assert plan.notes == ("both mutes other alarms, too, and stays.",)
    applied = apply(ops, plan, plan.id)
    assert {f.status for f in alarms.check_silences(ops)} == {"warn"}
    left = ops.call("cloudwatch", "list_alarm_mute_rules")["AlarmMuteRuleSummaries"]
    assert [each["AlarmMuteRuleArn"].rpartition(":")[2] for each in left] == ["both"]
    undo(ops, applied)
    assert len(ops.call("cloudwatch", "list_alarm_mute_rules")["AlarmMuteRuleSummaries"]) == 2
    for name in ("one", "both"):
        ops.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName=name)


def test_one_that_is_over_is_shown_no_more(ops: Connection) -> None:
    began = ops.now() - timedelta(hours=3)
    schedule = {"Expression": f"at({began:%Y-%m-%dT%H:%M})", "Duration": "PT30M"}
    ops.client("cloudwatch").put_alarm_mute_rule(
        Name="old", Rule={"Schedule": schedule}, MuteTargets={"AlarmNames": [ALARM]}
    )
    assert seen(ops).startswith("ok")
    ops.client("cloudwatch").delete_alarm_mute_rule(AlarmMuteRuleName="old")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"alarm": "nobody"}, "nobody"),
        ({"alarm": ALARM, "reason": " "}, "reason is empty"),
        ({"alarm": ALARM, "reason": "why", "minutes": 0}, "1 to 21,600"),
        ({"alarm": ALARM, "reason": "why", "minutes": 30_000}, "1 to 21,600"),
    ],
)
def test_what_cannot_be_a_silence_is_refused(
    ops: Connection, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        alarms.plan_silence(ops, **given)
