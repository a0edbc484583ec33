"""Who answers 5xx: the load balancer's own answers and those of the app are told apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from opslib import connect
from opslib.core.tables import frame
from opslib.core.times import Window
from opslib.services import balancers, measures
from opslib.services.reading import Service
from tests.conftest import PracticeLab

END = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = Window(END - timedelta(hours=1), END)
REVISION = "arn:aws:ecs:us-east-1:1:task-definition/app:7"


def seen(**given: Any) -> Any:
    """An hour of twelve periods: numbers by MEASURES, one for all or one for each."""
    usual = dict.fromkeys(measures.MEASURES, 0.0) | {"requests": 100.0, "of_all": 100.0}
    times = pd.date_range(HOUR.start, periods=12, freq="5min")
    rows = [
        {"time": time}
        | {k: v[at] if isinstance(v, list) else v for k, v in (usual | given).items()}
        for at, time in enumerate(times)
    ]
    return frame(rows, measures.COLUMNS).set_index("time")


class Deployed:
    """A service with deployments so many minutes before the end."""

    key = "app"

    def __init__(self, *ago: float) -> None:
        self.ago = ago

    def deployments(self, newest: int) -> list[Any]:
        return [
            {"createdAt": END - timedelta(minutes=each), "taskDefinition": REVISION}
            for each in self.ago
        ]


LATE = [0.0] * 7 + [30.0] * 5  # from 11:35


@pytest.mark.parametrize(
    ("code", "cause", "follows"),
    [
        ("502", "app-closes-connections", "logs/errors"),
        ("503", "targets-unhealthy", "services/health"),
        ("504", "app-too-slow", "services/latency"),
    ],
)
def test_each_code_of_the_load_balancer_leads_elsewhere(
    code: str, cause: str, follows: str
) -> None:
    told = seen(elb_5xx=LATE, **{f"elb_{code}": LATE})
    found = balancers._by_balancer(Deployed(), told, HOUR)  # type: ignore[arg-type]
    assert (found.status, found.cause, found.next) == ("critical", cause, follows)
    assert f"150 × {code}" in found.seen


def test_what_no_target_was_chosen_for_counts_as_requests() -> None:
    told = seen(of_all=0.0, requests=0.0, elb_503=100.0, elb_5xx=100.0)
    found = balancers._by_balancer(Deployed(), told, HOUR)  # type: ignore[arg-type]
    assert "1,200 of 1,200 requests (100 %)" in found.seen
    assert balancers._by_targets(Deployed(), told, HOUR).status == "unknown"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "ago", "status", "cause"),
    [
        (LATE, [27], "critical", "app-throws"),
        (LATE, [], "critical", ""),
        (LATE, [50], "critical", ""),  # well for a while after it
        (LATE, [5], "critical", ""),  # bad before it
        ([30.0] * 12, [58], "critical", ""),  # since before the window
        ([0.0] * 5 + [30.0, 30.0] + [0.0] * 5, [], "warn", ""),  # it is over
        ([0.0] * 11 + [4.0], [3], "ok", ""),  # a handful
    ],
)
def test_5xx_of_the_app_began_with_a_deployment_or_not(
    wrong: list[float], ago: list[float], status: str, cause: str
) -> None:
    found = balancers._by_targets(Deployed(*ago), seen(target_5xx=wrong), HOUR)  # type: ignore[arg-type]
    assert (found.status, found.cause) == (status, cause)
    assert found.next == ("" if status == "ok" else "services/rollback" if cause else "logs/errors")


def test_a_bad_quarter_of_an_hour_is_not_lost_in_a_day() -> None:
    of = pd.Series([500.0] * 288, pd.date_range(END - timedelta(days=1), periods=288, freq="5min"))
    wrong = of * 0
    wrong.iloc[100:103] = 60.0
    assert wrong.sum() < 0.01 * of.sum() * 2
    assert balancers._is_bad(wrong, of)


def test_nothing_in_front_of_a_service_is_no_finding(lab: Any, monkeypatch: Any) -> None:
    ops = connect("lab/image-caption-prod")
    monkeypatch.setattr(measures, "groups", lambda service: [])
    assert list(balancers.check_answers(ops)) == []


def test_denied_is_unknown_and_not_well(lab: PracticeLab) -> None:
    with lab.denied("cloudwatch:GetMetricData", "image-caption-prod"):
        found = balancers.check_answers(connect("lab/image-caption-prod"))
    assert {each.status for each in found if "rules" not in each.check} == {"unknown"}


def test_only_application_load_balancers_count_answers(lab: Any) -> None:
    ops = connect("lab/image-caption-prod")
    (group,) = measures.groups(Service(ops, "app"))
    assert group["LoadBalancer"].startswith("app/image-caption-gen-prod/")
    assert group["TargetGroup"].startswith("targetgroup/image-caption-gen-prod/")


@pytest.mark.parametrize(
    ("path", "status", "causes"),
    [
        ("/api/*", "503", {"balancer-answers"}),
        ("/old/*", "404", set()),  # what is no more may be said so
        ("/*", "503", set()),  # maintenance mode, which has a check of its own
    ],
)
def test_a_rule_that_answers_a_part_with_an_error_is_named(
    lab: PracticeLab, path: str, status: str, causes: set[str]
) -> None:
    ops = connect("lab/ai-studio-production")
    elb = ops.client("elbv2")
    (of,) = elb.describe_load_balancers(Names=["ai-studio-alb"])["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=of["LoadBalancerArn"])["Listeners"]
    told = {"StatusCode": status, "ContentType": "text/plain", "MessageBody": "back soon"}
    rule = elb.create_rule(
        ListenerArn=listener["ListenerArn"],
        Priority=3,
        Conditions=[{"Field": "path-pattern", "Values": [path]}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": told}],
    )["Rules"][0]
    try:
        found = balancers.check_answers(ops, "backend")
    finally:
        elb.delete_rule(RuleArn=rule["RuleArn"])
    assert found.causes & {"balancer-answers"} == causes
    seen = [each.seen for each in found if each.check == "rules of ai-studio-alb"]
    assert seen == [
        f"rule 3: 503 for {path}: what it is for does not reach its service"
        if causes
        else "none does"
    ]
