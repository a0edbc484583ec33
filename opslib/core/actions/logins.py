"""A login of the database gets another password, and the old one again when nobody can log in.

The passwords are versions of a secret, named by their stages: no value is in an action, so none is
in a plan, a record or a hash. They are read when it is performed.
"""

import json
from typing import Any

from opslib.core import redaction
from opslib.core.actions import passwords
from opslib.core.actions.actions import Action, action
from opslib.core.connections import addresses, sessions, sql
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, NotFound, OpsError, Unfinished
from opslib.core.tables import Json
from opslib.core.text import decoded
from opslib.core.waiting import poll

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"
REFUSED, TAKEN = "refused", "taken"
_LENGTH = 32  # Aurora takes 8 to 41 characters, RDS's PostgreSQL 8 to 128


_PUT = f"secretsmanager.put_secret_value({{secret}}, {PENDING}): "


def put_pending(ops: Connection, secret: str, value: Any) -> Json:
    """A value as the pending version of a secret."""
    text = value if isinstance(value, str) else json.dumps(value)
    given = {"SecretId": secret, "SecretString": text, "VersionStages": [PENDING]}
    return ops.change("secretsmanager", "put_secret_value", **given)


def version_of(ops: Connection, secret: str, stage: str) -> str:
    """The version of a secret that has a stage."""
    given = {"SecretId": secret, "VersionStage": stage}
    return str(ops.call("secretsmanager", "get_secret_value", **given)["SecretString"])


def _anew(do: Action) -> str:
    field = f"its {'.'.join(do['at'])}" if do["at"] else "it"
    return f"{_PUT}{field} made anew".format_map(do)


@action("renewed", _anew)
def Renewed(ops: Connection, secret: str, at: list[str]) -> Any:
    """A version of the secret, pending, with a new password in it and all else as it is.

    Only signs that Aurora takes and an address needs no escape for. A killed run loses nothing: the
    new password is kept before the database is told of it.
    """
    password = passwords.made(_LENGTH, "-_.")
    redaction.register(password, f"new password of {secret}")
    return put_pending(ops, secret, addresses.placed(ops.secret(secret), at, password))


@action("pointed", _PUT + "its address is {at[host]}:{at[port]}")
def Pointed(ops: Connection, secret: str, at: Json, called: Json) -> Any:
    """A version of the secret, pending, with another address in it and all else as it is.

    `at`: host, port, and database where it has another name. `called`: what the secret calls them.
    """
    return put_pending(ops, secret, addresses.moved(ops.secret(secret), at, called))


@action("login", "log in with {stage} of secret {secret}")
def Login(ops: Connection, secret: str, at: list[str], stage: str) -> Any:
    """Whether the database takes a login with the password of that version of the secret.

    Where there is no such version, none is taken.
    """
    try:
        password = _password(ops, secret, at, stage)
    except NotFound:
        return REFUSED
    return TAKEN if _why_refused(ops, password) is None else REFUSED


def _password(ops: Connection, secret: str, at: list[str], stage: str) -> str:
    text = version_of(ops, secret, stage)
    found: Any = decoded(text, text) if at else text.strip()
    for key in at:
        found = found[key]
    redaction.register(str(found), f"password of {secret}")
    return str(found)


def _set(do: Action) -> str:
    call = str(Action(do["by"])) if do["by"] else "ALTER ROLE … PASSWORD"
    return f"{call} with {do['stage']} of {do['secret']}, and a login; else {do['back']}"


@action("password", _set)
def Password(
    ops: Connection,
    secret: str,
    at: list[str],
    stage: str,
    back: str,
    by: Action | None,
    seconds: int = 300,
) -> Any:
    """The database's login gets the password of one version, and is tried until it is taken.

    `back`: the version whose password it has; that is set again when no login succeeds. `by`: RDS's
    call for the master's; none: the role alters itself, and the server sees a hash.
    """

    def given(password: str, present: str) -> str | None:
        """The password is set; why no login succeeds with it, or None. Raises OpsError: not set."""
        try:
            if by:
                whole = {**by["parameters"], "MasterUserPassword": password}
                ops.change(by["service"], by["operation"], **whole)
            else:
                _alter(ops, password, present)
        except Unfinished:
            pass  # the login says whether it was done
        why, _ = poll(
            lambda: _why_refused(ops, password),
            lambda why: why is None,
            seconds,
            lambda _: "RDS applies a password within minutes; no login yet",
        )
        return why

    new, old = (_password(ops, secret, at, version) for version in (stage, back))
    if _why_refused(ops, new) is None or (why := given(new, old)) is None:
        return {"login": TAKEN}
    print("No login with the new password: the old one is set again.", flush=True)
    try:
        still = given(old, new)
    except OpsError as exc:
        still = str(exc)
    if still is not None:
        raise Lost(
            f"No login with the new password ({why}), and none with the old one, which was set "
            f"again ({still}). Both are in secret {secret} ({PENDING}, {CURRENT})."
        )
    raise OpsError(
        f"No login with the new password: {why} The old one was set again, and is taken: the "
        "consumers' logins are as before."
    )


def _why_refused(ops: Connection, password: str) -> str | None:
    try:
        with sessions.session(ops, "a login", at={"password": password}, own=True) as session:
            sessions.run(session, "SELECT 1")
    except OpsError as exc:
        return str(exc)
    return None


def _alter(ops: Connection, password: str, present: str) -> None:
    """The role gives itself a password, hashed here, so that no log of the server holds it."""
    at = {"password": present}
    with sessions.session(ops, "ALTER ROLE … PASSWORD", write=True, at=at) as session:
        raw: Any = session.connection.driver_connection
        user = raw.info.user
        hashed = raw.pgconn.encrypt_password(password.encode(), user.encode()).decode()
        sessions.run(session, f"ALTER ROLE {sql.identifier(user)} PASSWORD '{hashed}'")
        session.commit()
