"""Records in S3: `OPSLIB_RECORDS=s3://bucket/prefix`, put there when begun and when sealed.

What is in S3 counts; the records folder of the project is then where runs are at work, and a copy
of what was read.
papermill's own S3 client is used, so its credentials and endpoint are the same as for papermill's
notebooks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opslib.core import OpsError, paths
from opslib.records import files


def base() -> str:
    """`s3://bucket/prefix`, or nothing when records are on this disk only."""
    given = os.environ.get("OPSLIB_RECORDS", "")
    return given.rstrip("/") if given.startswith("s3://") else ""


def push(path: Path) -> None:
    """Put a record there, with its page and what is beside it. Raises OpsError."""
    beside = path.with_suffix(".spill").glob("*")
    for file in (path, path.with_suffix(".html"), *sorted(beside)):
        if base() and file.is_file():
            with _translated("kept", file):
                _object(file).put(Body=file.read_bytes(), ACL="bucket-owner-full-control")


def fetch_missing(path: Path) -> None:
    """Get a file that is not on this disk. Raises OpsError."""
    if base() and not path.exists():
        content = _content(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, content)


def sha256(path: Path) -> str:
    """The hash of a record's file where it counts: in S3 when records are there.

    Raises OSError, OpsError.
    """
    return hashlib.sha256(_content(path)).hexdigest() if base() else files.sha256(path)


def _content(path: Path) -> bytes:
    with _translated("read", path):
        return bytes(_object(path).get()["Body"].read())


def _object(path: Path) -> Any:
    from papermill.s3 import S3

    bucket, _, prefix = base().removeprefix("s3://").partition("/")
    key = "/".join(filter(None, (prefix, path.relative_to(paths.records()).as_posix())))
    return S3().s3.Object(bucket, key)


@contextmanager
def _translated(done: str, path: Path) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as exc:
        raise OpsError(
            f"{path.name} cannot be {done} in {base()}: {exc}. "
            "Check the bucket, and the credentials that papermill would use."
        ) from exc
