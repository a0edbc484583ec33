"""Alarms, secrets and certificates.

Every one that matters, what it asks for, and those that would be silent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from opslib import alarms, connect, secrets
from opslib.alarms import reach
from opslib.core.checks import causes
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, NotFound
from opslib.reports import certificates

TARGET = "lab/bluemoxon-staging"
NOW, DAY = datetime(2026, 11, 26, 12, tzinfo=UTC), timedelta(days=1)


def test_all_alarms_of_a_healthy_system_are_ok_and_counted(ops: Any) -> None:
    found = alarms.check_alarms(ops)
    assert found.worst == "ok"
    assert len(found) == len(ops.target["alarms"]["expected"])
    assert "alarms in 111122223333/us-west-2 match bluemoxon-staging-*" in found.note


def test_dead_letters_set_off_their_alarm_and_lead_on(lab: Any, ops: Any) -> None:
    with lab.broken("dead-letter-backlog"):
        on = [f for f in alarms.check_alarms(ops) if f.status == "critical"]
    assert any("analysis-dlq" in f.check for f in on)
    assert {f.next for f in on} == {"bluemoxon/dead-letters"}
    assert on[0].threshold == "ApproximateNumberOfMessagesVisible Maximum > 0 in 5 min"


def test_who_may_not_ask_there_still_hears_of_his_own(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = connect("lab/ai-studio-production")
    mine = {f.check for f in alarms.check_alarms(ops)}
    at = Connection.at

    def closed(self: Connection, region: str) -> Connection:
        if region == "us-east-1":
            raise NotAllowed("an explicit deny in a service control policy")
        return at(self, region)

    monkeypatch.setattr(Connection, "at", closed)
    found = alarms.check_alarms(ops)
    assert {f.check for f in found} - mine == {"alarms of us-east-1"}
    assert [f.check for f in found if f.status == "unknown"] == ["alarms of us-east-1"]
    assert mine <= {f.check for f in found}


def test_an_alarm_that_stands_where_global_services_tell_is_read_too(lab: Any) -> None:
    """What is spent, CloudFront and Route 53 are counted in us-east-1 alone."""
    ops = connect("lab/ai-studio-production")
    topic = f"arn:aws:sns:us-east-1:{ops.target.account}:billing"
    there = ops.at("us-east-1").client("cloudwatch")
    there.put_metric_alarm(
        AlarmName="ai-studio-spending",
        Namespace="AWS/Billing",
        MetricName="EstimatedCharges",
        Statistic="Maximum",
        Period=21600,
        EvaluationPeriods=1,
        Threshold=500,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )
    why = {"StateValue": "ALARM", "StateReason": "1 datapoint"}
    there.set_alarm_state(AlarmName="ai-studio-spending", **why)
    try:
        [rings] = alarms.check_alarms(ops).troubles
        unheard = [f for f in alarms.check_reach(ops).troubles if "topic" in f.check]
        to_silence = [*alarms.list_alarms(ops)["alarm"]]  # by a rule of the target's own region
    finally:
        there.delete_alarms(AlarmNames=["ai-studio-spending"])
    assert "ai-studio-spending" not in to_silence
    assert (rings.status, rings.check) == ("critical", "alarm ai-studio-spending")
    assert [f.seen for f in unheard] == [
        f"there is no such topic in {ops.target.account}/us-east-1: alarms tell nobody"
    ]


@pytest.fixture
def alarm(ops: Any) -> Any:
    """An alarm in this account, made for the test; deleted after it."""
    names = []

    def make(name: str, **more: Any) -> None:
        names.append(name)
        ops.call(
            "cloudwatch",
            "put_metric_alarm",
            AlarmName=name,
            Namespace="X",
            MetricName="Y",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=3,
            DatapointsToAlarm=2,
            Threshold=5,
            ComparisonOperator="LessThanThreshold",
            **more,
        )

    yield make
    ops.call("cloudwatch", "delete_alarms", AlarmNames=names)


def test_no_data_is_unknown_and_an_alarm_without_actions_tells_nobody(ops: Any, alarm: Any) -> None:
    alarm("bluemoxon-staging-extra")
    found = {f.check: f for f in alarms.check_alarms(ops)}
    assert found["alarm bluemoxon-staging-extra"].status == "unknown"
    assert found["alarm bluemoxon-staging-extra"].threshold == "Y Sum < 5 in 2 of 3 × 1 min"
    assert found["alarm bluemoxon-staging-extra tells somebody"].status == "warn"


def test_disabled_actions_are_said(ops: Any, alarm: Any) -> None:
    alarm(
        "bluemoxon-staging-quiet",
        ActionsEnabled=False,
        AlarmActions=["arn:aws:sns:us-west-2:111122223333:x"],
    )
    found = {f.check: f for f in alarms.check_alarms(ops)}
    assert "disabled" in found["alarm bluemoxon-staging-quiet tells somebody"].seen


def test_an_alarm_of_another_system_is_counted_and_not_judged(ops: Any, alarm: Any) -> None:
    alarm("another-system")
    found = alarms.check_alarms(ops)
    expected = len(ops.target["alarms"]["expected"])
    assert f"{expected} of the {expected + 1} alarms" in found.note
    assert found.worst == "ok"


def test_an_expected_alarm_that_is_missing_is_a_finding(ops: Any) -> None:
    ops.target.facts["alarms"]["expected"]["bluemoxon-staging-cpu"] = "database-health"
    found = {f.check: f for f in alarms.check_alarms(ops)}
    assert found["alarm bluemoxon-staging-cpu"].status == "critical"
    assert "there is no such alarm" in found["alarm bluemoxon-staging-cpu"].seen


def test_no_match_at_all_is_not_an_all_clear(ops: Any) -> None:
    ops.target.facts["alarms"].update(patterns=["nothing-*"], expected={})
    assert alarms.check_alarms(ops).worst == "unknown"


def test_secrets_are_judged_by_age_and_never_read(ops: Any) -> None:
    found = secrets.check_ages(ops)
    assert {f.check for f in found} == {f"secret {name}" for name in ops.target["secrets"]}
    assert all("days old" in f.seen for f in found)
    assert not [e for e in ops.journal.events if e.get("operation") == "GetSecretValue"]


def test_a_secret_that_is_too_old_or_missing_is_said(ops: Any) -> None:
    ops.target.facts["secrets"]["gone"] = {}
    ops.target.facts["secrets"]["bluemoxon-staging/database"] = {"max_age_days": -1}
    found = {f.check: f.status for f in secrets.check_ages(ops)}
    assert found["secret gone"] == "critical"
    assert found["secret bluemoxon-staging/database"] == "warn"


@pytest.mark.parametrize(
    ("described", "check", "status", "cause"),
    [
        ({"DeletedDate": NOW}, "secret x", "critical", causes.GONE),
        ({"RotationEnabled": True, "NextRotationDate": NOW + 9 * DAY}, "", "ok", ""),
        ({"RotationEnabled": True, "NextRotationDate": NOW - 9 * DAY}, "rotation of x", "warn", ""),
        (
            {"RotationEnabled": True, "VersionIdsToStages": {"1": ["AWSPENDING"]}},
            "rotation of x",
            "warn",
            "",
        ),
        (
            {"RotationEnabled": True, "VersionIdsToStages": {"1": ["AWSCURRENT", "AWSPENDING"]}},
            "",
            "ok",
            "",
        ),
        ({"NextRotationDate": NOW - 9 * DAY}, "", "ok", ""),
    ],
)
def test_a_secret_that_is_marked_for_deletion_or_whose_rotation_broke_off_is_told(
    ops: Any, monkeypatch: pytest.MonkeyPatch, described: Any, check: str, status: str, cause: str
) -> None:
    ops.target.facts["secrets"] = {"x": {}}
    monkeypatch.setattr(ops, "call", lambda *_, **__: described)
    monkeypatch.setattr(ops, "pages", lambda *_, **__: [NOW - DAY])
    monkeypatch.setattr(ops, "now", lambda: NOW)
    found = secrets.check_ages(ops)
    assert (found.worst, found.causes) == (status, {cause} - {""})
    assert not check or check in {f.check for f in found.troubles}


def test_a_secret_that_is_marked_for_deletion_is_critical_whatever_its_age(ops: Any) -> None:
    name = "bluemoxon-staging/api-token"
    ops.call("secretsmanager", "delete_secret", SecretId=name, RecoveryWindowInDays=7)
    try:
        found = {f.check: f for f in secrets.check_ages(ops)}
    finally:
        ops.call("secretsmanager", "restore_secret", SecretId=name)
    assert found[f"secret {name}"].status == "critical"
    assert "marked for deletion" in found[f"secret {name}"].seen
    assert [f.status for f in found.values()].count("ok") == len(found) - 1
    assert secrets.check_ages(ops).worst == "ok"


def test_certificates_are_judged_by_the_days_that_are_left(ops: Any) -> None:
    found = certificates.check_expiry(ops)
    assert [f.status for f in found] == ["ok", "ok"]
    assert found[0].seen.startswith("212 days left, until ") or found[0].seen.startswith(
        "211 days left, until "
    )


def test_a_certificate_that_ends_soon_is_a_warning_and_a_missing_one_unknown(ops: Any) -> None:
    facts = ops.target.facts["certificates"]
    facts["staging.api.bluemoxon.com"] = {"min_days": 300}
    facts["elsewhere.example.com"] = {}
    found = {f.check: f for f in certificates.check_expiry(ops)}
    assert found["certificate of staging.api.bluemoxon.com"].status == "warn"
    assert found["certificate of elsewhere.example.com"].status == "unknown"


def test_a_wildcard_covers_one_level() -> None:
    wild = {"DomainName": "example.com", "SubjectAlternativeNameSummaries": ["*.example.com"]}
    assert certificates._covers(wild, "api.example.com")
    assert not certificates._covers(wild, "a.api.example.com")


TOPIC = "arn:aws:sns:us-west-2:111122223333:alerts"
SUBSCRIBED = [f"{TOPIC}:9c1a"]


def raised(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def answered(ops: Any, monkeypatch: pytest.MonkeyPatch, **said: Any) -> dict[str, Any]:
    """check_reach, by its findings' names, where AWS answers this."""
    watches = {"Namespace": "App", "Dimensions": [{"Name": "Name", "Value": "x"}]}
    watches |= {"MetricName": "Errors"} | said.pop("watches", {})
    alarm = {
        "alarm": "bluemoxon-staging-x",
        "tells": [TOPIC],
        "rule": said.get("rule"),
        "watches": [watches],
    }
    every = pd.DataFrame([alarm])
    every.attrs["every"] = [alarm]

    def pages(_: str, operation: str, *__: Any, **___: Any) -> Any:
        answer = {
            "list_subscriptions_by_topic": SUBSCRIBED,
            "describe_alarm_history": [],
            "list_metrics": ["Errors"],
            "describe_metric_filters": [],
        } | said
        return raised(answer[operation])

    monkeypatch.setattr(reach, "list_alarms", lambda *_, **__: every)
    monkeypatch.setattr(ops, "pages", pages)
    return {f.check: f for f in alarms.check_reach(ops)}


