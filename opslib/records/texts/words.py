"""What records say, in an index of words: the full text of SQLite (FTS5) or PostgreSQL (tsvector).

It is made from the files, masked as they are, and proves nothing: the record itself does.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from opslib.core import Json, OpsError, UsageError, beside, redaction
from opslib.records import copies, index
from opslib.records.chain import database
from opslib.records.records import COLUMNS, Record

_LONGEST = 200_000  # characters of a record that can be found
_LONG_WORD = 60
_SQL: Json = beside(__file__, "words")  # by the kind of database


class Hit(NamedTuple):
    """A record that says what was asked for. `lines`: those with a word of it."""

    record: Record
    lines: list[str]


class Hits(NamedTuple):
    """`more`: further ones, older; `unread`: sealed records whose words are not in the index."""

    found: list[Hit]
    more: int
    unread: int


def search(
    words: Sequence[str],
    targets: Collection[str] | None = None,
    since: datetime | None = None,
    most: int = 50,
) -> Hits:
    """The records that say all the words, or words that begin so; newest first.

    Raises UsageError (no word), OpsError (the index does not answer).
    """
    asked = _split(" ".join(words))
    if not asked:
        raise UsageError(f"{' '.join(words)!r} holds no word to search for.")
    if database.nothing_yet():
        return Hits([], 0, 0)
    rows, texts = database.records, database.texts
    with database.transaction() as connection:
        how = _ready(connection)
        joined = (
            " ".join(f'"{w}"*' for w in asked)
            if how == "sqlite"
            else " & ".join(f"{w}:*" for w in asked)
        )
        hit = sa.text(_SQL[how]["find"]).bindparams(asked=joined).columns(rows.c.id).subquery("hit")
        where = [rows.c.started >= since.isoformat()] if since else []
        where += [rows.c.target.in_(targets)] if targets is not None else []
        every = sa.func.count().over().label("number")
        found = sa.select(*(rows.c[name] for name in COLUMNS), every)
        found = found.join(hit, hit.c.id == rows.c.id).where(*where)
        newest = found.order_by(rows.c.started.desc(), rows.c.id.desc()).limit(most)
        known = [dict(row) for row in connection.execute(newest).mappings()]
        number = known[0]["number"] if known else 0
        ids = [row["id"] for row in known]  # only of these what they say is read
        told = sa.select(texts.c.id, texts.c.said).where(texts.c.id.in_(ids))
        said = {row.id: row.said for row in connection.execute(told)}
        hits = [
            Hit(
                Record.of(row),
                [
                    line
                    for line in said[row["id"]].splitlines()
                    if any(w.startswith(a) for a in asked for w in _split(line))
                ],
            )
            for row in known
        ]
        unread = connection.execute(_unread(sa.func.count())).scalar_one()
        return Hits(hits, number - len(hits), unread)


def _unread(*columns: Any) -> sa.Select[Any]:
    """Of sealed records that are not in the index of words."""
    rows, texts = database.records, database.texts
    lacks = sa.select(*columns).select_from(rows.outerjoin(texts, texts.c.id == rows.c.id))
    return lacks.where(rows.c.seq.is_not(None), texts.c.id.is_(None))


def _ready(connection: sa.Connection) -> str:
    """The kind of database, whose index of words is made when it is missing."""
    how = connection.dialect.name
    if how not in _SQL:
        raise OpsError(f"Records cannot be searched in an index in {how}: only {', '.join(_SQL)}.")
    if not sa.inspect(connection).has_table("record_words"):
        for statement in _SQL[how]["make"]:
            connection.execute(sa.text(statement))
    return how


def enter(id: str, said: Json) -> None:
    """Make a record's words searchable, by what its file says of its run. Raises OpsError."""
    with database.transaction(may_be_lost=True) as connection:
        _put(connection, _ready(connection), id, "\n".join(_told(said)))


def add(id: str, line: str) -> None:
    """Make a line searchable that was added to a record later. Raises OpsError."""
    with database.transaction() as connection:
        how, known = _ready(connection), sa.select(database.texts.c.said).filter_by(id=id)
        was = connection.execute(known).scalar()
        if was is not None:  # else `fill` enters it with the rest
            _drop(connection, id)
            _put(connection, how, id, f"{was}\n{line}")


def _put(connection: sa.Connection, how: str, id: str, text: str) -> None:
    text = redaction.mask(text)[:_LONGEST]
    connection.execute(sa.insert(database.texts).values(id=id, said=text))
    connection.execute(sa.text(_SQL[how]["put"]), {"id": id, "words": " ".join(_split(text))})


def fill() -> int:
    """Enter the sealed records that are not in the index of words yet; how many.

    One whose file cannot be read stays out, and `search` counts it.
    """
    entered = 0
    with database.transaction(may_be_lost=True) as connection:
        how, notes = _ready(connection), defaultdict(list)
        for each in index.entries(kind="note"):
            notes[each["id"]].append(each["said"])
        for id, path in connection.execute(_unread(database.records.c.id, database.records.c.path)):
            try:
                text = "\n".join([*_told(copies.said(path)), *notes[id]])
            except (OSError, ValueError, TypeError, AttributeError):
                continue
            _put(connection, how, id, text)
            entered += 1
    return entered


def forget(id: str) -> None:
    """Its record is not kept any longer."""
    with database.transaction() as connection:
        _ready(connection)
        _drop(connection, id)
        connection.execute(sa.insert(database.texts).values(id=id, said=""))


def _drop(connection: sa.Connection, id: str) -> None:
    connection.execute(sa.delete(database.texts).filter_by(id=id))
    connection.execute(sa.text("DELETE FROM record_words WHERE id = :id"), {"id": id})


def _told(said: Json) -> Iterator[str]:
    """A line for each thing that a record says in words: not its outputs, not its calls."""
    yield f"{said.get('name', '')} {said.get('target', '')} {said.get('who', '')}"
    yield f"{said.get('outcome', '')}: {said.get('verdict') or ''}"
    for note in said.get("notes") or ():
        yield f"{note.get('kind', 'note')}: {note.get('text', '')}"
    for finding in said.get("findings") or ():
        keys = ("status", "check", "seen", "cause", "source")
        yield " · ".join(str(finding[key]) for key in keys if finding.get(key))
    for _, line in said.get("evidence") or ():
        yield str(line)
    plan = said.get("plan") or {}
    if plan:
        yield f"plan: {plan.get('summary', '')}"
        yield from (f"step: {step.get('title', '')}" for step in plan.get("steps") or ())


def _split(text: str) -> list[str]:
    """Its words as both databases see them: whatever is no letter and no digit parts them."""
    return [word[:_LONG_WORD] for word in re.split(r"[\W_]+", text.lower()) if word]
