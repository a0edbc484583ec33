"""Removal: a folder goes only when it has our mark with the token that we expect in it.

A path, a pid or a name with a wildcard says nothing of what is there. So the folder itself is
opened, looked at and emptied through that handle: what takes its place meanwhile is not touched. No
other module of the library removes anything.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARKER = ".opslib-made"
_MARKED = re.compile(rb"Made by opslib, which may remove it\. ([0-9a-f]{32})\n")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def mark(folder: Path, token: str) -> str:
    """Marks a folder that was made by us; the token, 32 hexadecimal digits. Raises OSError."""
    write(folder / MARKER, f"Made by opslib, which may remove it. {token}\n")
    return token


def token_of(folder: Path) -> str | None:
    """The token in the mark of a folder of this user; None for every other folder, and a link."""
    with _opened(folder) as here:
        return None if here is None else _token(here)


def remove(folder: Path, token: str, *names: str) -> bool:
    """Removes all that is in a folder with that mark, or what is so named, in this order.

    Then the folder, when it is empty. False: it is not ours, and nothing was touched.
    """
    with _opened(folder) as here:
        if here is None or _token(here) != token:
            return False
        every = sorted(os.listdir(here), key=lambda name: name == MARKER)  # the mark goes last
        for name in names or every:
            _remove_from(here, name)
    with suppress(OSError):  # it removes an empty folder, and nothing else
        folder.rmdir()
    return True


def remove_file(path: Path) -> None:
    """Removes a plain file whose name the caller made itself; a link or a folder stays."""
    with suppress(FileNotFoundError):
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()


def remove_empty(folder: Path) -> None:
    """Removes a folder in which nothing is; any other, and a link, stays."""
    with suppress(OSError):
        folder.rmdir()


def put(made: Path, path: Path) -> None:
    """A whole file that the caller made takes the place of another plain file, or of none.

    Raises OSError: there is a folder or a link.
    """
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise FileExistsError(f"{path} is no plain file, so it is not written over")
    made.replace(path)


def write(path: Path, text: str) -> None:
    """Writes a file; a symbolic link in its place is not followed. Raises OSError."""
    with open(path, "w", encoding="utf-8", opener=no_links) as file:
        file.write(text)


def no_links(path: str, flags: int) -> int:
    """An opener for `open` that follows no symbolic link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def is_own(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Whether there is such a file or folder itself, no link to one, that belongs to this user."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return is_kind(found.st_mode) and found.st_uid == os.geteuid()


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """A handle of the folder itself; None for a link, another user's, what cannot be opened."""
    try:
        here = os.open(folder, _FOLDER)
    except OSError:
        yield None
        return
    try:
        yield here if os.fstat(here).st_uid == os.geteuid() else None
    finally:
        os.close(here)


def _token(here: int) -> str | None:
    with suppress(OSError):
        marker = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
        try:
            found = os.fstat(marker)
            own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
            told = _MARKED.fullmatch(os.read(marker, 200)) if own else None
            return told[1].decode() if told else None
        finally:
            os.close(marker)
    return None


def _remove_from(here: int, name: str) -> None:
    """One entry of an opened folder, with all below it; a link goes, not what it leads to."""
    with suppress(OSError):
        if "/" in name or name in ("", ".", ".."):
            return
        if stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
            shutil.rmtree(name, ignore_errors=True, dir_fd=here)
        else:
            os.unlink(name, dir_fd=here)
