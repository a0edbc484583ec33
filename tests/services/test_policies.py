"""What auto-scaling aims at: one value of one policy, everything else of it kept."""

from __future__ import annotations

from typing import Any

import pytest

from opslib import UsageError, apply, services
from opslib.core.connections.connection import Connection
from tests.undoing import confirmed, undo

TARGET = "lab/image-caption-prod"
SCALING = "application-autoscaling"
NAME = "image-caption-gen-service-prod-cpu"
RESOURCE = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/image-caption-gen-cluster-prod/image-caption-gen-service-prod",
    "ScalableDimension": "ecs:service:DesiredCount",
}
TRACKING = "TargetTrackingScalingPolicyConfiguration"


def held(ops: Connection) -> dict[str, Any]:
    path = "ScalingPolicies[]"
    found = ops.pages(SCALING, "describe_scaling_policies", path, ServiceNamespace="ecs")
    return {each["PolicyName"]: each for each in found}


@pytest.fixture
def ops(ops: Connection, clean: dict[str, Any]) -> Connection:
    return ops


@pytest.mark.slow
def test_one_value_is_changed_the_rest_kept_and_undone(ops: Connection) -> None:
    config = held(ops)[NAME][TRACKING]
    kept = config | {"DisableScaleIn": True, "ScaleInCooldown": 411}
    given = {"PolicyName": NAME, "PolicyType": "TargetTrackingScaling", TRACKING: kept}
    ops.call(SCALING, "put_scaling_policy", **RESOURCE, **given)
    before = held(ops)
    plan = services.plan_target(ops, "app", 55)
    assert held(ops) == before
    applied = apply(ops, plan, plan.id, confirmed(TARGET))
    assert held(ops).keys() == {NAME}
    assert held(ops)[NAME][TRACKING] == kept | {"TargetValue": 55.0}
    [found] = applied.verify(services.check_policies, "app")
    assert found.status == "warn", "the target's file says 70"
    assert f"{NAME} holds ECSServiceAverageCPUUtilization at 55, takes no tasks away" in found.seen
    theirs = {"ScaleOutCooldown": 17}  # what somebody else changes meanwhile stays
    given[TRACKING] = kept | {"TargetValue": 55.0} | theirs
    ops.call(SCALING, "put_scaling_policy", **RESOURCE, **given)
    undo(ops, applied)
    assert held(ops)[NAME][TRACKING] == kept | theirs


def test_the_plan_reckons_what_it_would_do_now(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(value: float) -> str:
        return next(n for n in services.plan_target(ops, "app", value).notes if "estimate" in n)

    import pandas as pd

    measured = {"": pd.Series([42.0, 48.0])}
    monkeypatch.setattr("opslib.services.policies.metrics.series", lambda *_: measured)
    assert told(60).startswith("CPUUtilization was 45 in the last 15 minutes with 2 tasks: at 60 ")
    assert "about 2 tasks. An" in told(47), "between nine tenths of it and it nothing moves"
    assert "about 9 tasks. An" in told(10)
    assert "about 1 task, held at 2 by its bounds 2 to 10" in told(90)


@pytest.mark.parametrize("value", [9.9, 91, -5])
def test_a_value_that_no_percentage_should_be_is_refused(ops: Connection, value: float) -> None:
    with pytest.raises(UsageError, match="is to be held between 10 and 90 %"):
        services.plan_target(ops, "app", value)


def test_a_wrong_name_would_add_a_policy_and_is_refused_with_those_that_exist(
    ops: Connection,
) -> None:
    with pytest.raises(UsageError, match=f"Did you mean '{NAME}'"):
        services.plan_target(ops, "app", 60, "image-caption-gen-cpu-autoscaling-prod")
    assert held(ops).keys() == {NAME}


def test_of_several_one_is_named_and_a_step_policy_is_told_and_left(ops: Connection) -> None:
    requests = {
        "TargetValue": 800.0,
        "CustomizedMetricSpecification": {
            "MetricName": "Waiting",
            "Namespace": "Captions",
            "Statistic": "Average",
        },
    }
    step = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 2}],
    }
    ops.call(
        SCALING,
        "put_scaling_policy",
        **RESOURCE,
        PolicyName="waiting",
        PolicyType="TargetTrackingScaling",
        **{TRACKING: requests},
    )
    ops.call(
        SCALING,
        "put_scaling_policy",
        **RESOURCE,
        PolicyName="steps",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration=step,
    )
    with pytest.raises(UsageError, match="Say which: policy="):
        services.plan_target(ops, "app", 60)
    with pytest.raises(UsageError, match="Unknown policy 'steps' of app that tracks a target"):
        services.plan_target(ops, "app", 60, "steps")
    plan = services.plan_target(ops, "app", 1200, "waiting")
    assert plan.steps[0].do["put"] == {"TargetValue": 1200}
    assert plan.steps[0].do["write"]["parameters"]["PolicyName"] == "waiting"
    assert "is not reckoned for this metric" in plan.notes[0]
    assert "steps, StepScaling" in plan.notes[1]
    for name in ("waiting", "steps"):
        ops.call(SCALING, "delete_scaling_policy", **RESOURCE, PolicyName=name)


def test_suspended_scaling_is_told(ops: Connection) -> None:
    off = {"DynamicScalingInSuspended": True}
    ops.call(SCALING, "register_scalable_target", **RESOURCE, SuspendedState=off)
    notes = services.plan_target(ops, "app", 60).notes
    assert any("does not act: DynamicScalingInSuspended" in note for note in notes)
