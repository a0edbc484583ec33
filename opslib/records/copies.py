"""Records in S3: `OPSLIB_RECORDS=s3://bucket/prefix`, put there when begun and when sealed.

What is in S3 counts; the records folder of the project is then where runs are at work, and a copy
of what was read.
papermill's own S3 client is used, so its credentials and endpoint are the same as for papermill's
notebooks.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opslib.core import Json, OpsError, paths, removal
from opslib.records import files
from opslib.records.records import RUNNING

EVENTS = "incidents"


def base() -> str:
    """`s3://bucket/prefix`, or nothing when records are on this disk only."""
    given = os.environ.get("OPSLIB_RECORDS", "")
    return given.rstrip("/") if given.startswith("s3://") else ""


def where() -> str:
    """The place that counts, as one reads it."""
    return base() or str(paths.records())


def names() -> list[str]:
    """Every file in the place that counts, relative to it. Raises OpsError."""
    if not base():
        return files.names(paths.records())
    bucket, _, prefix = _address()
    with translated(f"{paths.records().name} cannot be listed in {base()}"):
        found = s3().Bucket(bucket).objects.filter(Prefix=f"{prefix}/" if prefix else "")
        return sorted(each.key.removeprefix(prefix).lstrip("/") for each in found)


def records() -> list[str]:
    """The names of the files of records, oldest first."""
    return [name for name in names() if re.fullmatch(r"\d{4}/\d\d/[^/.][^/]*\.ipynb", name)]


def events() -> list[str]:
    """The names of the files of incidents' events."""
    return [
        name for name in names() if re.fullmatch(EVENTS + r"/[\w-]+/events/\d+-\w+\.json", name)
    ]


def said(name: str) -> Json:
    """What a record's file says of its run. Raises OSError, ValueError, OpsError."""
    path = paths.records() / name
    try:
        return dict(json.loads(content(path))["metadata"]["opslib"])
    except (KeyError, TypeError) as exc:
        raise ValueError("it is no record") from exc


def is_ended(name: str) -> bool:
    """Is that the file of a run that has ended? One that cannot be read counts as such."""
    try:
        return said(name).get("outcome") != RUNNING
    except (OSError, ValueError):
        return True


def files_of(path: Path) -> list[Path]:
    """The file of a record, its page, and what is beside it on this disk."""
    return [path, path.with_suffix(".html"), *sorted(path.with_suffix(".spill").glob("*"))]


def push(path: Path) -> None:
    """Put a record there, with its page and what is beside it. Raises OpsError."""
    for file in files_of(path):
        if base() and file.is_file():
            with translated(f"{file.name} cannot be kept in {base()}"):
                _object(file).put(Body=file.read_bytes(), ACL="bucket-owner-full-control")


def fetch_missing(path: Path) -> None:
    """Get a file that is not on this disk. Raises OpsError."""
    if base() and not path.exists():
        found = content(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(path, found)


def remove(path: Path) -> None:
    """A file of a record that is not kept any longer, there and on this disk. Raises OpsError."""
    if base():
        with translated(f"{path.name} cannot be removed in {base()}"):
            _object(path).delete()
    removal.remove_file(path)


def sha256(path: Path) -> str:
    """The hash of a record's file where it counts: in S3 when records are there.

    Raises OSError, OpsError.
    """
    return hashlib.sha256(content(path)).hexdigest() if base() else files.sha256(path)


def content(path: Path) -> bytes:
    """A file of a record where it counts. Raises OSError, OpsError."""
    if not base():
        return path.read_bytes()
    with translated(f"{path.name} cannot be read in {base()}"):
        return bytes(_object(path).get()["Body"].read())


def _object(path: Path) -> Any:
    bucket, _, prefix = _address()
    key = "/".join(filter(None, (prefix, path.relative_to(paths.records()).as_posix())))
    return s3().Object(bucket, key)


def _address() -> tuple[str, str, str]:
    return base().removeprefix("s3://").partition("/")


def s3() -> Any:
    """papermill's own."""
    from papermill.s3 import S3

    return S3().s3


@contextmanager
def translated(failed: str) -> Iterator[None]:
    """Raises OpsError with what failed, and why."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as exc:
        raise OpsError(
            f"{failed}: {exc}. Check the bucket, and the credentials that papermill would use."
        ) from exc