@pytest.mark.parametrize(
    ("said", "status", "seen"),
    [
        ({}, "ok", "1 subscribed"),
        ({"list_subscriptions_by_topic": NotFound("gone")}, "critical", "no such topic"),
        ({"list_subscriptions_by_topic": NotAllowed("denied")}, "unknown", "denied"),
        ({"list_subscriptions_by_topic": []}, "critical", "0 subscribed"),
        ({"list_subscriptions_by_topic": ["PendingConfirmation"]}, "critical", "1 not confirmed"),
        ({"list_subscriptions_by_topic": ["Deleted"]}, "critical", "tell nobody"),
    ],
)
def test_a_topic_is_well_when_somebody_hears_it(
    ops: Any, monkeypatch: pytest.MonkeyPatch, said: Any, status: str, seen: str
) -> None:
    found = answered(ops, monkeypatch, **said)["topic alerts"]
    assert (found.status, seen in found.seen) == (status, True)
    assert found.cause == {"critical": reach.UNHEARD, "unknown": "access-denied"}.get(status, "")


def test_an_action_that_cloudwatch_could_not_take_is_told(
    ops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = ["bluemoxon-staging-x", f"Failed to execute action {TOPIC}"]
    other = ["another", "Failed to execute action"]
    found = answered(ops, monkeypatch, describe_alarm_history=[failed, other])
    assert found["actions of the alarms"].status == "critical"
    assert "1 in all" in found["actions of the alarms"].seen
    found = answered(ops, monkeypatch, describe_alarm_history=[other])
    assert found["actions of the alarms"].status == "ok"


def test_an_alarm_on_what_sends_no_metric_any_more_and_a_rule_of_what_is_not_there_are_told(
    ops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = answered(
        ops, monkeypatch, list_metrics=[], rule="ALARM(gone) OR OK('bluemoxon-staging-x')"
    )
    assert found["App of Name x"].status == "warn"
    assert found["rule of alarm bluemoxon-staging-x"].seen == "there is no alarm gone"


ONE_S: dict[str, Any] = {"Namespace": "AWS/Lambda"}
NOBODY_S: dict[str, Any] = {"Dimensions": []}


@pytest.mark.parametrize(
    ("watches", "sent", "filters", "seen"),
    [
        (
            ONE_S | {"MetricName": "errors"},
            ["Errors"],
            [],
            "the alarm's may be misspelt",
        ),
        (ONE_S | {"MetricName": "Error"}, ["Errors"], [], "there is Errors"),
        (ONE_S | {"MetricName": "CPUUtilisation"}, ["CPUUtilization"], [], "there is CPUU"),
        (ONE_S | {"MetricName": "5XXError"}, ["4xx", "5xx"], [], "there is 5xx"),
        (ONE_S | {"MetricName": "Throttles"}, ["Errors", "Invocations"], [], ""),
        (ONE_S | {"MetricName": "SignUpThrottles"}, ["SignInThrottles"], [], ""),
        (ONE_S | {"MetricName": "HTTPCode_ELB_5XX_Count"}, ["HTTPCode_ELB_4XX_Count"], [], ""),
        (NOBODY_S, [], [], "no Errors for two weeks: nothing sends it"),
        (NOBODY_S, [], [{}], ""),
        (NOBODY_S, ["Errors"], [], ""),
        (NOBODY_S | ONE_S, [], [], ""),
    ],
)
def test_an_alarm_on_a_metric_that_never_comes_is_told_and_one_that_waits_is_not(
    ops: Any,
    monkeypatch: pytest.MonkeyPatch,
    watches: Any,
    sent: list[str],
    filters: list[Any],
    seen: str,
) -> None:
    answers = {"list_metrics": sent, "describe_metric_filters": filters}
    found = answered(ops, monkeypatch, watches=watches, **answers)
    told = [f.seen for f in found.values() if f.status == "warn"]
    assert len(told) == bool(seen)
    assert not seen or seen in told[0]
