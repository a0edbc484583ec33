"""The index of records: one row a run, each sealed row carrying the hash of the row before.

The chain holds entries, too: a page made again, a summary, a row sealed late, an index made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from opslib.core import OpsError
from opslib.records import copies
from opslib.records.chain import database
from opslib.records.facts import lease, moment, process, who
from opslib.records.records import Row

NOT_BEGUN = "Not begun yet."


class Taken(OpsError):
    """There is a row of that id."""


def insert(row: Row) -> None:
    """A run starts. Raises Taken."""
    with database.transaction() as connection:
        try:
            add(connection, row)
        except IntegrityError as exc:
            raise Taken(f"There is a record {row['id']} already. Nothing was run.") from exc


def reserve(row: Row) -> None:
    """The id of a run is this process's, which is about to start it. Raises Taken."""
    insert(row | {"verdict": NOT_BEGUN} | lease())


def withdraw(id: str) -> bool:
    """A run of this process was not begun, so it has no row; False when it was begun."""
    mine: Row = {"id": id, "seq": None, "verdict": NOT_BEGUN} | process()
    same = [database.records.c[name] == value for name, value in mine.items()]
    with database.transaction() as connection:
        return connection.execute(sa.delete(database.records).where(*same)).rowcount == 1


def has(number: int, digest: str) -> bool:
    """Is that a number of this chain, with that hash? 0 is of every chain."""
    with database.transaction() as connection:
        asked = [sa.select(t.c.seq).filter_by(seq=number, hash=digest) for t in database.CHAINED]
        return not number or any(connection.execute(each).first() for each in asked)


def add(connection: sa.Connection, row: Row) -> None:
    """`insert`, in a transaction that is under way."""
    connection.execute(sa.insert(database.records).values(row))


def ids(connection: sa.Connection) -> set[str]:
    return set(connection.execute(sa.select(database.records.c.id)).scalars())


def all_ids() -> set[str]:
    """Of every run that has a row."""
    if database.nothing_yet():
        return set()
    with database.transaction() as connection:
        return ids(connection)


def update(id: str, /, only_if: Row | None = None, **values: Any) -> bool:
    """Change the row of a run that is under way; False when it is sealed, not there, or not as
    `only_if` says.
    """
    with database.transaction() as connection:
        return _update(connection, id, values, only_if)


def _update(connection: sa.Connection, id: str, values: Row, only_if: Row | None = None) -> bool:
    wanted = {"id": id, "seq": None} | (only_if or {})
    same = [database.records.c[name] == value for name, value in wanted.items()]
    return connection.execute(sa.update(database.records).where(*same).values(values)).rowcount == 1


def seal(row: Row, page: Callable[[int], str] | None = None) -> bool:
    """Close a run's row and chain it to the one before; False when it is sealed already.

    `page` makes the record's page for its number in the chain, and gives that page's sha256.
    """
    with database.transaction(may_be_lost=True) as connection:
        return chain_row(connection, row, page)


def chain_row(
    connection: sa.Connection, row: Row, page: Callable[[int], str] | None = None
) -> bool:
    """`seal`, in a transaction that is under way."""
    last = _locked_head(connection)
    there = connection.execute(sa.select(database.records.c.seq).filter_by(id=row["id"])).first()
    if there and there.seq is not None:
        return False
    row = row | {"seq": last.seq + 1, "previous": last.hash}
    row[database.PAGE] = page(row["seq"]) if page else row.get(database.PAGE)
    row["hash"] = row_hash(row)
    if not _update(connection, row["id"], row):
        add(connection, row)  # its row was removed while it ran
    _move_head(connection, row)
    return True


def enter(kind: str, id: str = "", sha256: str = "", said: str = "") -> None:
    """Chain an entry: `page` or `summary` with its sha256, `late`, `again`, `rebuilt`."""
    with database.transaction() as connection:
        chain_entry(connection, kind, id, sha256, said)


def chain_entry(
    connection: sa.Connection, kind: str, id: str = "", sha256: str = "", said: str = "", **was: str
) -> None:
    """`enter`, in a transaction that is under way; `was`: when and by whom, of one of before."""
    last = _locked_head(connection)
    entry = {"seq": last.seq + 1, "kind": kind, "id": id, "sha256": sha256, "said": said}
    entry |= {"at": moment(), "who": who(), **was, "previous": last.hash}
    entry["hash"] = row_hash(entry)
    connection.execute(sa.insert(database.entries).values(entry))
    _move_head(connection, entry)


