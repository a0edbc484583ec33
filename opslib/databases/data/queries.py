"""Queries that a target's file names, or any SELECT: its database refuses every write."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    OpsError,
    Picture,
    Question,
    Refused,
    Text,
    UsageError,
    answer,
    ask,
    check,
    count,
    first_rows,
    frame,
    plots,
    require_known,
    sessions,
)
from opslib.core.connections.sql import brief
from opslib.core.text import cell, printable
from opslib.databases.data import query_plans

_MOST = 1000  # rows, as far as they are counted
QUERIES = {"query": "str", "title": "str"}
_CHOOSE = "Nothing was asked. Give one of these names as query, or a SELECT of your own."
_NOT_HELD = "and a read-only session does not hold it back. Nothing was asked."
# How a statement that answers rows begins, after comments and parentheses.
_READ = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|values|table)\b", re.I | re.S)


class Query(NamedTuple):
    """What is asked.

    `plot`: the columns of a bar chart, label and height; none when a chart says nothing. `at_most`:
    so many rows when all is well; `next`: the entry that more of them ask for.
    """

    name: str
    title: str
    sql: str
    plot: Sequence[str] = ()
    at_most: int | None = None
    next: str = ""


def find_query(ops: Connection, query: str) -> Query:
    """A query by its name in the target's file, or a SELECT.

    Raises UsageError (unknown name, no SELECT).
    """
    named, asked = ops.target["database"].get("queries", {}), query.strip()
    if asked in named or re.fullmatch(r"[\w-]+", asked):
        require_known("query", asked, named, f" of {ops.target.name}")
        return Query(asked, **named[asked])
    if not _READ.match(query):
        raise UsageError(
            "Only a SELECT (WITH, VALUES, TABLE) is asked here. "
            "To change rows: procedure databases/execute."
        )
    return Query("", "A query of your own", asked)


def explain_query(ops: Connection, query: str) -> Text:
    """The query and the plan that the database makes of it, without running it.

    Nothing for an empty query.
    """
    if not query.strip():
        return Text("")
    asked = find_query(ops, query)
    return planned(ops, asked.title, asked.sql)


def planned(ops: Connection, title: str, sql: str, own: bool = False) -> Text:
    """A statement with its plan. Raises UsageError in the database's own words."""
    try:
        with sessions.session(ops, f"EXPLAIN {brief(sql)}", own=own) as session:
            found = sessions.run(session, f"EXPLAIN {sql}").scalars().fetchmany(500)
    except (UsageError, Refused):
        raise
    except OpsError as exc:
        plan = f"No plan: {exc}"
    else:
        plan = "\n".join(map(printable, found))
    return Text(f"{title}:\n\n{sql}\n\n{plan}")


@check("Query")
def check_query(ops: Connection, query: str, limit: int = 60) -> Findings:
    """What a query answers, `limit` rows at most.

    Evidence: the rows; for an empty query, the names that there are. The session is read-only: the
    database refuses a write. A statement that takes too long is cancelled: unknown. Raises Refused
    when a function in it acts although the session is read-only.
    """
    if limit < 1:
        raise UsageError(f"limit={limit}: at least 1 row.")
    if not query.strip():
        return _choice(ops)
    asked = find_query(ops, query)
    try:
        rows = read(ops, asked.sql, limit + 1)
    except NotFound as exc:  # of the operator's own it is a slip, of the file's a finding
        raise exc if asked.name else query_plans.unknown_table(ops, exc) from exc
    seen = f"{count(len(rows), 'row')}: {first_rows(rows)}" if len(rows) else "no row"
    if len(rows) > limit:
        rows = rows.head(limit)
        seen = f"the first {count(limit, 'row')}; there are more (limit = {limit}). "
        seen += "Narrow the query, or count in SQL"
    source = f"database of {ops.target.name}, read-only"
    question = Question(f"query {asked.name}".rstrip(), source=source)
    rows.attrs["query"] = asked
    return Findings(question.ok(seen), rows, unheld(ops))


@check("Does any query answer more rows than it may?")
def check_expected(ops: Connection) -> Findings:
    """The queries of the target's file that say how many rows are well (`at_most`)."""
    every = (find_query(ops, name) for name in ops.target["database"].get("queries", {}))
    asked = [of for of in every if of.at_most is not None]
    return Findings(judge_query(ops, of, otherwise="warn") for of in asked)


def judge_query(ops: Connection, of: Query, at: Json | None = None, **wrong: str) -> Finding:
    """Whether a query answers no more rows than it may (none). `wrong`: of the finding, if more."""
    most = of.at_most or 0
    asked = Question(of.title, f"at most {count(most, 'row')}", f"database.queries.{of.name}")
    return answer(asked, _expected, ops, of, at, asked, {"next": of.next} | wrong)


