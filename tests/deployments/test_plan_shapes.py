"""Plans of many shapes: what each would do, what it leaves unsaid, whom it lets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from opslib.deployments import findings
from opslib.deployments.plans import TerraformPlan, parse

PLANS = Path(__file__).parent / "plans"
EXPECTED: dict[str, Any] = yaml.safe_load((PLANS / "expected.yaml").read_text())


def read(name: str) -> TerraformPlan:
    return parse((PLANS / f"{name}.json").read_bytes(), name)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_plan_is_said_as_it_is(name: str) -> None:
    """Nothing is ok of which a part was not planned, or not understood."""
    expected, plan = EXPECTED[name], read(name)
    would, drift = findings.judged(plan), findings.drifted(plan)
    todo = would[-1]
    assert todo.check == "To do"
    assert (findings.whole(plan).status, todo.status, drift.worst) == (
        expected["whole"],
        expected["todo"],
        expected["drift"],
    )
    assert expected["said"] in todo.seen
    assert expected.get("also", "") in " ".join(f.seen for f in would)
    assert expected.get("drift_said", "") in drift[0].seen
    assert would.evidence is not None
    assert expected.get("why", "") in " ".join(would.evidence["why"])


def test_every_plan_has_its_expectation() -> None:
    assert {path.stem for path in PLANS.glob("*.json")} == {*EXPECTED}


def test_what_is_told_of_actions_openings_and_losses_is_no_ok() -> None:
    for name in ("actions-only", "opened-by-the-plan", "forget"):
        assert findings.judged(read(name)).worst == "warn"
    for name in ("deferred-loss", "broken-entry"):
        assert findings.judged(read(name)).worst == "critical"


def test_both_sides_of_a_long_value_show_where_they_differ() -> None:
    (change,) = read("text-that-differs-late").drift
    (difference,) = change.differences
    assert difference.before.endswith("echo one exit 0")
    assert difference.after.endswith("echo one exit 1")
    assert max(map(len, (difference.before, difference.after))) <= 160


def judged(type: str, before: Any, after: Any, *actions: str) -> Any:
    """What is said of a plan that does this to one resource."""
    change = {"actions": actions or ["update"], "before": before, "after": after}
    entry = {"address": f"{type}.a", "mode": "managed", "type": type, "change": change}
    plan = {"format_version": "1.2", "planned_values": {}, "resource_changes": [entry]}
    return findings.judged(parse(json.dumps(plan).encode(), "plan.json"))


def policy(**said: Any) -> dict[str, str]:
    """A resource's policy of one statement."""
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **said}
    return {"policy": json.dumps({"Statement": [statement]})}


def lifecycle(status: str = "Enabled", **kept: int) -> dict[str, Any]:
    return {"rule": [{"id": "old", "status": status, "expiration": [kept] if kept else []}]}


ALL = {"Action": ["*"], "Principal": "1"}
ADMIN = {"policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess"}
OK = ("update", "")
SOONER = "It deletes by age, sooner than before"
RULE = {"type": "ingress", "cidr_blocks": ["0.0.0.0/0"], "from_port": 22}
HELD = {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-west-2:1:t"}}


@pytest.mark.parametrize(
    ("type", "before", "after", "action", "said"),
    [
        ("aws_security_group_rule", None, RULE, "create", "Opened to everyone"),
        ("aws_security_group_rule", None, RULE | {"type": "egress"}, "create", ""),
        ("aws_s3_bucket_policy", policy(), policy(Principal="*"), "update", "Opened to everyone"),
        (
            *("aws_s3_bucket_policy", policy(), policy(Principal={"AWS": "*"}), "update"),
            "Opened to everyone",
        ),
        ("aws_s3_bucket_policy", policy(), policy(Principal="*", Effect="Deny"), "update", ""),
        ("aws_sqs_queue", policy(), policy(Principal="*", Condition=HELD), "update", ""),
        ("aws_s3_bucket_policy", policy(), policy(Principal={"AWS": "1"}), "update", ""),
        *(
            (type, {name: before}, {name: after}, "update", "What protects it is taken away")
            for type, name, before, after in (
                ("aws_db_instance", "publicly_accessible", False, True),
                ("aws_db_instance", "deletion_protection", True, False),
                ("aws_db_instance", "backup_retention_period", 7, 0),
                ("aws_s3_bucket_public_access_block", "block_public_policy", True, False),
                ("aws_lambda_function_url", "authorization_type", "AWS_IAM", "NONE"),
            )
        ),
        *(
            (type, {name: before}, {name: after}, "update", "It does nothing any more")
            for type, name, before, after in (
                ("aws_ecs_service", "desired_count", 2, 0),
                ("aws_lambda_function", "reserved_concurrent_executions", -1, 0),
                ("aws_cloudwatch_event_rule", "state", "ENABLED", "DISABLED"),
                ("aws_cloudwatch_metric_alarm", "actions_enabled", True, False),
            )
        ),
        *(
            (
                *("aws_cloudwatch_log_group", {"retention_in_days": before}),
                *({"retention_in_days": after}, "update"),
                "What it keeps is kept for less time" * is_less,
            )
            for before, after, is_less in (
                (90, 7, True),
                (0, 30, True),
                (7, 90, False),
                (7, 0, False),
            )
        ),
        ("aws_db_instance", {"backup_retention_period": 0}, {"backup_retention_period": 7}, *OK),
        ("aws_ecs_service", {"desired_count": 0}, {"desired_count": 2}, *OK),
        ("aws_iam_policy", policy(), policy(**ALL), "update", "Allowed everything"),
        ("aws_iam_policy", policy(), policy(**ALL, Resource="arn:aws:s3:::a/*"), *OK),
        ("aws_iam_policy", policy(**ALL), policy(**ALL, Sid="again"), *OK),
        ("aws_iam_role_policy_attachment", None, ADMIN, "create", "Allowed everything"),
        ("aws_s3_bucket_lifecycle_configuration", None, lifecycle(days=30), "create", SOONER),
        ("aws_s3_bucket_lifecycle_configuration", None, lifecycle("Disabled", days=30), *OK),
        ("aws_s3_bucket_lifecycle_configuration", lifecycle(), lifecycle(days=9), "update", SOONER),
        ("aws_s3_bucket_lifecycle_configuration", lifecycle(days=9), lifecycle(days=90), *OK),
        ("aws_db_instance", {"a": 1, "deletion_protection": False}, {"a": 2}, "update", ""),
        ("aws_db_instance", {"publicly_accessible": True}, {"a": 2}, "update", ""),
        ("aws_db_instance", None, {"publicly_accessible": False}, "create", ""),
    ],
)
def test_what_opens_bares_stops_or_shortens_a_resource_in_place_is_no_ok(
    type: str, before: Any, after: Any, action: str, said: str
) -> None:
    found = judged(type, before, after, action)
    assert [f.check for f in found if f.status == "warn"] == [said] * bool(said)


@pytest.mark.parametrize(
    ("type", "next"),
    [
        ("aws_rds_cluster", "databases/snapshot"),
        ("aws_dynamodb_table", "tables/backup"),
        ("aws_sqs_queue", ""),
    ],
)
def test_what_is_lost_leads_to_a_copy_of_its_own_kind(type: str, next: str) -> None:
    assert judged(type, {"name": "a"}, None, "delete")[0].next == next
