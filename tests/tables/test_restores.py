"""A table restored into another: what may be its name."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber

from opslib import UsageError, tables
from opslib.core.connections.connection import Connection
from opslib.tables import backups

TARGET = "lab/image-caption-prod"


@pytest.mark.parametrize("name", ["x", "bad name!", "ü" * 5, "a" * 256])
def test_what_dynamodb_takes_for_no_name_is_refused_before_anything_is_made(
    ops: Connection, name: str
) -> None:
    with pytest.raises(UsageError, match="is no name of a table: 3 to 255"):
        tables.plan_restore(ops, "captions", to=name)
    assert tables.plan_restore(ops, "captions", to="captions-2.old").steps


def test_only_the_tables_own_scaling_is_asked_for(ops: Connection) -> None:
    of = backups._SETTINGS["auto-scaling"]
    asked = {"ServiceNamespace": "dynamodb", "ResourceIds": ["table/captions"]}
    with Stubber(ops.client("application-autoscaling")) as stub:
        target = {"MinCapacity": 5, "MaxCapacity": 40, "ResourceId": "table/captions"}
        target |= {"ServiceNamespace": "dynamodb", "RoleARN": "arn:aws:iam::1:role/r"}
        target |= {"ScalableDimension": "dynamodb:table:ReadCapacityUnits"}
        told = {"ScalableTargets": [target | {"CreationTime": ops.now()}]}
        stub.add_response("describe_scalable_targets", told, asked)
        assert backups._setting(ops, {"TableName": "captions"}, *of) == "5 to 40"