def _expected(ops: Connection, of: Query, at: Json | None, asked: Question, wrong: Json) -> Finding:
    found, most = ask(ops, of.sql, limit=_MOST, at=at), of.at_most or 0
    seen = f"{len(found):,}{' or more' * (len(found) == _MOST)} rows"
    if len(found):
        first = ", ".join(f"{key} {value}" for key, value in found.iloc[0].items())
        seen += f", the first: {first}"
    return asked.judged(len(found) <= most, seen, **wrong)


def unheld(ops: Connection) -> str:
    """What the database does not refuse to the login for reads, in a sentence; empty: nothing.

    As the server says: read-only holds back writes, not what acts outside of the transaction.
    """
    said = ask(ops, _UNHELD_SQL).iloc[0]
    may = [_MAY[name] for name in _MAY if said[name]]
    if not may:
        return ""
    ours = "reader_secret" if sessions.reads_apart(ops) else "secret"
    return (
        f"Read-only holds back writes. It does not hold back what login {said['login']} "
        f"(database.{ours}) may do besides: {'; '.join(may)}. A login that may only read "
        "(pg_read_all_data, pg_monitor), as database.reader_secret in the target's file, is "
        "refused by the server."
    )


_MAY = {
    "super": "everything a superuser may, also outside of the database",
    "signals": "end or cancel other sessions",
    "files": "read or write the server's files, run its programs",
    "shared": "end or cancel the sessions of the application, which has the same login",
}
_UNHELD_SQL = """
SELECT current_user AS login, r.rolsuper AS super,
       pg_has_role(r.oid, 'pg_signal_backend', 'MEMBER') AS signals,
       pg_has_role(r.oid, 'pg_read_server_files', 'MEMBER')
         OR pg_has_role(r.oid, 'pg_write_server_files', 'MEMBER')
         OR pg_has_role(r.oid, 'pg_execute_server_program', 'MEMBER') AS files,
       EXISTS (SELECT FROM pg_stat_activity s WHERE s.usesysid = r.oid
               AND s.pid <> pg_backend_pid() AND s.application_name NOT LIKE 'opslib/%')
         OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid) AS shared
FROM pg_roles r WHERE r.rolname = current_user
"""


def _choice(ops: Connection) -> Findings:
    """The queries that the target's file names, as evidence."""
    named = ops.target["database"]["queries"]
    rows = ((name, said["title"]) for name, said in named.items())
    asked = Question("queries that the target's file names")
    return Findings(asked.ok(", ".join(named)), frame(rows, QUERIES), _CHOOSE)


def read(ops: Connection, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Frame:
    """The first rows that a SELECT answers. Of a large answer only these leave the server.

    What no table can hold is shown as text. Raises Refused, before anything is asked, when a
    function in it acts although the session is read-only.
    """
    with sessions.session(ops, brief(sql)) as session:
        if not params and not sessions.reads_apart(ops):  # else it is our own, or the server's
            query_plans.explain_harmless(session, sql, _NOT_HELD)
        # A cursor takes one SELECT and nothing else: no COPY, no second one, no change in a WITH.
        answer = sessions.run(session, sql, params, stream_results=True, max_row_buffer=limit)
        return shown(answer, limit)


def shown(answer: Any, limit: int) -> Frame:
    """The first rows of an answer, as a table can hold them."""
    import pandas as pd

    rows = [list(map(cell, row)) for row in answer.fetchmany(limit)]
    names: list[str] = []
    for name in map(printable, answer.keys()):  # one that comes twice gets a number
        number = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({number + 1})" if name in names else name)
    # whole numbers stay whole beside NULL
    return pd.DataFrame(rows, columns=names, dtype="object").convert_dtypes()


def plot_query(found: Findings) -> Picture:
    """The bar chart that the target's file asks for; a sentence where it asks for none."""
    rows = found.evidence
    query = None if rows is None else rows.attrs.get("query")
    if rows is None or not query or not query.plot:
        return Picture(b"", "No picture: the target's file names no columns to draw.")
    label, height = query.plot
    absent = sorted({label, height} - set(rows.columns))
    if absent:
        raise UsageError(
            f"Query {query.name!r} answers no column {', '.join(absent)}, "
            "which `plot` in the target's file names."
        )
    heights = rows[height].fillna(0).astype(float)
    return plots.bars(query.title, height, list(rows[label].map(str)), list(heights))
