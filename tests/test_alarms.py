"""Alarms, secrets and certificates.

Every one that matters, what it asks for, and those that would be silent.
"""

from __future__ import annotations

from typing import Any

import pytest

from opslib import alarms
from opslib.reports import certificates, secrets

TARGET = "lab/bluemoxon-staging"


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
