"""Sessions with a target's PostgreSQL: where it is and how it is asked, and its errors in opslib's
words.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from opslib.core.connections import addresses
from opslib.core.connections.connection import Connection as Ops
from opslib.core.connections.meanings import entry, translated
from opslib.core.defects import families_of
from opslib.core.errors import (
    OpsError,
    Refused,
)
from opslib.core.tables import Json, Params

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, CursorResult, Engine

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60
_LOCK_SECONDS = 5  # a change that waits for a lock makes everybody behind it wait too
# After each of our statements: the server's statistics and logs tell them from the app's.
MARK = "/* opslib */"
# In which values are written, whatever the database's or the role's own settings are.
_FORMS = {"timezone": "UTC", "datestyle": "ISO", "intervalstyle": "postgres"}
# What libpq takes from the environment, beside the certificates for TLS: an address, an encoding, a
# way of writing dates would be the operator's and not the target's.
_LIBPQ = re.compile(r"PG(?!SSL(CERT|KEY|ROOTCERT|CRL)|KRB|GSS)[A-Z]+$")
_SILENT = "It may be down, or this machine is outside its network (VPN, tunnel)."
_NOT_ASKED, _UNREADABLE = "asked", "read"  # in place of a state, for errors of psycopg's own


def reads_apart(ops: Ops) -> bool:
    """Whether the target names a login of its own for reads."""
    return "reader_secret" in ops.target["database"]


def _engine(ops: Ops, write: bool, at: Params, own: bool) -> Engine:
    """An engine for sessions; none of our connections stays open, for they may be what runs out."""
    apart = reads_apart(ops) and not (write or own)
    where = addresses.find(ops, ops.target["database"]["reader_secret"] if apart else "", at)
    if ops.target.lab and where.host not in addresses.LOOPBACK:
        raise Refused(
            f"{ops.target.name} is practice, but its database would be {where.host}. Nothing was "
            "asked of it."
        )
    settings = {
        "transaction_read_only": "off" if write else "on",
        "statement_timeout": f"'{STATEMENT_SECONDS}s'",
        "lock_timeout": f"'{_LOCK_SECONDS}s'",
        "idle_in_transaction_session_timeout": "'60s'",
        **_FORMS,
    }
    for variable in filter(_LIBPQ.match, [*os.environ]):  # the target's file says it all
        os.environ.pop(variable, None)
    asked: Json = {"sslmode": "disable"} if ops.target.lab else {}
    asked |= {
        "connect_timeout": CONNECT_SECONDS,
        # A server that is gone without a word (a lost VPN) is noticed in a minute, not in hours.
        "keepalives_idle": 30,
        "tcp_user_timeout": 60_000,
        "client_encoding": "utf8",
        "application_name": f"opslib/{ops.identity.user}"[:63],
        # The extended protocol takes one statement: no "COMMIT; DELETE …" in a read.
        "prepare_threshold": 0,
    }
    begin = ";".join(f"SET LOCAL {key} = {value}" for key, value in settings.items())
    return _made(where, tuple(asked.items()), begin)


@lru_cache(maxsize=16)
def _made(where: URL, asked: tuple[tuple[str, Any], ...], begin: str) -> Engine:
    """Of sessions that are alike one: SQLAlchemy asks of each first what server it is.

    `begin`: how each transaction begins. Its settings are its own: a pooler in between (RDS Proxy,
    PgBouncer) takes none at the start, and gives the session to others afterwards.
    """
    from sqlalchemy import NullPool, create_engine, event

    engine = create_engine(
        where, poolclass=NullPool, hide_parameters=True, connect_args=dict(asked)
    )
    event.listen(engine, "before_cursor_execute", _marked, retval=True)
    event.listen(engine, "begin", partial(_begun, begin))
    return engine


def _begun(settings: str, connection: Connection) -> None:
    raw: Any = connection.connection.driver_connection
    if not raw.autocommit:
        raw.execute(settings, prepare=False)  # several statements at once are not prepared


def _marked(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    return f"{statement.rstrip().rstrip(';')}\n{MARK}", parameters


def run(
    session: Connection, sql: str, params: Params | None = None, **options: Any
) -> CursorResult[Any]:
    """Execute a statement; `:name` in it stands for a parameter.

    Without parameters the text is taken as it is.
    """
    import sqlalchemy

    if params:
        return session.execute(sqlalchemy.text(sql), dict(params), execution_options=options)
    return session.exec_driver_sql(sql, execution_options={"no_parameters": True, **options})


@contextmanager
def session(
    ops: Ops, what: str, write: bool = False, at: Params | None = None, own: bool = False
) -> Iterator[Connection]:
    """A transaction that is rolled back unless its body commits; recorded as a call.

    `what` names it in messages.

    Without `write` the database itself refuses to change anything, and the login is the one for
    reads where the target names one (not with `own`: to plan what it may not do). `at`: host,
    port, database instead of the secret's.
    """
    from psycopg import Error
    from sqlalchemy.exc import SQLAlchemyError

    ticks, error = time.monotonic(), None
    engine = _engine(ops, write, at or {}, own)
    try:
        with engine.connect() as connection:
            yield connection
            connection.rollback()
    except (SQLAlchemyError, Error) as exc:
        orig = getattr(exc, "orig", None) or exc  # its own: a parameter that was not given
        error = type(orig).__name__
        database = f"database {engine.url.database} of {ops.target.name}"
        raise _translated(orig, what, database, engine.url) from exc
    finally:
        ops.journal.call("postgresql", what, ticks, error=error)


def out_of_connections(error: BaseException) -> bool:
    """Whether the database turned us away because every connection is taken."""
    return re.search(entry("no slot"), str(error)) is not None


def _translated(orig: Any, what: str, database: str, where: URL) -> OpsError:
    said = str(orig).strip().split("\n")[0]
    own = _NOT_ASKED if "OperationalError" in families_of(orig).split() else _UNREADABLE
    state = getattr(orig, "sqlstate", None) or own
    hint = getattr(getattr(orig, "diag", None), "message_hint", None)
    hint = hint or next((e["says"] for e in entry("sql hints") if re.search(e["shown"], said)), "")
    why = " ".join(said.rpartition("failed: ")[2].split())
    return translated(
        "postgresql",
        f"{state} {said}",
        asked=f"{what} in {database}",
        database=database,
        said=said,
        hint=hint and f" {hint}",
        state=state,
        place=f"{where.host}:{where.port}",
        why=why,
        longest=STATEMENT_SECONDS,
        lock=_LOCK_SECONDS,
        down="It is reached, and takes no login." if "FATAL:" in why else _SILENT,
    )
