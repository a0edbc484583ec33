"""The lab's own folders. Each holds a marker with the lab's token; without it nothing is removed.

A path or a token that a file names is never trusted: where the lab's folders are follows from the
folder that the operator chose, and a folder counts as ours when it is no symbolic link, belongs to
this user, and its marker is a plain file of ours with the same token.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from opslib.core.errors import OpsError

MARKER = ".opslib-lab"
# What the lab writes beside its marker into the folder that was chosen for it.
FILES = ("lab.json", "lab.json.part", "server.log")
LOCK = "lab.lock"
POSTGRES = "postgres"
_MARKED = re.compile(r"A folder of opslib's practice lab\. ([0-9a-f]{32})\n")


def claim(folder: Path) -> str:
    """Marks a folder as the lab's and returns its token; one that is marked keeps its own.

    The folder must be there. Raises OpsError when it holds what no lab put there.
    """
    require_ours(folder)
    token = token_of(folder)
    return token if token else _mark(folder, secrets.token_hex(16))


def renew(folder: Path) -> None:
    """Another token for a marked folder, and nothing of an earlier lab in the way of its files."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    _mark(folder, secrets.token_hex(16))


def _mark(folder: Path, token: str) -> str:
    write(folder / MARKER, f"A folder of opslib's practice lab. {token}\n")
    return token


def token_of(folder: Path) -> str | None:
    """The token of a folder that a lab of this user made; None for every other folder."""
    if not _is_own(folder, stat.S_ISDIR) or not _is_own(folder / MARKER, stat.S_ISREG):
        return None
    with suppress(OSError, ValueError):
        found = _MARKED.fullmatch((folder / MARKER).read_text(encoding="ascii"))
        return found[1] if found else None
    return None


def require_ours(folder: Path) -> None:
    """Raises OpsError for a folder that a lab must not use: a link, another user's, one in use.

    FileNotFoundError when it is not there.
    """
    folder.lstat()
    if folder.is_symlink():
        raise _refused(folder, "is a symbolic link")
    if not _is_own(folder, stat.S_ISDIR):
        raise _refused(folder, "is not a folder of this user")
    if token_of(folder) is not None:
        return
    for path in sorted(folder.iterdir()):
        known = path.name in (*FILES, MARKER, LOCK) and _is_own(path, stat.S_ISREG)
        if not known and os.path.lexists(path):
            raise _refused(folder, f"holds {path.name!r}, which no lab put there")


def make(folder: Path, token: str) -> Path:
    """A marked folder; others may reach what they know in it. Raises OpsError for one not ours."""
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o711)
    except FileExistsError:
        if token_of(folder) != token:
            raise _refused(folder, "was not made by this lab") from None
    _mark(folder, token)
    return folder


def outside(token: str) -> Path:
    """Where what another user must reach is put, when nobody else may enter the lab's folder."""
    place = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
    return Path(place) / f"opslib-lab-postgres-{token}"


def remove(folder: Path, token: str) -> None:
    """Removes a folder with all that is in it, when its marker has the token. Else does nothing."""
    if token_of(folder) == token:
        shutil.rmtree(folder, ignore_errors=True)


def remove_files(folder: Path) -> None:
    """Removes what the lab put into the marked folder, and the folder if nothing else is in it."""
    if token_of(folder) is None:
        return
    for name in (*FILES, MARKER, LOCK):  # the lock last: until then everybody else waits for it
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def write(path: Path, text: str) -> None:
    """Writes a file of the lab; a symbolic link in its place is not followed. Raises OSError."""
    with open(path, "w", encoding="utf-8", opener=no_links) as file:
        file.write(text)


def no_links(path: str, flags: int) -> int:
    """An opener for `open` that follows no symbolic link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_own(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Whether there is such a file or folder itself, no link to one,
    and it belongs to this user.
    """
    try:
        found = path.lstat()
    except OSError:
        return False
    return is_kind(found.st_mode) and found.st_uid == os.geteuid()


def _refused(folder: Path, why: str) -> OpsError:
    return OpsError(
        f"The lab cannot use its folder {folder}: it {why}. Nothing was changed in it. "
        "Set OPSLIB_LAB_DIR to a folder that is empty or not there yet."
    )
