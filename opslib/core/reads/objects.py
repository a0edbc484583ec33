"""Objects of buckets as they are."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from opslib.core.connections import calls
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, Refused
from opslib.core.tables import UTC_TIME, Frame, Json, frame

OBJECTS = {"key": "str", "size_bytes": "int64", "modified": UTC_TIME, "etag": "str"}
_MOST = 200_000  # versions that are held at once


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

    A name that is a key means that key alone. Keys in order, of each the newest first: by the
    second, which is all that S3 tells. Raises Refused: more than can be held.
    """
    shape = "{k: Key, v: VersionId, m: LastModified, l: IsLatest, s: Size, e: ETag, c: StorageClass"
    shape = f"[Versions, DeleteMarkers][].{shape}, t: RestoreStatus.RestoreExpiryDate}}"
    asked = {"Bucket": bucket, "Prefix": named, "OptionalObjectAttributes": ["RestoreStatus"]}
    rows = ops.pages("s3", "list_object_versions", shape, limit=_MOST + 1, **asked)
    if len(rows) > _MOST:
        raise Refused(f"{bucket} has more than {_MOST:,} versions below {named!r}: name less.")
    made = (
        Version(r["k"], r["v"], r["m"], r["l"], r["s"], r["e"] or "", r["c"] or "", r["t"])
        for r in rows
    )
    found = sorted(made, key=lambda each: (each.key, not each.latest, -each.modified.timestamp()))
    return [each for each in found if each.key == named] or found


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
