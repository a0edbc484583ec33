"""Objects of buckets as they are, and items of DynamoDB's tables by the keys that they have."""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from opslib.core.connections import calls
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, Refused, UsageError
from opslib.core.strict_yaml import beside
from opslib.core.tables import Frame, Json, dtypes, frame

OBJECTS = dtypes("""
    key        str
    size_bytes int64
    modified   utc
    etag       str
""")
ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # no version of these can be read before it is thawed
_KEPT = beside(__file__, "objects")
_MOST = 200_000  # versions that are held at once
_UNIT = 4096  # bytes that a unit of reading stands for; twice that where it is not consistent


class Version(NamedTuple):
    """A version of an object, or a delete marker, as ListObjectVersions tells of it."""

    key: str
    id: str
    modified: datetime
    latest: bool
    size: int | None  # none: a delete marker
    etag: str
    storage: str
    thawed: datetime | None  # until when an archived one can be read

    @property
    def marker(self) -> bool:
        return self.size is None


def list_versions(ops: Connection, bucket: str, named: str) -> list[Version]:
    """Every version and marker of a key, or of all that is below a prefix; to the last page.

    A name that is a key means that key alone, unless it ends with a slash (a "folder" that the
    console made). Keys in order, of each the newest first: by the second, which is all that S3
    tells. Raises Refused: more than can be held.
    """
    shape = "Key, VersionId, LastModified, IsLatest, Size, ETag || '', StorageClass || ''"
    shape = f"[Versions, DeleteMarkers][].[{shape}, RestoreStatus.RestoreExpiryDate]"
    asked = {"Bucket": bucket, "Prefix": named, "OptionalObjectAttributes": ["RestoreStatus"]}
    rows = ops.pages("s3", "list_object_versions", shape, limit=_MOST + 1, **asked)
    if len(rows) > _MOST:
        raise Refused(f"{bucket} has more than {_MOST:,} versions below {named!r}: name less.")
    made = (Version(*row) for row in rows)
    found = sorted(made, key=lambda each: (each.key, not each.latest, -each.modified.timestamp()))
    return [each for each in found if each.key == named and not named.endswith("/")] or found


def versions_at(ops: Connection, bucket: str, at: str) -> list[Version]:
    """The same of a prefix that ends with a slash, else of a key and no other that begins so."""
    found = list_versions(ops, bucket, at)
    return [each for each in found if at.endswith("/") or each.key == at]


def list_objects(ops: Connection, bucket: str, prefix: str) -> Frame:
    """Every object under a prefix, to the last page (S3 ListObjectsV2). Columns: OBJECTS.

    `bucket` is AWS's name.
    """
    rows = "Contents[].{key: Key, size_bytes: Size, modified: LastModified, etag: ETag}"
    return frame(ops.pages("s3", "list_objects_v2", rows, Bucket=bucket, Prefix=prefix), OBJECTS)


def read_object(ops: Connection, bucket: str, key: str, version_id: str = "") -> Json:
    """An object, or one version of it, as S3 GetObject answers.

    Its `Body` is bytes, read to the end.
    """
    asked = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
    found = ops.call("s3", "get_object", **asked)
    with calls.errors("s3", "get_object", ops.where, asked):  # the network may fail half-way
        return found | {"Body": found["Body"].read()}


def properties(head: Json, content: bool = False) -> Json:
    """What one that takes its place is given, to be as it was. `content`: also what a copy has by
    itself.
    """
    names = _KEPT["set"] + _KEPT["content"] * content
    return {name: head[name] for name in names if head.get(name) not in (None, *ARCHIVES)}


def is_versioned(ops: Connection, bucket: str) -> bool:
    """Whether what is deleted or overwritten is kept as a version (S3 GetBucketVersioning)."""
    return versioning(ops, bucket) == "Enabled"


def versioning(ops: Connection, bucket: str) -> str:
    """Enabled, Suspended, or nothing where the bucket never kept versions."""
    return str(ops.call("s3", "get_bucket_versioning", Bucket=bucket).get("Status", ""))


def exists(ops: Connection, bucket: str) -> bool:
    """Whether the bucket is there (S3 HeadBucket). Denied raises NotAllowed: that is not absent."""
    try:
        ops.call("s3", "head_bucket", Bucket=bucket)
    except NotFound:
        return False
    return True


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


def named(key: Any) -> str:
    """A key, in whatever form, as one text."""
    return json.dumps(key, sort_keys=True, default=repr)


def digest_of(keys: Iterable[Any]) -> str:
    """Which items they are, or which versions, in whatever order."""
    text = "\0".join(sorted(map(named, keys)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
