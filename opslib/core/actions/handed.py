"""A value that a person hands over for a secret: it stands in a private file, and nowhere else.

A plan names the file and when it was written, not a hash: that of a short value is guessed.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

from opslib.core import redaction
from opslib.core.actions import passwords
from opslib.core.actions.actions import Action, action
from opslib.core.actions.logins import PENDING, put_pending, version_of
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Refused, UsageError, after
from opslib.core.tables import Json
from opslib.core.text import decoded

_MOST_BYTES = 65_536  # of a secret


def made(length: int, sign: str) -> Json:
    """Stands for a value of letters, digits and a sign, made when the step is applied."""
    return {"made": length, "sign": sign}


def file(name: str) -> Json:
    """Stands for what is in a file of the private folder, or at a path.

    Raises UsageError (not there, no file), Refused (others may read it).
    """
    path = Path(os.path.abspath(passwords.folder() / Path(name).expanduser()))
    try:
        about = path.lstat()
    except OSError as exc:
        raise UsageError(f"value_file: {path}: {exc.strerror}. {how()}") from exc
    if not stat.S_ISREG(about.st_mode):
        raise UsageError(f"value_file: {path} is no plain file. {how()}")
    if hasattr(os, "getuid") and (about.st_mode & 0o077 or about.st_uid != os.getuid()):
        raise Refused(
            f"value_file: others may read {path} (mode {stat.S_IMODE(about.st_mode):04o}), so its "
            f"value may be known. If nobody else is on this machine: chmod 600 {path}. "
            "Nothing was changed."
        )
    return {"file": str(path), "written": about.st_mtime_ns}


def how() -> str:
    """How a person hands a value over."""
    at = passwords.folder()
    return (
        f"In a terminal, also one of JupyterLab: (umask 077; mkdir -p {at}; cat > {at}/new), paste "
        "the value, Enter, Ctrl-D; then value_file=new. So it is in no history and no record."
    )


def value(source: Json, label: str) -> str:
    """What `made` or `file` stands for, masked in every output from here on.

    Raises Refused (the file is another by now), UsageError (no text, empty).
    """
    if "made" in source:
        text = passwords.made(source["made"], source["sign"])
    else:
        if file(source["file"]) != source:
            raise Refused(f"{source['file']} was written since it was planned: preview again.")
        text = _text(Path(source["file"]))
    redaction.register(text, label)
    return text


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode().rstrip("\r\n")
    except UnicodeDecodeError as exc:
        raise UsageError(f"value_file: {path} holds no text (UTF-8).") from exc
    if not text.strip() or text != text.strip() or len(text) > _MOST_BYTES:
        raise UsageError(
            f"value_file: {path} is empty, longer than {_MOST_BYTES:,} characters, or begins or "
            "ends with a blank. Nothing was changed."
        )
    return text


def _given(do: Action) -> str:
    source = do["source"]
    of = f"what is in {source['file']}" if "file" in source else "a value made when applied"
    called = f"secretsmanager.put_secret_value({do['secret']}, {PENDING})"
    if not do["key"]:
        return f"{called}: it becomes {of}"
    return f"{called}: {do['key']} becomes {of}, the other keys are kept"


@action("given", _given)
def Given(ops: Connection, secret: str, key: str, source: Json) -> Any:
    """A version of a secret, pending: of JSON with another value under one key, the others kept.

    Without a key all of it is the value. Read again and compared before anybody is told of it.
    """
    new = value(source, f"new {key} of {secret}")
    wanted = json.dumps({**ops.secret(secret), key: new}) if key else new
    done = put_pending(ops, secret, wanted)
    with after(done):
        if version_of(ops, secret, PENDING) != wanted:
            raise OpsError(f"The pending version of {secret!r} is not what was put there.")
    return done


def pending(ops: Connection, secret: str) -> Json:
    """The pending version of a JSON secret, masked like every answer."""
    found: Json = decoded(version_of(ops, secret, PENDING), {})
    return found


@action(
    "client secret",
    "cognito-idp.add_user_pool_client_secret({client[ClientId]}): {key} of {secret}, " + PENDING,
)
def ClientSecret(ops: Connection, client: Json, secret: str, key: str) -> Any:
    """Cognito's app client takes what is pending in a secret as another one of its own."""
    given = {**client, "ClientSecret": pending(ops, secret)[key]}
    return ops.change("cognito-idp", "add_user_pool_client_secret", **given)
