"""Where the index of records is: its tables, made when they are missing, and a lost one noticed.

SQLite in the records folder by default; another database (PostgreSQL) by the URL in `OPSLIB_INDEX`.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from opslib.core import Json, OpsError, paths
from opslib.records import copies
from opslib.records.records import COLUMNS

REBUILD = "opslib records index --rebuild"
_NO_ROOM = re.compile(r"is full|read-?only|no space", re.IGNORECASE)
metadata = sa.MetaData()
SEALED = ("seq", *COLUMNS, "sha256", "previous")  # what a seal covers, in this order
PAGE = "page"  # its sha256, sealed too; empty: it has none; NULL: sealed before pages were
_BESIDE = (PAGE, "hash", "host", "pid", "pid_started", "heartbeat")
_TYPES: Json = {
    "id": sa.String(40),
    "seq": sa.Integer(),
    "lab": sa.Boolean(),
    "pid": sa.Integer(),
}
records = sa.Table(
    "records",
    metadata,
    *(
        sa.Column(
            name,
            _TYPES.get(name, sa.Text()),
            primary_key=name == "id",
            unique=name == "seq",  # none while the run is under way
        )
        for name in (*SEALED, *_BESIDE)
    ),
)
ENTRY = ("seq", "kind", "id", "sha256", "at", "who", "said", "previous")  # sealed, in this order
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in (*ENTRY[1:], "hash")),
)
head = sa.Table(  # the last seal: who holds this row's lock may add the next
    "chain",
    metadata,
    sa.Column("only", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)
CHAINED = (records, entries)


def table(name: str, key: Sequence[str], texts: Sequence[str], *others: sa.Column[Any]) -> sa.Table:
    """A table beside the index: what names a row, texts that each row has, other columns."""
    named = (sa.Column(each, sa.String(200), primary_key=True) for each in key)
    said = (sa.Column(each, sa.Text, nullable=False) for each in texts)
    return sa.Table(name, metadata, *named, *said, *others)


texts = table("record_texts", ["id"], ["said"])  # in words, for `texts.words`; proves nothing
for _narrowed in ("started", "outcome"):
    sa.Index(f"records_{_narrowed}", records.c[_narrowed])


def url() -> str:
    return os.environ.get("OPSLIB_INDEX") or f"sqlite:///{paths.records() / 'index.sqlite'}"


def file() -> Path | None:
    """The index's own file; None when it is in another database."""
    return Path(sa.make_url(url()).database or "") if url().startswith("sqlite") else None


@cache
def _engine(address: str) -> sa.Engine:
    engine = sa.create_engine(address, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(
            engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # so that our own BEGIN counts
    connection.executescript("PRAGMA busy_timeout=30000; PRAGMA synchronous=FULL")


def shown() -> str:
    """Where the index is, without a password."""
    return sa.make_url(url()).render_as_string(hide_password=True)


_under_way: ContextVar[sa.Connection | None] = ContextVar("_under_way", default=None)


@contextmanager
def transaction(*, may_be_lost: bool = False) -> Iterator[sa.Connection]:
    """A transaction on the index, its tables made when missing. One within another is a part of it.

    Raises OpsError naming the index: it does not answer, or records are kept and it knows none.
    What has run is sealed all the same: `may_be_lost`.
    """
    if connection := _under_way.get():
        yield connection
        return
    try:
        engine = _engine(url())
        try:
            _make_tables(engine)
        except (IntegrityError, ProgrammingError):
            _make_tables(engine)  # another run made them at the same moment
        with engine.begin() as connection:
            if not may_be_lost and connection.execute(sa.select(records.c.id)).first() is None:
                _require_none_kept(connection)
            token = _under_way.set(connection)
            try:
                yield connection
            finally:
                _under_way.reset(token)
    except SQLAlchemyError as exc:
        cause = str(getattr(exc, "orig", None) or exc).strip().splitlines()[0]
        then = (
            "Check that disk or database, or OPSLIB_INDEX; the record files are not touched. "
            f"If it is lost, it is made again from them: {REBUILD}"
        )
        if _NO_ROOM.search(cause):  # it is whole, so nobody is told to make it again
            then = "Nothing was entered. Make room there, or make it writable, and do it again."
        raise OpsError(
            f"The index of records at {shown()} does not answer: {cause}. {then}"
        ) from exc


def _require_none_kept(connection: sa.Connection | None = None) -> None:
    """Raises OpsError when there are records, or events of which none is known: then an index
    without rows is one that was lost.
    """
    if not copies.base() and not paths.records().exists():
        return
    kept = next(filter(copies.is_ended, copies.records()), None)
    event = next(iter(copies.events()), None)  # looked for first: it lies there once it is entered
    if not (connection and connection.execute(sa.select(entries.c.seq)).first()):
        kept = kept or event
    if kept:
        raise OpsError(
            f"The index of records at {shown()} is lost: it knows no record, and {copies.where()} "
            f"holds some ({kept}). Nothing was run or changed. Check OPSLIB_INDEX and "
            f"OPSLIB_RECORDS, put a copy of the index back, or make it from the files: {REBUILD}"
        )


def _make_tables(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        if metadata.tables.keys() <= set(sa.inspect(connection).get_table_names()):
            return
        metadata.create_all(connection)
        for each in records.indexes:  # of a table that was made before they were thought of
            each.create(connection, checkfirst=True)
        if PAGE not in {column["name"] for column in sa.inspect(connection).get_columns("records")}:
            connection.execute(sa.text(f"ALTER TABLE records ADD COLUMN {PAGE} TEXT"))
        if connection.execute(sa.select(head)).first() is None and end(connection) == (0, ""):
            connection.execute(sa.insert(head).values(only=1, seq=0, hash=""))


def end(connection: sa.Connection) -> tuple[int, str]:
    """Number and hash of the last that is chained, whatever the head says."""
    ends = [(0, "")]
    for table in CHAINED:
        columns = sa.select(table.c.seq, table.c.hash).where(table.c.seq.is_not(None))
        last = connection.execute(columns.order_by(table.c.seq.desc()).limit(1)).first()
        ends += [(last.seq, last.hash)] if last else []
    return max(ends, key=itemgetter(0))


def found(asked: sa.Select[Any]) -> list[Json]:
    """The rows that are asked for; none where there is no index yet. Raises OpsError."""
    if nothing_yet():
        return []
    with transaction() as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]


def first(asked: sa.Select[Any]) -> Json | None:
    """The first of them."""
    return next(iter(found(asked)), None)


def nothing_yet() -> bool:
    """Is there no index, and need there be none? Raises OpsError when it is lost."""
    place = file()
    if place is None or place.exists():
        return False
    _require_none_kept()
    return True