def _locked_head(connection: sa.Connection) -> Any:
    """The end of the chain. Raises OpsError when the head is not there."""
    last = connection.execute(sa.select(database.head).with_for_update()).first()
    end = database.end(connection)
    if last is None or last.seq < end[0]:
        raise OpsError(
            f"The head of the chain in {database.shown()} was moved: nothing can be sealed after "
            f"number {end[0]}. Look: opslib records verify. Put it back: {database.REBUILD}"
        )
    return last


def _move_head(connection: sa.Connection, to: Row) -> None:
    connection.execute(sa.update(database.head).values(seq=to["seq"], hash=to["hash"]))


def put_head_back(connection: sa.Connection) -> str:
    """Make the last that is chained the head again; what was the head, empty when that was it."""
    seq, digest = database.end(connection)
    last = connection.execute(sa.select(database.head).with_for_update()).first()
    if last and (last.seq, last.hash) == (seq, digest):
        return ""
    connection.execute(sa.delete(database.head))
    connection.execute(sa.insert(database.head).values(only=1, seq=seq, hash=digest))
    return f"{last.seq}:{last.hash}" if last else "nothing"


def row_hash(row: Row) -> str:
    """The hash over what a sealed row, or an entry, says and the hash of the one before."""
    names = database.ENTRY if "kind" in row else database.SEALED
    content = [row.get(name) for name in names]
    if row.get(database.PAGE) is not None:
        content.append(row[database.PAGE])
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def rows(since: str = "", begins: str = "", most: int | None = None, **where: Any) -> list[Row]:
    """The rows, oldest first; `target="x"` and the like narrow them. `since`: started then or
    later; `begins`: ids that begin so; `most`: the newest of them.
    """
    if database.nothing_yet():
        return []
    columns = database.records.c
    later = [columns.started >= since] if since else []
    later += [columns.id >= begins, columns.id.startswith(begins, autoescape=True)] * bool(begins)
    # An id is random within its second; of runs that began in one millisecond, the first to end
    # was first.
    order = (columns.started.desc(), columns.seq.desc().nulls_first(), columns.id.desc())
    asked = sa.select(database.records).filter_by(**where).where(*later).order_by(*order)
    with database.transaction() as connection:
        found = connection.execute(asked.limit(most)).mappings().all()
        return [dict(row) for row in reversed(found)]


def rows_of(ids: Collection[str]) -> list[Row]:
    """Those of these ids that are there."""
    asked = sa.select(database.records).where(database.records.c.id.in_(ids))
    with database.transaction() as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]


def is_sealed(id: str) -> bool:
    """Has the run of that id ended, and is it kept?"""
    return any(row["seq"] is not None for row in rows(id=id))


def entries() -> list[Row]:
    """What else is in the chain, oldest first."""
    if database.nothing_yet():
        return []
    with database.transaction() as connection:
        return entries_in(connection)


def entries_in(connection: sa.Connection) -> list[Row]:
    """`entries`, in a transaction that is under way."""
    found = connection.execute(sa.select(database.entries).order_by(database.entries.c.seq))
    return [dict(row) for row in found.mappings()]


def pages_in(found: list[Row]) -> dict[str, str]:
    """The sha256 of each page that these entries chain after its record, or without one, by file
    name.
    """
    return {each["said"]: each["sha256"] for each in found if each["kind"] in ("page", "summary")}


def page_of(row: Row) -> str | None:
    """The sha256 that a record's page should have; empty when it has none, None: never sealed."""
    name = row["path"].removesuffix(".ipynb") + ".html"
    return pages_in(entries()).get(name, row[database.PAGE])


def last_seal() -> tuple[int, str]:
    """The head of the chain: number and hash of the last that was sealed."""
    if database.nothing_yet():
        return 0, ""
    with database.transaction() as connection:
        return _head(connection)


def _head(connection: sa.Connection) -> tuple[int, str]:
    last = connection.execute(sa.select(database.head).with_for_update()).first()
    return (last.seq, last.hash) if last else (0, "")


def snapshot() -> tuple[list[Row], list[Row], tuple[int, str]]:
    """Rows, entries and head as they were at one moment: runs may end meanwhile."""
    if database.nothing_yet():
        return [], [], (0, "")
    with database.transaction() as connection:
        end = _head(connection)
        rows = connection.execute(sa.select(database.records).order_by(database.records.c.started))
        return [dict(row) for row in rows.mappings()], entries_in(connection), end


def unlisted(listed: set[str]) -> list[str]:
    """The files of ended runs on this disk that have no row of those ids."""
    new = [name for name in copies.records() if Path(name).stem not in listed]
    return [name for name in new if copies.is_ended(name)]
