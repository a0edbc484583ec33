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
    return of({"actions": actions or ["update"], "before": before, "after": after}, type)


def of(change: dict[str, Any], type: str) -> Any:
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
STOPPED = "It, or a part of it, does nothing any more"
SOONER = "It deletes by age, sooner than before"
RULE = {"type": "ingress", "cidr_blocks": ["0.0.0.0/0"], "from_port": 22}
OPENED, BARED, LESS, MIGHTY = (
    "Opened to everyone",
    "What protects it is taken away",
    "What it keeps is kept for less time",
    "Allowed everything",
)
TLS = {"Bool": {"aws:SecureTransport": "true"}}
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
                ("aws_db_instance", "deletion_protection", True, False),
                ("aws_db_instance", "backup_retention_period", 7, 0),
                ("aws_s3_bucket_public_access_block", "block_public_policy", True, False),
                ("aws_lambda_function_url", "authorization_type", "AWS_IAM", "NONE"),
            )
        ),
        *(
            (type, {name: before}, {name: after}, "update", STOPPED)
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


def block(name: str, **said: Any) -> dict[str, Any]:
    return {name: [said]}


def statement(**said: Any) -> dict[str, str]:
    """A policy as a heredoc of somebody's, with a blank before it."""
    told = {"Effect": "Allow", "Resource": "*", **said}
    return {"policy": " " + json.dumps({"Statement": told})}


EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
NETWORK = json.dumps([{"Rules": [], "AllowFromPublic": True}])
AT_NIGHT = {"StringEquals": {"aws:UserAgent": "x"}}
ALWAYS = {"StringLike": {"aws:PrincipalArn": ["arn:aws:iam::1:*", "*"]}}
BUT_ONE = {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}
OF_US = {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
FOR_ALL = {"Principal": "*"}
PUBLIC = {"publicly_accessible": True}


@pytest.mark.parametrize(
    ("type", "before", "after", "said"),
    [
        ("aws_lambda_permission", None, {"principal": "*", "source_arn": None}, OPENED),
        ("aws_lambda_permission", None, {"principal": "*", "principal_org_id": "o-1"}, ""),
        ("aws_s3_bucket_policy", None, policy(NotPrincipal={"AWS": "1"}), OPENED),
        ("aws_s3_bucket_policy", None, policy(NotPrincipal={"AWS": "1"}, Effect="Deny"), ""),
        *(
            ("aws_sqs_queue_policy", None, policy(**FOR_ALL, Condition=condition), said)
            for condition, said in (
                *((open, OPENED) for open in (TLS, AT_NIGHT, ALWAYS, BUT_ONE)),
                (OF_US, ""),
                (TLS | OF_US, ""),
            )
        ),
        ("aws_sqs_queue_policy", policy(**FOR_ALL, Condition=OF_US), policy(**FOR_ALL), OPENED),
        ("aws_s3_bucket_policy", policy(**FOR_ALL), policy(**FOR_ALL, Action="s3:*"), OPENED),
        ("aws_s3_bucket_policy", policy(**FOR_ALL), policy(**FOR_ALL, Sid="named"), ""),
        ("aws_sns_topic_policy", None, statement(Action="sns:Publish", **FOR_ALL), OPENED),
        ("aws_cloudformation_stack", None, {"template_body": '{"A": {"Condition": "Is"}}'}, ""),
        ("aws_s3_bucket_acl", {"acl": "private"}, {"acl": "public-read"}, OPENED),
        ("aws_s3_bucket_acl", None, block("grant", grantee=[{"uri": EVERYBODY}]), OPENED),
        ("aws_db_snapshot", {"shared_accounts": []}, {"shared_accounts": ["all"]}, OPENED),
        ("aws_db_instance", {"publicly_accessible": False}, PUBLIC, OPENED),
        ("aws_db_instance", None, PUBLIC, OPENED),
        ("aws_opensearchserverless_security_policy", None, {"policy": NETWORK}, OPENED),
        ("google_storage_bucket_iam_member", None, {"member": "allUsers"}, OPENED),
        *(
            (
                "aws_eks_cluster",
                block("vpc_config", endpoint_public_access=not now, public_access_cidrs=cidrs),
                block("vpc_config", endpoint_public_access=now, public_access_cidrs=cidrs),
                said,
            )
            for now, cidrs, said in (
                (True, ["0.0.0.0/0"], OPENED),
                (True, ["192.0.2.1/32"], ""),
                (False, ["0.0.0.0/0"], ""),
            )
        ),
        ("aws_ec2_client_vpn_authorization_rule", None, {"target_network_cidr": "0.0.0.0/0"}, ""),
        ("aws_vpc_endpoint", None, policy(**FOR_ALL, Action="*"), ""),
        ("helm_release", {"values": ["v: 1\n- ::/0\n"]}, {"values": ["v: 2\n- ::/0\n"]}, ""),
        ("aws_instance", None, {"user_data": "ip route add 0.0.0.0/0 via 10.0.0.1"}, ""),
        ("aws_iam_policy", None, statement(NotAction="iam:*"), MIGHTY),
        ("aws_iam_policy", None, statement(Action=["s3:Get*", "*:*"]), MIGHTY),
        ("aws_iam_policy", None, statement(Action="s3:*"), ""),
        ("aws_lb", {"enable_deletion_protection": True}, {"enable_deletion_protection": 0}, ""),
        *(
            (type, {name: before}, {name: after}, BARED)
            for type, name, before, after in (
                ("aws_lb", "enable_deletion_protection", True, False),
                ("aws_cognito_user_pool", "deletion_protection", "ACTIVE", "INACTIVE"),
                ("aws_sqs_queue", "redrive_policy", '{"maxReceiveCount":3}', ""),
                ("aws_lambda_function", "dead_letter_config", [{"target_arn": "a"}], []),
            )
        ),
        *(
            ("aws_x", block(name, **{key: before, "kept": 1}), block(name, **{key: after}), said)
            for name, key, before, after, said in (
                ("point_in_time_recovery", "enabled", True, False, STOPPED),
                ("versioning_configuration", "status", "Enabled", "Suspended", BARED),
                ("metadata_options", "http_tokens", "required", "optional", BARED),
                ("spec", "replicas", "3", "0", STOPPED),
                ("lifecycle", "delete_after", 365, 7, LESS),
                ("ttl", "enabled", False, True, LESS),
                ("point_in_time_recovery", "enabled", False, True, ""),
            )
        ),
    ],
)
def test_who_is_let_in_and_what_is_lost_in_a_block_is_told_as_it_is(
    type: str, before: Any, after: Any, said: str
) -> None:
    found = judged(type, before, after, *([] if before else ["create"]))
    assert [f.check for f in found if f.status != "ok"] == [said] * bool(said)


@pytest.mark.parametrize("part", [True, [True]])
def test_addresses_that_only_the_apply_knows_are_unknown_and_of_a_way_out_nothing(
    part: Any,
) -> None:
    for direction, worst in (("ingress", "unknown"), ("egress", "ok")):
        after = {"type": direction} | ({} if part is True else {"cidr_blocks": [None]})
        change = {"actions": ["create"], "before": None, "after": after}
        change |= {"after_unknown": {"cidr_blocks": part}}
        assert of(change, "aws_security_group_rule").worst == worst


def test_what_is_marked_as_sensitive_is_judged_and_not_shown() -> None:
    after = {"cidr_blocks": ["0.0.0.0/0"], "type": "ingress"}
    change = {"actions": ["create"], "before": None, "after": after}
    found = of(change | {"after_sensitive": {"cidr_blocks": True}}, "aws_security_group_rule")
    assert found[1].check == OPENED
    # A map that is marked as a whole, as a Secret of Kubernetes' is, is understood, too.
    before, marks = {"data": {"user": "abc-12345"}}, {"data": True}
    change = {"actions": ["delete"], "before": before, "before_sensitive": marks, "after": None}
    assert of(change, "kubernetes_secret").worst == "critical"
