"""One-time passwords: made when a step is applied, kept in a private file for whoever hands them
over.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from opslib.core import redaction
from opslib.core.checks.checks import keep
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding, Findings

_LENGTH = 20
# Without characters that are read wrongly over the telephone, or that a form, a shell or Aurora
# would not take.
_CLASSES = ("abcdefghijkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789", "-_+=.:#%")


def folder() -> Path:
    """`$OPSLIB_PRIVATE`, else ~/.opslib/passwords: never in the records."""
    return Path(os.environ.get("OPSLIB_PRIVATE") or Path.home() / ".opslib" / "passwords")


def generate(ops: Connection, label: str) -> str:
    """A new password, masked in every output; written to a file that only this user can read.

    A finding says where.
    """
    password = made()
    redaction.register(password, f"one-time password of {label}")
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() or c in "@.-" else "_" for c in label)
    path = folder() / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.txt"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password + "\n")
    seen, then = (
        f"in {path}, for you only",
        "handed over by another way than e-mail, then the file deleted",
    )
    keep(ops, Findings(Finding("ok", f"Password of {label}", seen, then, "made here")))
    return password


def made(length: int = _LENGTH, signs: str = _CLASSES[-1]) -> str:
    """Characters, with at least one lower-case and upper-case letter, digit and sign."""
    classes = (*_CLASSES[:-1], signs)
    chosen = [secrets.choice(characters) for characters in classes]
    chosen += [secrets.choice("".join(classes)) for _ in range(length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)
