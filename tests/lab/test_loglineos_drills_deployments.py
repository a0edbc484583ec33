"""loglineos's drills of deployments: each does what it says,
and leaves nothing when it is mended.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from opslib import connect
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import value as sql_value
from opslib.deployments import states

KEY, TARGET = "loglineos-production", "lab/loglineos-production"
PENDING, DRIFT = "migration-pending", "infrastructure-drift"
FACTS = {
    "bucket": "loglineos-terraform-state",
    "plan": "production/plan.json",
    "state": "production/terraform.tfstate",
}
MIGRATION = "loglineos-db-migration-production"


@pytest.fixture(scope="module")
def ops(lab: Any) -> Connection:
    return connect(TARGET)


def plan(ops: Connection) -> dict[str, Any]:
    body = ops.call("s3", "get_object", Bucket=FACTS["bucket"], Key=FACTS["plan"])["Body"].read()
    found: dict[str, Any] = json.loads(body)
    return found


def opened(ops: Connection) -> list[int]:
    """Ports of the database's security group that are open to everybody."""
    instance = ops.call(
        "rds", "describe_db_instances", DBInstanceIdentifier="loglineos-ledger-production"
    )["DBInstances"][0]
    group = instance["VpcSecurityGroups"][0]["VpcSecurityGroupId"]
    rules = ops.call("ec2", "describe_security_groups", GroupIds=[group])["SecurityGroups"][0][
        "IpPermissions"
    ]
    return [
        r["FromPort"] for r in rules if any(each["CidrIp"] == "0.0.0.0/0" for each in r["IpRanges"])
    ]


def head(ops: Connection) -> str:
    return str(sql_value(ops, "SELECT max(version) FROM ledger.schema_migrations"))


def schema_version(ops: Connection) -> str:
    found = ops.call("lambda", "get_function_configuration", FunctionName=MIGRATION)
    return str(found["Environment"]["Variables"]["SCHEMA_VERSION"])


def test_both_at_once_are_taken_back_in_any_order(lab: Any) -> None:
    before = lab.state(KEY)
    with lab.broken(PENDING, KEY):
        with lab.broken(DRIFT, KEY):
            pass
        assert lab.state(KEY) != before
    assert lab.state(KEY) == before


def test_a_security_group_is_really_open_and_the_plan_tells_of_it(
    lab: Any, ops: Connection
) -> None:
    quiet = plan(ops)
    assert (opened(ops), "resource_drift" in quiet) == ([], False)
    assert {tuple(change["change"]["actions"]) for change in quiet["resource_changes"]} == {
        ("no-op",)
    }
    with lab.broken(DRIFT, KEY):
        told = plan(ops)
        assert opened(ops) == [5432]
        assert [each["address"] for each in told["resource_drift"]] == [
            "module.network.aws_security_group.database"
        ]
        replaced = {
            c["address"]: c for c in told["resource_changes"] if "delete" in c["change"]["actions"]
        }
        assert set(replaced) == {"aws_db_instance.ledger"}
        assert told["timestamp"] > quiet["timestamp"]
    assert (opened(ops), plan(ops)) == ([], quiet)


def test_a_group_that_was_closed_meanwhile_stays_closed(lab: Any, ops: Connection) -> None:
    with lab.broken(DRIFT, KEY):
        instance = ops.call(
            "rds", "describe_db_instances", DBInstanceIdentifier="loglineos-ledger-production"
        )["DBInstances"][0]
        rule = {
            "IpProtocol": "tcp",
            "FromPort": 5432,
            "ToPort": 5432,
            "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        }
        group = instance["VpcSecurityGroups"][0]["VpcSecurityGroupId"]
        ops.call("ec2", "revoke_security_group_ingress", GroupId=group, IpPermissions=[rule])
    assert opened(ops) == []


def test_the_plan_holds_the_password_in_clear_text_marked_as_terraform_marks_it(
    lab: Any, ops: Connection
) -> None:
    password = ops.secret("loglineos-db-production")["password"]
    database = next(
        c for c in plan(ops)["resource_changes"] if c["address"] == "aws_db_instance.ledger"
    )
    assert database["change"]["before"]["password"] == password
    assert database["change"]["before_sensitive"] == {"password": True}


def test_the_state_names_what_stands_in_the_lab(lab: Any, ops: Connection) -> None:
    body = ops.call("s3", "get_object", Bucket=FACTS["bucket"], Key=FACTS["state"])["Body"].read()
    held = {
        (r["type"], r["name"]): r["instances"][0]["attributes"]
        for r in json.loads(body)["resources"]
    }
    instance = ops.call(
        "rds", "describe_db_instances", DBInstanceIdentifier="loglineos-ledger-production"
    )["DBInstances"][0]
    assert held["aws_db_instance", "ledger"]["arn"] == instance["DBInstanceArn"]
    loader = ops.call(
        "lambda", "get_function_configuration", FunctionName="loglineos-stage0-loader-production"
    )
    assert held["aws_lambda_function", "loader"]["memory_size"] == loader["MemorySize"]
    alarms = {a["AlarmName"] for a in ops.pages("cloudwatch", "describe_alarms", "MetricAlarms[]")}
    assert held["aws_cloudwatch_metric_alarm", "stage0"]["alarm_name"] in alarms


def test_five_applies_are_kept_as_versions_in_the_past(lab: Any, ops: Connection) -> None:
    found = [s for s in states.versions(ops, 10) if isinstance(s, states.State)]
    assert [s.serial for s in found] == sorted((s.serial for s in found), reverse=True)
    assert len(found) == 5
    assert len({s.lineage for s in found}) == 1
    assert [s.written for s in found] == sorted((s.written for s in found), reverse=True)
    assert (ops.now() - found[0].written).days >= 2


def test_the_migration_that_nobody_ran_is_of_the_deployed_function(
    lab: Any, ops: Connection
) -> None:
    assert schema_version(ops) == head(ops)
    with lab.broken(PENDING, KEY):
        assert (schema_version(ops), head(ops)) == ("0008", "0007")
        assert ops.call("lambda", "invoke", FunctionName=MIGRATION, Payload={})["Payload"][
            "applied"
        ] == ["0008"]
        assert head(ops) == "0008"
    assert schema_version(ops) == head(ops) == "0007"
