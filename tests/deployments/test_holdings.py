"""What is destroyed with data in it is told by its exact type; what leads out lets nobody in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from opslib.deployments.findings import judged, lets_all_in
from opslib.deployments.plans import Change, TerraformPlan
from opslib.deployments.values import words


def change(type: str, kind: str = "destroy", before: Any = None, after: Any = None) -> Change:
    return Change(f"{type}.x", type, kind, "", before or {"id": "x"}, after or {}, [])


def planned(*changes: Change) -> TerraformPlan:
    made = datetime(2026, 11, 26, tzinfo=UTC)
    return TerraformPlan("p.json", made, [], list(changes), {}, "1.9.8", False, True, [], False)


@pytest.mark.parametrize("kind", ["destroy", "replace"])
@pytest.mark.parametrize(
    "type",
    [
        "aws_s3_bucket",
        "aws_db_instance",
        "aws_rds_cluster",
        "aws_dynamodb_table",
        "aws_efs_file_system",
        "aws_ebs_volume",
        "aws_kms_key",
        "aws_fsx_ontap_volume",
        "google_bigquery_dataset",
        "azurerm_mssql_database",
        "kubernetes_persistent_volume_claim",
    ],
)
def test_what_holds_data_is_lost_with_all_that_it_holds(type: str, kind: str) -> None:
    first = judged(planned(change(type, kind)))[0]
    assert first.status == "critical"
    assert "DESTROYED with all that it holds" in first.seen


@pytest.mark.parametrize("kind", ["destroy", "replace"])
@pytest.mark.parametrize(
    "type",
    [
        "aws_s3_bucket_lifecycle_configuration",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_cors_configuration",
        "aws_rds_cluster_instance",
        "aws_rds_cluster_parameter_group",
        "aws_rds_cluster_role_association",
        "aws_db_instance_role_association",
        "aws_dynamodb_table_replica",
        "aws_efs_file_system_policy",
        "aws_kms_key_policy",
        "aws_cognito_user_pool_client",
        "aws_elasticache_cluster_x",
        "aws_sqs_queue_redrive_policy",
        "aws_msk_cluster_policy",
        "aws_fsx_of_tomorrow",
        "google_storage_bucket_iam_member",
        "azurerm_storage_account_network_rules",
        "other_db_instance",
        "s3_bucket",
    ],
)
def test_of_other_types_no_data_is_claimed(type: str, kind: str) -> None:
    found = judged(planned(change(type, kind)))
    assert found[0].status == "critical"
    assert f"{type}.x ({kind})" in found[0].seen
    assert "holds" not in " ".join(each.seen for each in found)


def test_every_type_of_the_table_has_a_provider_and_small_letters() -> None:
    """The provider is what stands before the first _ of a type."""
    known = words("holding")
    assert sum(len(names.split()) for names in known.values()) > 150
    assert all(names == names.lower() for names in known.values())
    assert not any("_" in provider for provider in known)


def test_what_is_told_of_a_plan_is_what_actions_come_to() -> None:
    """Each kind that an action comes to is told, or nothing is to be told of it."""
    assert {*words("actions").values()} - {*words("told")} == {"nothing", "read"}


OPEN = "0.0.0.0/0"


@pytest.mark.parametrize(
    ("type", "after", "opens"),
    [
        ("aws_security_group", {"ingress": [{"cidr_blocks": [OPEN]}]}, True),
        ("aws_security_group", {"egress": [{"cidr_blocks": [OPEN]}]}, False),
        ("aws_security_group_rule", {"type": "ingress", "cidr_blocks": [OPEN]}, True),
        ("aws_security_group_rule", {"type": "egress", "cidr_blocks": [OPEN]}, False),
        ("aws_vpc_security_group_ingress_rule", {"cidr_ipv4": OPEN}, True),
        ("aws_vpc_security_group_egress_rule", {"cidr_ipv4": OPEN}, False),
        ("aws_network_acl_rule", {"egress": True, "cidr_block": OPEN}, False),
        ("aws_network_acl_rule", {"egress": False, "cidr_block": OPEN}, True),
        ("aws_route", {"destination_cidr_block": OPEN, "nat_gateway_id": "nat-1"}, False),
        ("aws_route_table", {"route": [{"cidr_block": OPEN, "nat_gateway_id": "n"}]}, False),
        ("aws_eks_cluster", {"vpc_config": [{"public_access_cidrs": ["::/0"]}]}, True),
        ("google_compute_firewall", {"direction": "EGRESS", "source_ranges": [OPEN]}, False),
        ("aws_security_group", {"ingress": [{"cidr_blocks": ["10.1.0.0/16"] * 40 + [OPEN]}]}, True),
    ],
)
def test_only_a_way_in_lets_every_address_in(type: str, after: Any, opens: bool) -> None:
    before: dict[str, Any] = {
        key: [] if isinstance(value, list) else None for key, value in after.items()
    }
    before |= {key: after[key] for key in ("type", "egress", "direction") if key in before}
    if isinstance(after.get("egress"), list):
        before["egress"] = []
    assert lets_all_in(change(type, "update", before, after)) is opens
