"""Files that are either whole or not there, and folders that are writable or said not to be."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

from opslib.core import OpsError, removal

_PERIOD = re.compile(r"\d{4}(/\d\d)?")
_LEAST_FREE = 1_000_000  # bytes; a record with its page is rarely larger

_RESERVES, _RESERVED = 4, 131_072

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file would be larger than this process may write",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a part of the path is a file, not a folder",
}


def reason(exc: OSError | OpsError) -> str:
    """Why a file could not be written or read, in words."""
    if isinstance(exc, OpsError):
        return str(exc)
    return _REASONS.get(exc.errno or 0) or exc.strerror or str(exc)


def write_atomically(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader, or a crash, finds the old content or the new.

    Raises OSError, leaving the old.

    `durable` also waits until the content is on the disk.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        removal.put(temporary, path)
    except BaseException:
        removal.remove_file(temporary)
        raise


class Reserve:
    """Room for the end of a run, held from its start: bytes, and files that may be made."""

    def __init__(self, path: Path) -> None:
        self._files = [path.with_name(f".{path.stem}.reserve-{n}") for n in range(_RESERVES)]

    def hold(self) -> None:
        """Raises OSError when there is no room."""
        for file in self._files:
            file.write_bytes(bytes(_RESERVED))

    def release(self) -> None:
        for file in self._files:
            with contextlib.suppress(OSError):
                removal.remove_file(file)


def unwritable(folder: Path, exc: OSError) -> OpsError:
    """The error for a folder in which a record cannot even be begun."""
    return OpsError(
        f"Records cannot be written to {folder}: {reason(exc)}. Nothing was run. "
        "Make it writable, or set OPSLIB_RECORDS to another folder."
    )


def require_writable(folder: Path) -> None:
    """Make the folder, and prove that a file can be written in it.

    Raises OpsError with the reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
        free = shutil.disk_usage(folder).free
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    if free < _LEAST_FREE:
        raise OpsError(
            f"Records cannot be written to {folder}: only {free / 1e6:.1f} MB are free on that "
            "disk. Nothing was run. "
            "Free some space, or set OPSLIB_RECORDS to another folder."
        )


def sha256(path: Path) -> str:
    """The hash of a file's content. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names(folder: Path) -> list[str]:
    """Every file in a folder, relative to it. A link to a folder is followed where a year or month
    is kept elsewhere; any other is named like a file.
    """
    found, seen = [], set()
    for place, folders, inside in os.walk(folder, followlinks=True):
        here, at = os.stat(place), Path(place).relative_to(folder)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
        seen.add((here.st_dev, here.st_ino))
        links = [name for name in folders if Path(place, name).is_symlink()]
        strange = [name for name in links if not _PERIOD.fullmatch((at / name).as_posix())]
        folders[:] = [name for name in folders if name not in strange]
        found += [(at / name).as_posix() for name in (*inside, *strange)]
    return sorted(set(found))
