"""Objects of buckets as they are."""

from __future__ import annotations

from opslib.core import UTC_TIME, Connection, Frame, NotFound, frame
from opslib.core.connections import calls
from opslib.core.tables import Json

OBJECTS = {"key": "str", "size_bytes": "int64", "modified": UTC_TIME, "etag": "str"}


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


def is_versioned(ops: Connection, bucket: str) -> bool:
    """Whether what is deleted or overwritten is kept as a version (S3 GetBucketVersioning)."""
    return ops.call("s3", "get_bucket_versioning", Bucket=bucket).get("Status") == "Enabled"


def exists(ops: Connection, bucket: str) -> bool:
    """Whether the bucket is there (S3 HeadBucket). Denied raises NotAllowed: that is not absent."""
    try:
        ops.call("s3", "head_bucket", Bucket=bucket)
    except NotFound:
        return False
    return True
