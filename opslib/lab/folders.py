"""The lab's own folders. Each holds a marker with the lab's token; without it nothing is removed.

A path or a token that a file names is never trusted: where the lab's folders are follows from the
folder that the operator chose, and a folder counts as ours when it is no symbolic link, belongs to
this user, and its marker is a plain file of ours with the same token.
"""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from opslib.core import removal
from opslib.core.errors import OpsError
from opslib.core.removal import MARKER, no_links, remove, token_of, write

__all__ = [
    "FILES",
    "LOCK",
    "MARKER",
    "POSTGRES",
    "claim",
    "make",
    "no_links",
    "outside",
    "remove",
    "remove_files",
    "renew",
    "require_ours",
    "token_of",
    "write",
]

# What the lab writes beside its marker into the folder that was chosen for it.
FILES = ("lab.json", "lab.json.part", "server.log")
LOCK = "lab.lock"
POSTGRES = "postgres"


def claim(folder: Path) -> str:
    """Marks a folder as the lab's and returns its token; one that is marked keeps its own.

    The folder must be there. Raises OpsError when it holds what no lab put there.
    """
    require_ours(folder)
    token = token_of(folder)
    return token if token else removal.mark(folder, secrets.token_hex(16))


def renew(folder: Path) -> None:
    """Another token for a marked folder, and nothing of an earlier lab in the way of its files."""
    if (token := token_of(folder)) is not None:
        remove(folder, token, *FILES)
    removal.mark(folder, secrets.token_hex(16))


def require_ours(folder: Path) -> None:
    """Raises OpsError for a folder that a lab must not use: a link, another user's, one in use.

    FileNotFoundError when it is not there.
    """
    folder.lstat()
    if folder.is_symlink():
        raise _refused(folder, "is a symbolic link")
    if not removal.is_own(folder, stat.S_ISDIR):
        raise _refused(folder, "is not a folder of this user")
    if token_of(folder) is not None:
        return
    for path in sorted(folder.iterdir()):
        known = path.name in (*FILES, MARKER, LOCK) and removal.is_own(path, stat.S_ISREG)
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
    removal.mark(folder, token)
    return folder


def outside(token: str) -> Path:
    """Where what another user must reach is put, when nobody else may enter the lab's folder."""
    place = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
    return Path(place) / f"opslib-lab-postgres-{token}"


def remove_files(folder: Path) -> None:
    """Removes what the lab put into the marked folder, and the folder if nothing else is in it."""
    if (token := token_of(folder)) is not None:
        # the lock last: until then everybody else waits for it
        remove(folder, token, *FILES, MARKER, LOCK)


def _refused(folder: Path, why: str) -> OpsError:
    return OpsError(
        f"The lab cannot use its folder {folder}: it {why}. Nothing was changed in it. "
        "Set OPSLIB_LAB_DIR to a folder that is empty or not there yet."
    )
