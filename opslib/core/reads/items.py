"""Items of DynamoDB tables, by the keys that they have and nothing else of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

from opslib.core.connections.connection import Connection
from opslib.core.errors import UsageError
from opslib.core.tables import Json

_UNIT = 4096  # bytes that a unit of reading stands for; twice that where it is not consistent


class Items(NamedTuple):
    """Keys of items in DynamoDB's JSON, and bytes at most: by the capacity that reading took."""

    keys: list[Json]
    size: int


def items_of(ops: Connection, table: str, value: str, index: str = "") -> Items:
    """Every item of a partition of a table, or of one of its indexes; to the last page.

    DynamoDB Query, of the table itself consistent, of an index as far as it has come. Raises
    NotFound, UsageError (no such index, a key that is no text and no number).
    """
    described = ops.call("dynamodb", "describe_table", TableName=table)["Table"]
    own = [each["AttributeName"] for each in described["KeySchema"]]
    partition = _partition(described, index)
    kinds = {e["AttributeName"]: e["AttributeType"] for e in described["AttributeDefinitions"]}
    if kinds[partition] not in ("S", "N"):
        raise UsageError(f"{partition} of {table} is binary: its items cannot be named by a text.")
    names = {f"#k{at}": name for at, name in enumerate([partition, *own])}
    found = ops.pages(
        "dynamodb",
        "query",
        "[{keys: Items, units: ConsumedCapacity.CapacityUnits}]",
        TableName=table,
        KeyConditionExpression="#k0 = :value",
        ExpressionAttributeValues={":value": {kinds[partition]: value}},
        ProjectionExpression=", ".join([*names][1:]),
        ExpressionAttributeNames=names,
        ReturnConsumedCapacity="TOTAL",
        **({"IndexName": index} if index else {"ConsistentRead": True}),
    )
    # an index may name one twice while it is written
    keys = {named(key): key for page in found for key in page["keys"]}
    units = sum(page["units"] or 0 for page in found)
    return Items([*keys.values()], int(units * _UNIT * (2 if index else 1)))


def _partition(described: Json, index: str) -> str:
    """The attribute that a table's partitions, or an index's, are told apart by."""
    schemas = {"": described["KeySchema"]}
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        schemas |= {each["IndexName"]: each["KeySchema"] for each in described.get(kind, ())}
    if index not in schemas:
        known = ", ".join(filter(None, schemas)) or "none"
        raise UsageError(f"{described['TableName']} has no index {index!r}. There are: {known}.")
    return str(next(e["AttributeName"] for e in schemas[index] if e["KeyType"] == "HASH"))


def named(key: Json) -> str:
    """A key as one text."""
    return json.dumps(key, sort_keys=True, default=repr)


def digest_of(keys: Iterable[Json]) -> str:
    """Which items they are, in whatever order."""
    text = "\0".join(sorted(map(named, keys)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
