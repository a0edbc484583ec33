"""The state of a target: it shows what was changed, and reading it changes nothing."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from opslib.lab.places import Place
from opslib.lab.snapshots import state
from opslib.lab.world import World


@pytest.fixture
def filled(aws: Any, place: Place, world: World) -> dict[str, str]:
    """One of each, made over HTTP."""
    name = f"state-{uuid.uuid4().hex[:8]}"
    code = io.BytesIO()
    zipfile.ZipFile(code, "w").close()
    if "state" not in [role.name for role in place.backend("iam").get_roles()]:
        place.client("iam").create_role(RoleName="state", AssumeRolePolicyDocument="{}")
    aws("lambda").create_function(
        FunctionName=name,
        Runtime="python3.12",
        Role=f"arn:aws:iam::{place.account}:role/state",
        Handler="m.h",
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"MODE": "one"}},
    )
    url = aws("sqs").create_queue(QueueName=name)["QueueUrl"]
    aws("sqs").send_message(QueueUrl=url, MessageBody="one")
    aws("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    aws("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    aws("s3").put_object(Bucket=name, Key="a", Body=b"one")
    pool = aws("cognito-idp").create_user_pool(PoolName=name)["UserPool"]["Id"]
    aws("cognito-idp").admin_create_user(
        UserPoolId=pool, Username="reader", MessageAction="SUPPRESS"
    )
    aws("secretsmanager").create_secret(Name=name, SecretString="one")
    database = name.replace("-", "_")
    place.client("rds").create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        DatabaseName=database,
        MasterUsername="state",
        MasterUserPassword="a-fine-password",
        ServerlessV2ScalingConfiguration={"MinCapacity": 1, "MaxCapacity": 2},
    )
    place.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        DBClusterIdentifier=name,
        DBInstanceClass="db.serverless",
        Engine="aurora-postgresql",
    )
    with place.database(database) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 1 AS id")
    aws("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="A",
        MetricName="B",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        Threshold=1,
        Period=60,
        Statistic="Sum",
    )
    return {"name": name, "url": url, "pool": pool, "database": database}


def change_row(aws: Any, place: Place, of: dict[str, str]) -> None:
    with place.database(of["database"]) as connection:
        connection.execute("UPDATE orders SET id = 2")


CHANGES: dict[str, Callable[[Any, Place, dict[str, str]], Any]] = {
    "lambda": lambda aws, place, of: aws("lambda").update_function_configuration(
        FunctionName=of["name"], Environment={"Variables": {"MODE": "two"}}
    ),
    "sqs": lambda aws, place, of: aws("sqs").send_message(QueueUrl=of["url"], MessageBody="two"),
    "s3": lambda aws, place, of: aws("s3").put_object(Bucket=of["name"], Key="a", Body=b"two"),
    "cognito": lambda aws, place, of: aws("cognito-idp").admin_disable_user(
        UserPoolId=of["pool"], Username="reader"
    ),
    "secrets": lambda aws, place, of: aws("secretsmanager").put_secret_value(
        SecretId=of["name"], SecretString="two"
    ),
    "rds": lambda aws, place, of: place.client("rds").create_db_cluster_snapshot(
        DBClusterIdentifier=of["name"], DBClusterSnapshotIdentifier=of["name"]
    ),
    "alarms": lambda aws, place, of: aws("cloudwatch").disable_alarm_actions(
        AlarmNames=[of["name"]]
    ),
    "sql": change_row,
}


@pytest.mark.some(3)
@pytest.mark.parametrize("part", list(CHANGES))
def test_a_change_shows_in_its_part_and_in_no_other(
    aws: Any, place: Place, filled: dict[str, str], part: str
) -> None:
    before = state(place)
    CHANGES[part](aws, place, filled)
    after = state(place)
    assert [name for name in before if before[name] != after[name]] == [part]


@pytest.mark.slow
def test_reading_changes_nothing(aws: Any, place: Place, filled: dict[str, str]) -> None:
    aws("sqs").receive_message(QueueUrl=filled["url"], VisibilityTimeout=0)
    aws("secretsmanager").get_secret_value(SecretId=filled["name"])
    before = state(place)
    assert state(place) == before
    message = place.backend("sqs").get_queue(filled["name"])._messages[0]
    assert (message.approximate_receive_count, message.visible) == (1, True)


@pytest.mark.slow
def test_no_secret_and_no_password_is_in_it(place: Place, filled: dict[str, str]) -> None:
    assert "a-fine-password" not in json.dumps(state(place))
    assert state(place)["secrets"][filled["name"]]["AWSCURRENT"] != "one"


def test_a_closed_database_is_shown_as_such(place: Place, filled: dict[str, str]) -> None:
    place.client("rds").stop_db_cluster(DBClusterIdentifier=filled["name"])
    assert state(place)["sql"][filled["database"]] is None
    with pytest.raises(psycopg.OperationalError):
        place.database(filled["database"])
