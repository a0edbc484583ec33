"""What the target's database is asked, and how rows in it are changed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, OpsError, UsageError
from opslib.core.tables import UTC_TIME, Frame, Json, Params, frame
from opslib.core.text import cut

ROW_LIMIT = 10_000


def query(
    ops: Connection, sql: str, /, columns: Mapping[str, str] | None = None, **params: Any
) -> Frame:
    """What a SELECT (or EXPLAIN, SHOW) answers, at most ROW_LIMIT rows; `:name` in it stands for a
    parameter.

    `columns` declares names and dtypes, as reads do; else they are the database's own. The session
    is read-only.
    Raises Unfinished (unreachable, too slow), NotAllowed, NotFound (no such table), Refused (it
    would write), UsageError.
    """
    return ask(ops, sql, params, columns)


def ask(
    ops: Connection,
    sql: str,
    params: Params | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int = ROW_LIMIT,
    at: Params | None = None,
    path: str = "",
) -> Frame:
    """`query` with its parameters in a mapping; and with the same login elsewhere: `at` host, port,
    database of a copy. `path`: schemas in place of those that the login looks into.
    """
    with sessions.session(ops, brief(sql), at=at) as session:
        if path:
            sessions.run(session, f"SET LOCAL search_path = {path}")
        answer = sessions.run(session, sql, params)
        if not answer.returns_rows:
            raise UsageError(
                f"{brief(sql)} answers no rows. Only reads are asked here; a change is a plan's "
                "step."
            )
        names = list(answer.keys())
        rows = [row._asdict() for row in answer.fetchmany(limit + 1)]
    if len(rows) > limit:
        print(
            f"Only the first {limit:,} rows are shown; there are more. Narrow the query, or count "
            "in SQL.",
            flush=True,
        )
    if columns:
        return frame(rows[:limit], columns)
    import pandas as pd

    made = pd.DataFrame(rows[:limit], columns=names)
    return made.astype(dict.fromkeys(made.select_dtypes("datetimetz"), UTC_TIME))


def value(
    ops: Connection,
    sql: str,
    params: Params | None = None,
    at: Params | None = None,
) -> Any:
    """The one value that a query answers; None when it answers no row."""
    found = ask(ops, sql, params, at=at)
    if found.shape[1] != 1 or len(found) > 1:
        raise UsageError(
            f"{brief(sql)} answers {found.shape[0]} × {found.shape[1]} values instead of one."
        )
    return next(iter(found.iloc[:, 0].tolist()), None)


def brief(sql: str) -> str:
    """A statement in one short line."""
    return cut(" ".join(sql.split()), 98)


def execute(
    ops: Connection,
    statement: str,
    parameters: Params | Sequence[Params],
    rows: int,
) -> dict[str, int]:
    """Change rows in one transaction, committed only when exactly `rows` rows were affected.

    A list runs it once for each.

    Raises OpsError (another number; rolled back) or Lost (the connection was lost while
    committing).
    """
    sets = [parameters] if isinstance(parameters, Mapping) else parameters
    with sessions.session(ops, brief(statement), write=True) as session:
        affected = sum(sessions.run(session, statement, each).rowcount for each in sets)
        if affected != rows:
            session.rollback()
            raise OpsError(
                f"{affected} rows would have been changed instead of {rows}: {brief(statement)}. "
                "It was rolled back; preview again to see what the rows are now."
            )
        sessions.run(session, "SET CONSTRAINTS ALL IMMEDIATE")
        gone = [f"{name} {said}" for name, said in touched(session).items() if "deleted" in said]
        if len(gone) > 1:
            session.rollback()
            raise OpsError(
                f"More would have gone than was shown ({'; '.join(gone)}): {brief(statement)}. It "
                "was rolled back: a foreign key or a trigger takes rows of other tables along."
            )
        with deciding(statement):
            session.commit()
    return {"rows": affected}


def refused(ops: Connection, statement: str, sets: Sequence[Params]) -> list[Params]:
    """Those of these with which the statement fails: done, each by itself, and rolled back."""
    from sqlalchemy.exc import DBAPIError

    found = []
    with sessions.session(ops, f"{brief(statement)} (rolled back)", write=True) as session:
        for each in sets:
            try:
                with session.begin_nested():
                    sessions.run(session, statement, each)
            except DBAPIError:
                found.append(each)
    return found


def measure(ops: Connection, statement: str) -> Json:
    """What a statement that answers one JSON finds, done and rolled back; with `tables`.

    `tables`: the rows of each table that were added, changed, deleted meanwhile, as the server
    counts them: also those of cascades and triggers.
    """
    with sessions.session(ops, f"{brief(statement)} (rolled back)", write=True) as session:
        return _measured(session, statement)


def change(ops: Connection, statement: str, expected: Params) -> Json:
    """`measure`, and committed when it finds what is expected, no less and no more.

    Not compared: `made`, the keys of rows that it made.
    Raises OpsError (something else: rolled back), Lost (while committing).
    """
    with sessions.session(ops, brief(statement), write=True) as session:
        found = _measured(session, statement)
        keys = sorted({*found, *expected} - {"made"})
        wrong = [key for key in keys if found.get(key) != expected.get(key)]
        if wrong:
            session.rollback()
            seen = "; ".join(
                f"{key} {found.get(key)} instead of {expected.get(key)}" for key in wrong
            )
            raise OpsError(
                f"What would have been changed is not what was shown ({seen}): {brief(statement)}. "
                "It was rolled back; preview again to see what the rows are now."
            )
        with deciding(statement):
            session.commit()
    return found


def _measured(session: Any, statement: str) -> Json:
    sessions.run(session, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    found: Json = sessions.run(session, statement).scalar_one()
    sessions.run(session, "SET CONSTRAINTS ALL IMMEDIATE")  # what is deferred happens now
    return found | {"tables": touched(session)}


def touched(session: Any) -> dict[str, str]:
    """By table: how many rows this transaction added, changed, deleted, in words."""
    found = {}
    for row in sessions.run(session, _TOUCHED_SQL).mappings():
        words = [f"{row[word]} {word}" for word in ("added", "changed", "deleted") if row[word]]
        found[row["name"]] = ", ".join(words)
    return found


def rows_touched(tables: Mapping[str, str]) -> int:
    """How many rows in all, of what `touched` says."""
    return sum(int(part.split()[0]) for said in tables.values() for part in said.split(", "))


_TOUCHED_SQL = """
SELECT schemaname || '.' || relname AS name, n_tup_ins AS added, n_tup_upd AS changed,
       n_tup_del AS deleted
FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 1
"""


@contextmanager
def deciding(statement: str) -> Iterator[None]:
    """Raises Lost: the connection was lost inside, where the statement comes to be done."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as exc:
        if exc.connection_invalidated:
            raise Lost(
                f"The connection was lost while it was done or committed: {brief(statement)}. Look "
                "whether it is done."
            ) from exc
        raise


def count_rows(ops: Connection, tables: Sequence[str], at: Params | None = None) -> dict[str, int]:
    """How many rows each of these tables holds now, counted in one statement."""
    if not tables:
        return {}
    counts = ", ".join(f"(SELECT count(*) FROM {quoted(table)})" for table in tables)
    found = value(ops, f"SELECT ARRAY[{counts}]", at=at)
    return dict(zip(tables, found, strict=True))


def quoted(name: str) -> str:
    """An SQL identifier out of the target's file, quoted; `schema.table` in two parts."""
    return ".".join(map(identifier, name.split(".")))


def identifier(name: str) -> str:
    """One SQL identifier, quoted, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A value in a statement that has no parameters: text, of which the server makes its type."""
    return "'" + value.replace("'", "''") + "'"


def list_tables(ops: Connection, at: Params | None = None) -> list[str]:
    """The tables that the secret's role sees, `public` ones without the schema."""
    found = ask(
        ops,
        "SELECT CASE schemaname WHEN 'public' THEN '' ELSE schemaname || '.' END || tablename AS "
        "name FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
        at=at,
    )
    return list(found["name"])
