"""Heads of the chain where who writes records cannot change them: S3 with Object Lock.

`OPSLIB_ANCHOR=s3://bucket/prefix`, an object a head, named by its number. It is put only where none
is (`If-None-Match`), and locked in compliance mode: nobody, root included, removes or overwrites
that version until then. Credentials and endpoint are papermill's, as those of records in S3.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from opslib.core import Refused, UsageError
from opslib.records import index
from opslib.records.copies import s3, translated
from opslib.records.facts import who

LOCK_DAYS = 400
_THERE = ("PreconditionFailed", "ConditionalRequestConflict")
_NO_LOCK = ("ObjectLockConfigurationNotFoundError", "InvalidRequest")


@dataclass(frozen=True)
class Anchor:
    """`head`: number:hash; `until`: when the lock ends; `new`: it was put now."""

    head: str
    where: str
    until: datetime
    new: bool


def place() -> str:
    """`s3://bucket/prefix`; empty when there are no anchors. Raises UsageError."""
    given = os.environ.get("OPSLIB_ANCHOR", "").rstrip("/")
    if given and not given.startswith("s3://"):
        raise UsageError(f"OPSLIB_ANCHOR={given}: an anchor is kept in s3://bucket/prefix.")
    return given


def anchor(days: int = LOCK_DAYS) -> Anchor:
    """Put the head of the chain there, locked for so long; or find it there.

    Raises UsageError (no place is named), Refused (another head of that number is there, or the
    bucket has no Object Lock), OpsError.
    """
    if not place():
        raise UsageError("OPSLIB_ANCHOR names no place. Set it to s3://bucket/prefix.")
    number, digest = index.last_seal()
    if not number:
        raise Refused("The chain is empty: there is no head to anchor.")
    head, until = f"{number}:{digest}", datetime.now(UTC) + timedelta(days=days)
    text = f"{head}  # {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {who()}\n"
    new = _put(_key(number), text, until)
    there = _read(_key(number), None)
    if there != head:
        raise Refused(
            f"{place()} holds another head of number {number}: {there}; this chain has {head}. "
            "The index was altered or made again since. Look: opslib records verify."
        )
    with translated(f"The anchors in {place()} cannot be looked at"):
        found = _client().head_object(Bucket=_bucket(), Key=_key(number))
    if found.get("ObjectLockMode") != "COMPLIANCE":
        raise Refused(f"{_where(number)} is there and not locked, so it can be removed: no anchor.")
    return Anchor(head, _where(number), found["ObjectLockRetainUntilDate"], new)


def _put(key: str, text: str, until: datetime) -> bool:
    """False when one is there."""
    from botocore.exceptions import ClientError

    locked = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    with translated(f"The anchors in {place()} cannot be put"):
        try:
            _client().get_object_lock_configuration(Bucket=_bucket())
            _client().put_object(
                Bucket=_bucket(), Key=key, Body=text.encode(), IfNoneMatch="*", **locked
            )
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code")
            if code in _NO_LOCK:
                raise Refused(
                    f"The bucket {_bucket()} has no Object Lock, so what is put there can be "
                    "removed. Nothing was put. Make a bucket with it (it also wants versioning)."
                ) from exc
            if code not in _THERE:
                raise
            return False
    return True


def heads() -> list[str]:
    """Every head that was ever put there, also one that was hidden since. Raises OpsError."""
    with translated(f"The anchors in {place()} cannot be listed"):
        pages = _client().get_paginator("list_object_versions")
        found = [
            (each["Key"], each["VersionId"])
            for page in pages.paginate(Bucket=_bucket(), Prefix=_key(None))
            for each in page.get("Versions", ())
        ]
    with ThreadPoolExecutor(8) as pool:
        return sorted(set(pool.map(lambda each: _read(*each), found)))


def _read(key: str, version: str | None) -> str:
    one = {"VersionId": version} if version else {}
    with translated(f"The anchors in {place()} cannot be read"):
        body = _client().get_object(Bucket=_bucket(), Key=key, **one)["Body"].read()
    return str(body.decode(errors="replace")).partition("#")[0].strip()


def _bucket() -> str:
    return place().removeprefix("s3://").partition("/")[0]


def _key(number: int | None) -> str:
    prefix = place().removeprefix("s3://").partition("/")[2]
    return f"{prefix}/head-".lstrip("/") + ("" if number is None else f"{number:010}")


def _where(number: int) -> str:
    return f"s3://{_bucket()}/{_key(number)}"


def _client() -> Any:
    return s3().meta.client
