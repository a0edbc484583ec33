"""The index of records: one row a run, each sealed row carrying the hash of the row before.

The chain holds entries, too: a page made again, a summary, a row sealed late, an index made again.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from opslib.core import OpsError
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
            connection.execute(sa.insert(database.records).values(row))
        except IntegrityError as exc:
            raise Taken(f"There is a record {row['id']} already. Nothing was run.") from exc


def reserve(row: Row) -> None:
    """The id of a run is this process's, which is about to start it. Raises Taken."""
    insert(row | {"verdict": NOT_BEGUN} | lease())


def withdraw(id: str) -> bool:
    """A run of this process was not begun, so it has no row; False when it was begun."""
    return _changed(sa.delete(database.records), {"id": id, "verdict": NOT_BEGUN} | process())


def has(number: int, digest: str) -> bool:
    """Is that a number of this chain, with that hash? 0 is of every chain."""
    asked = [sa.select(t.c.seq).filter_by(seq=number, hash=digest) for t in database.CHAINED]
    return any([*map(database.found, asked)]) or not number


def ids() -> set[str]:
    """Of every run that has a row."""
    return {row["id"] for row in database.found(sa.select(database.records.c.id))}


def update(id: str, /, only_if: Row | None = None, **values: Any) -> bool:
    """Change the row of a run that is under way; False when it is sealed, not there, or not as
    `only_if` says.
    """
    return _changed(sa.update(database.records).values(values), {"id": id, **(only_if or {})})


def _changed(change: Any, of: Row) -> bool:
    """Whether there is such a row that is not sealed."""
    same = [database.records.c[name] == value for name, value in {"seq": None, **of}.items()]
    with database.transaction() as connection:
        return connection.execute(change.where(*same)).rowcount == 1


def seal(row: Row, page: Callable[[int], str] | None = None) -> bool:
    """Close a run's row and chain it to the one before; False when it is sealed already.

    `page` makes the record's page for its number in the chain, and gives that page's sha256.
    """
    with database.transaction(may_be_lost=True) as connection:
        last = _locked_head(connection)
        known = sa.select(database.records.c.seq).filter_by(id=row["id"])
        if connection.execute(known).scalar() is not None:
            return False
        row = row | {"seq": last["seq"] + 1, "previous": last["hash"]}
        row[database.PAGE] = page(row["seq"]) if page else row.get(database.PAGE)
        row["hash"] = row_hash(row)
        if not update(row["id"], **row):
            insert(row)  # its row was removed while it ran
        _move_head(connection, row)
        return True


def enter(kind: str, id: str = "", sha256: str = "", said: str = "", **was: str) -> None:
    """Chain an entry: `page` or `summary` with its sha256, `late`, `again`, `rebuilt`.

    `was`: when and by whom, of one of before.
    """
    with database.transaction() as connection:
        last = _locked_head(connection)
        entry = {"seq": last["seq"] + 1, "kind": kind, "id": id, "sha256": sha256, "said": said}
        entry |= {"at": moment(), "who": who(), **was, "previous": last["hash"]}
        entry["hash"] = row_hash(entry)
        connection.execute(sa.insert(database.entries).values(entry))
        _move_head(connection, entry)


def _head() -> Row | None:
    return database.first(sa.select(database.head).with_for_update())


def _locked_head(connection: sa.Connection) -> Row:
    """The end of the chain. Raises OpsError when the head is not there."""
    last, end = _head(), database.end(connection)
    if last is None or last["seq"] < end[0]:
        raise OpsError(
            f"The head of the chain in {database.shown()} was moved: nothing can be sealed after "
            f"number {end[0]}. Look: opslib records verify. Put it back: {database.REBUILD}"
        )
    return last


def _move_head(connection: sa.Connection, to: Row) -> None:
    connection.execute(sa.update(database.head).values(seq=to["seq"], hash=to["hash"]))


def put_head_back() -> str:
    """Make the last that is chained the head again; what was the head, empty when that was it."""
    with database.transaction() as connection:
        last, (seq, digest) = _head(), database.end(connection)
        if last and (last["seq"], last["hash"]) == (seq, digest):
            return ""
        connection.execute(sa.delete(database.head))
        connection.execute(sa.insert(database.head).values(only=1, seq=seq, hash=digest))
    return f"{last['seq']}:{last['hash']}" if last else "nothing"


def row_hash(row: Row) -> str:
    """The hash over what a sealed row, or an entry, says and the hash of the one before."""
    names = database.ENTRY if "kind" in row else database.SEALED
    content = [row.get(name) for name in names]
    if row.get(database.PAGE) is not None:
        content.append(row[database.PAGE])
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def rows(since: str = "", begins: str = "", most: int | None = None, **where: Any) -> list[Row]:
    """The rows, oldest first; `target="x"`, or one of several, and the like narrow them; None: any.

    `since`: started then or later; `begins`: ids that begin so; `most`: the newest of them.
    """
    columns = database.records.c
    later = [columns.started >= since] if since else []
    for name, value in where.items():
        if value is not None:
            later.append(columns[name].in_([value] if isinstance(value, str) else value))
    later += [columns.id >= begins, columns.id.startswith(begins, autoescape=True)] * bool(begins)
    # An id is random within its second; of runs that began in one millisecond, the first to end
    # was first.
    order = (columns.started.desc(), columns.seq.desc().nulls_first(), columns.id.desc())
    asked = sa.select(database.records).where(*later).order_by(*order)
    return database.found(asked.limit(most))[::-1]


def is_sealed(id: str) -> bool:
    """Has the run of that id ended, and is it kept?"""
    return any(row["seq"] is not None for row in rows(id=id))


def entries(**where: Any) -> list[Row]:
    """What else is in the chain, oldest first; `kind="note"` and the like narrow it."""
    asked = sa.select(database.entries).filter_by(**where).order_by(database.entries.c.seq)
    return database.found(asked)


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
    last = _head()
    return (last["seq"], last["hash"]) if last else (0, "")


def snapshot() -> tuple[list[Row], list[Row], tuple[int, str]]:
    """Rows, entries and head as they were at one moment: runs may end meanwhile."""
    if database.nothing_yet():
        return [], [], (0, "")
    with database.transaction():
        end = last_seal()
        asked = sa.select(database.records).order_by(database.records.c.started)
        return database.found(asked), entries(), end
