"""The index of records: one row a run, each sealed row carrying the hash of the row before.

SQLite in the records folder by default; another database (PostgreSQL) by the URL in `OPSLIB_INDEX`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from opslib.core import Json, OpsError, paths
from opslib.records.records import COLUMNS, Row

_metadata = sa.MetaData()
_SEALED = ("seq", *COLUMNS, "sha256", "previous")  # what a seal covers, in this order
_BESIDE = ("hash", "host", "pid", "pid_started", "heartbeat")
_TYPES: Json = {
    "id": sa.String(40),
    "seq": sa.Integer(),
    "lab": sa.Boolean(),
    "pid": sa.Integer(),
}
_records = sa.Table(
    "records",
    _metadata,
    *(
        sa.Column(
            name,
            _TYPES.get(name, sa.Text()),
            primary_key=name == "id",
            unique=name == "seq",  # none while the run is under way
        )
        for name in (*_SEALED, *_BESIDE)
    ),
)
_head = sa.Table(  # the last seal: who holds this row's lock may add the next
    "chain",
    _metadata,
    sa.Column("only", sa.Integer, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)


def url() -> str:
    return os.environ.get("OPSLIB_INDEX") or f"sqlite:///{paths.records() / 'index.sqlite'}"


@cache
def _engine(address: str) -> sa.Engine:
    engine = sa.create_engine(address, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(
            engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )
    try:
        _make_tables(engine)
    except (IntegrityError, ProgrammingError):  # another run made them at the same moment
        _make_tables(engine)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # so that our own BEGIN counts
    for setting in ("busy_timeout=30000", "synchronous=FULL"):
        connection.execute(f"PRAGMA {setting}")


@contextmanager
def transaction() -> Iterator[sa.Connection]:
    """A transaction on the index, its tables made when missing.

    Raises OpsError naming the index.
    """
    address = url()
    shown = sa.make_url(address).render_as_string(hide_password=True)
    try:
        with _engine(address).begin() as connection:
            yield connection
    except SQLAlchemyError as exc:
        cause = str(getattr(exc, "orig", None) or exc).strip().splitlines()[0]
        raise OpsError(
            f"The index of records at {shown} does not answer: {cause}. "
            "Check that disk or database, or OPSLIB_INDEX; the record files are not touched."
        ) from exc


def _make_tables(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        _metadata.create_all(connection)
        if connection.execute(sa.select(_head)).first() is None:
            connection.execute(sa.insert(_head).values(only=1, seq=0, hash=""))


def insert(row: Row) -> None:
    """A run starts."""
    with transaction() as connection:
        connection.execute(sa.insert(_records).values(row))


def update(id: str, only_if: Row | None = None, **values: Any) -> bool:
    """Change the row of a run that is under way; False when it is sealed, not there, or not as
    `only_if` says.
    """
    with transaction() as connection:
        return _update(connection, id, values, only_if)


def _update(connection: sa.Connection, id: str, values: Row, only_if: Row | None = None) -> bool:
    wanted = {"id": id, "seq": None} | (only_if or {})
    same = [_records.c[name] == value for name, value in wanted.items()]
    return connection.execute(sa.update(_records).where(*same).values(values)).rowcount == 1


def seal(row: Row) -> bool:
    """Close a run's row and chain it to the one before; False when it is sealed already."""
    with transaction() as connection:
        last = connection.execute(sa.select(_head).with_for_update()).one()
        row = row | {"seq": last.seq + 1, "previous": last.hash}
        row["hash"] = row_hash(row)
        if not _update(connection, row["id"], row):
            if connection.execute(sa.select(_records).filter_by(id=row["id"])).first():
                return False
            connection.execute(sa.insert(_records).values(row))  # its row was removed while it ran
        connection.execute(sa.update(_head).values(seq=row["seq"], hash=row["hash"]))
        return True


def row_hash(row: Row) -> str:
    """The hash over what a sealed row says and the hash of the row before."""
    content = [row.get(name) for name in _SEALED]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def _nothing_yet() -> bool:
    file = sa.make_url(url()).database or ""
    return url().startswith("sqlite") and not os.path.exists(file)


def rows(**where: Any) -> list[Row]:
    """The rows, oldest first; `target="x"` and the like narrow them."""
    if _nothing_yet():
        return []
    # An id is random within its second; of runs that began in one millisecond, the first to end
    # was first.
    order = (_records.c.started, _records.c.seq.nulls_last(), _records.c.id)
    with transaction() as connection:
        found = connection.execute(sa.select(_records).filter_by(**where).order_by(*order))
        return [dict(row) for row in found.mappings()]


def is_sealed(id: str) -> bool:
    """Has the run of that id ended, and is it kept?"""
    return any(row["seq"] is not None for row in rows(id=id))


def last_seal() -> tuple[int, str]:
    """The number and hash of the last sealed row."""
    if _nothing_yet():
        return 0, ""
    with transaction() as connection:
        last = connection.execute(sa.select(_head)).one()
        return last.seq, last.hash
