"""A custom metric: one value published and read back; what it cannot be is said before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError, apply
from opslib.core.connections.connection import Connection
from opslib.metrics import custom
from tests import notebooks
from tests.conftest import PracticeLab

KEY, TARGET = "loglineos-production", "lab/loglineos-production"


def values(ops: Connection, metric: str) -> list[float]:
    found = custom.check_metric(ops, metric, {}).evidence
    assert found is not None
    return list(found["value"])


@pytest.mark.slow
def test_a_preview_publishes_nothing_and_an_apply_one_value_that_is_read_back(
    ops: Connection, lab: PracticeLab
) -> None:
    before = lab.state(KEY)
    preview = notebooks.run("metrics/publish", metric="FromTest", value=2.5, unit="Count")
    assert preview["applied"].changed is False
    assert values(ops, "FromTest") == []
    left = notebooks.run(
        "metrics/publish",
        metric="FromTest",
        value=2.5,
        unit="Count",
        approved="now",
        confirm=TARGET,
    )
    assert [f.status for f in left["ops"].findings if f.verifies] == ["ok"]
    assert values(ops, "FromTest") == [2.5]
    assert lab.state(KEY) == before


def test_it_says_that_it_cannot_be_taken_back(ops: Connection) -> None:
    plan = custom.plan_publish(ops, "M", 1.0)
    assert not plan.reversible
    assert "cannot be deleted" in plan.notes[0]
    assert plan.again is not None
    assert plan.again().digest("", "") == plan.digest("", "")


def test_dimensions_make_another_metric_and_an_earlier_moment_is_kept(ops: Connection) -> None:
    at = f"{ops.now() - timedelta(hours=3):%Y-%m-%dT%H:%M}"
    apply(
        ops, custom.plan_publish(ops, "Earlier", 7.0, "Seconds", {"Area": "x"}, at), "now", TARGET
    )
    assert custom.check_published(ops, "Earlier", 7.0, {"Area": "x"}, at).worst == "ok"
    assert custom.check_published(ops, "Earlier", 7.0, {}, at, wait_seconds=0).worst == "unknown"


def test_a_value_among_others_of_its_minute_is_found(ops: Connection) -> None:
    at = f"{ops.now() - timedelta(hours=2):%Y-%m-%dT%H:%M}"
    for value in (1.0, 9.0, 5.0):
        apply(ops, custom.plan_publish(ops, "Busy", value, at=at), "now", TARGET)
    assert custom.check_published(ops, "Busy", 5.0, at=at).worst == "ok"
    assert custom.check_published(ops, "Busy", 10.0, at=at, wait_seconds=0).worst == "unknown"


def test_a_value_that_is_not_shown_yet_is_unknown_not_failed(ops: Connection) -> None:
    found = custom.check_published(ops, "NeverPublished", 1.0, wait_seconds=0)
    assert [f.status for f in found] == ["unknown"]
    assert "a quarter of an hour" in found[0].seen
    old = f"{ops.now() - timedelta(days=3):%Y-%m-%dT%H:%M}"
    assert "two days" in custom.check_published(ops, "N", 1.0, at=old, wait_seconds=0)[0].seen


def test_alarms_on_the_metric_are_named_and_known_names_offered(ops: Connection) -> None:
    ops.call(
        "cloudwatch",
        "put_metric_alarm",
        AlarmName="loglineos-watched",
        Namespace="LogLineOS/Production",
        MetricName="Watched",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Period=60,
        Statistic="Sum",
        Threshold=1,
    )
    try:
        found = custom.check_metric(ops, "Watched", {})
        assert found[1].status == "warn"
        assert "loglineos-watched" in found[1].seen
        assert len(custom.check_metric(ops, "Watched", {"Area": "x"})) == 1
    finally:
        ops.call("cloudwatch", "delete_alarms", AlarmNames=["loglineos-watched"])
    assert "SpansCreated" in custom.check_metric(ops, "SpanCreated", {})[0].seen


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"value": float("nan")}, "no NaN"),
    ({"value": float("inf")}, "no infinity"),
    ({"value": 1e200}, "2\\^360"),
    ({"at": "yesterday"}, "is no time"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_no_plan_can_hold_is_said_before(
    ops: Connection, given: dict[str, Any], said: str
) -> None:
    wanted: dict[str, Any] = {"metric": "M", "value": 1.0}
    with pytest.raises(UsageError, match=said):
        custom.plan_publish(ops, **(wanted | given))


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_what_cloudwatch_would_refuse_is_told_at_the_preview(ops: Connection, name: str) -> None:
    with pytest.raises(UsageError, match=r"AWS takes 1 to 255 in length for MetricName, not"):
        custom.plan_publish(ops, name, 1.0)


@pytest.mark.parametrize("space", ["AWS/Lambda", "aws/lambda"])
def test_a_namespace_of_aws_is_refused(ops: Connection, space: str) -> None:
    with pytest.raises(Refused, match="belongs to AWS"):
        custom.plan_publish(ops, "Errors", 1.0, namespace=space)


def test_denied_is_unknown_when_read_and_an_error_when_published(
    lab: PracticeLab, ops: Connection
) -> None:
    with lab.denied("cloudwatch:GetMetricData", KEY):
        assert [f.status for f in custom.check_metric(ops, "M", {})] == ["unknown"]
    with lab.denied("cloudwatch:PutMetricData", KEY), pytest.raises(OpsError, match="Denied"):
        apply(ops, custom.plan_publish(ops, "M", 1.0), "now", TARGET)
