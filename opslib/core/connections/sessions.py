"""Sessions with a target's PostgreSQL: where it is and how it is asked, and its errors in opslib's words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opslib.core.connections.connection import Connection as Ops
from opslib.core.errors import NotAllowed, NotFound, OpsError, Refused, Unfinished, UsageError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, CursorResult, Engine

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60
_LOCK_SECONDS = 5  # a change that waits for a lock makes everybody behind it wait too
MARK = "/* opslib */"  # after each of our statements: the server's statistics and logs tell them from the app's
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NO_SLOT = ("too many clients", "remaining connection slots", "too many connections")
_DENIED = (
    "authentication failed",
    "no pg_hba.conf entry",
    "permission denied for database",
    "not permitted to log in",
)


def url(secret: Any, name: str, **instead: Any) -> URL:
    """Where a secret says that the database is: RDS's JSON, or a URL of any PostgreSQL flavour.

    `postgresql+asyncpg://` and `postgres://` become the one scheme that we speak. `instead` replaces parts (host, port).
    """
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if isinstance(secret, dict):
        secret = next(
            (secret[k] for k in ("url", "database_url", "DATABASE_URL") if k in secret), secret
        )
    try:
        if isinstance(secret, dict):
            database = secret.get("dbname") or secret.get("database") or "postgres"
            port = int(secret.get("port", 5432))
            made = URL.create(
                "", secret["username"], secret["password"], secret["host"], port, database
            )
        else:
            made = make_url(str(secret))
            if not made.drivername.startswith("postgres"):
                raise ValueError(made.drivername)
    except (KeyError, ValueError, ArgumentError) as exc:
        raise UsageError(
            f"Secret {name!r} does not describe a PostgreSQL database ({type(exc).__name__}). "
            "It needs host, username, password and dbname, or a postgresql:// URL."
        ) from None
    query = {
        k: v for k, v in made.query.items() if k.startswith("ssl")
    }  # the rest was for another driver
    if made.host not in _LOOPBACK:
        query.setdefault("sslmode", "require")
    return made.set(drivername="postgresql+psycopg", query=query, **instead)


def _engine(ops: Ops, write: bool, at: Mapping[str, Any]) -> Engine:
    """An engine for one session at a time; none of our connections stays open, for they may be what runs out."""
    from sqlalchemy import NullPool, create_engine, event

    name = ops.target["database"]["secret"]
    where = url(ops.secret(name), name, **at)
    if ops.target.lab and where.host not in _LOOPBACK:
        raise Refused(
            f"{ops.target.name} is practice, but its database would be {where.host}. Nothing was asked of it."
        )
    settings = {
        "default_transaction_read_only": "off" if write else "on",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "lock_timeout": f"{_LOCK_SECONDS}s",
        "idle_in_transaction_session_timeout": "60s",
        "timezone": "UTC",
    }
    engine = create_engine(
        where,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": f"opslib/{ops.identity.user}"[:63],
            "options": " ".join(f"-c {key}={value}" for key, value in settings.items()),
            "prepare_threshold": 0,  # the extended protocol takes one statement: no "COMMIT; DELETE …" in a read
        },
    )
    event.listen(engine, "before_cursor_execute", _marked, retval=True)
    return engine


def _marked(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    return f"{statement.rstrip().rstrip(';')}\n{MARK}", parameters


def run(
    session: Connection, sql: str, params: Mapping[str, Any] | None = None, **options: Any
) -> CursorResult[Any]:
    """Execute a statement; `:name` in it stands for a parameter. Without parameters the text is taken as it is."""
    import sqlalchemy

    if params:
        return session.execute(sqlalchemy.text(sql), dict(params), execution_options=options)
    return session.exec_driver_sql(sql, execution_options={"no_parameters": True, **options})


@contextmanager
def session(
    ops: Ops, what: str, write: bool = False, at: Mapping[str, Any] | None = None
) -> Iterator[Connection]:
    """A transaction that is rolled back unless its body commits; recorded as a call. `what` names it in messages.

    Without `write` the database itself refuses to change anything. `at`: host, port, database instead of the secret's.
    """
    from sqlalchemy.exc import DBAPIError

    started, ticks, error = datetime.now(UTC), time.monotonic(), None
    engine = _engine(ops, write, at or {})
    try:
        with engine.connect() as connection:
            yield connection
            connection.rollback()
    except DBAPIError as exc:
        error = type(exc.orig).__name__
        raise _translated(
            exc, what, f"database {engine.url.database} of {ops.target.name}", engine.url
        ) from exc
    finally:
        ops.journal.call("postgresql", what, started, ticks, error=error)


def out_of_connections(error: BaseException) -> bool:
    """Whether the database turned us away because every connection is taken."""
    return any(part in str(error) for part in _NO_SLOT)


def _translated(exc: Any, what: str, database: str, where: URL) -> OpsError:
    said, asked = str(exc.orig).strip().split("\n")[0], f"{what} in {database}"
    state = getattr(exc.orig, "sqlstate", None) or ""
    if out_of_connections(exc.orig):
        return Unfinished(
            f"No connection is free for {asked}: {said}. Who holds them: databases/health."
        )
    if state.startswith("28") or any(part in said for part in _DENIED):
        return NotAllowed(
            f"The {database} does not accept the login: {said}. Was the password rotated?"
        )
    if state == "42501":
        return NotAllowed(f"Denied: {asked}: {said}. The secret's role lacks that privilege.")
    if state == "25006" or "data-modifying statements" in said:
        return Refused(
            f"{asked}: this session is read-only and the database refused: {said}. Nothing was changed."
        )
    if state in ("42P01", "3F000", "3D000") or (not state and "does not exist" in said):
        return NotFound(f"Not found: {asked}: {said}. Check database: in parameters/targets/.")
    if state == "57014":
        return Unfinished(
            f"{asked} took longer than {STATEMENT_SECONDS} s and was cancelled. Narrow it."
        )
    if state == "55P03":
        return Unfinished(
            f"{asked} waited {_LOCK_SECONDS} s for a lock and was rolled back: {said}. Run it again."
        )
    if state.startswith("22"):
        return UsageError(f"A value does not fit: {asked}: {said}. Nothing was changed.")
    if "multiple commands" in said:
        return UsageError(f"One statement at a time: {asked}.")
    if state.startswith("42"):
        return UsageError(f"Not valid SQL: {asked}: {said}")
    if not state and "Operational" not in type(exc.orig).__name__:
        return UsageError(f"{asked}: a value cannot be read here: {said}. Cast it to text.")
    if not state or state.startswith(("08", "57P")):
        why = " ".join(said.rpartition("failed: ")[2].split())
        silent = "It may be down, or this machine is outside its network (VPN, tunnel)."
        down = "It is reached, and takes no login." if "FATAL:" in why else silent
        return Unfinished(
            f"No answer from {database}, {where.host}:{where.port}: {why}. {down} See databases/health."
        )
    return OpsError(f"{asked} failed: {said} ({state}). It was rolled back.")
