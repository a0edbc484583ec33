"""Items that are to end: what DynamoDB will never delete, since it is no number of seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opslib import tables
from opslib.core.connections.connection import Connection
from tests.conftest import PracticeLab

TARGET = "lab/image-caption-prod"


@pytest.fixture(autouse=True)
def whole(lab: PracticeLab) -> Iterator[None]:
    yield
    lab.reset()


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("end", "status"),
    [({"N": "1795887757801"}, "warn"), ({"S": "2027-01-01"}, "warn"), ({"N": "1795887757"}, "ok")],
)
def test_an_end_that_is_no_number_of_seconds_is_told(
    ops: Connection, end: dict[str, str], status: str
) -> None:
    name = ops.target["tables"]["captions"]["name"]
    item = {"PK": {"S": "user#try"}, "SK": {"S": "caption#1"}, "expires_at": end}
    ops.call("dynamodb", "put_item", TableName=name, Item=item)
    (found,) = tables.check_endings(ops)
    assert (found.status, str(end) in found.seen) == (status, status == "warn")
