"""Queries: those that a target's file names, or any SELECT; asked of its database, which refuses every write."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslib.core.checks import plots
from opslib.core.checks.checks import check
from opslib.core.checks.plots import Picture
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask, brief
from opslib.core.errors import OpsError, Refused, UsageError, unknown_name
from opslib.core.findings import Finding, Findings
from opslib.core.tables import UTC_TIME, frame
from opslib.core.text import Text, cell, count, printable
from opslib.databases.data import sql_texts

if TYPE_CHECKING:
    import pandas as pd

QUERIES = {"query": "str", "title": "str"}
_CHOOSE = "Nothing was asked. Give one of these names as query, or a SELECT of your own."


@dataclass(frozen=True)
class Query:
    """What is asked. `plot`: the columns of a bar chart, label and height; none when a chart says nothing."""

    name: str
    title: str
    sql: str
    plot: tuple[str, ...] = ()


class Answer(Findings):
    """The rows that a query answered, as evidence, and the query."""

    def __init__(self, found: Sequence[Finding], evidence: pd.DataFrame, query: Query) -> None:
        super().__init__(found, evidence)
        self.query = query


def list_queries(ops: Connection) -> pd.DataFrame:
    """The queries that the target's file names. Columns: QUERIES."""
    named = _named(ops)
    return frame(({"query": name, "title": said["title"]} for name, said in named.items()), QUERIES)


def _named(ops: Connection) -> Any:
    return ops.target["database"].get("queries", {})


def of(ops: Connection, query: str) -> Query:
    """A query by its name in the target's file, or a SELECT.

    Raises UsageError (unknown name, no SELECT), Refused (a function in it acts although the session is read-only).
    """
    named = _named(ops)
    if re.fullmatch(r"[\w-]+", query.strip()):
        if query.strip() not in named:
            raise unknown_name("query", query.strip(), named, f" of {ops.target.name}")
        said = named[query.strip()]
        return Query(query.strip(), said["title"], said["sql"].strip(), tuple(said.get("plot", ())))
    if not sql_texts.is_read(query):
        raise UsageError(
            "Only a SELECT (WITH, VALUES, TABLE) is asked here. To change rows: procedure databases/execute."
        )
    if name := sql_texts.acts(query):
        raise Refused(
            f"{name}() acts at once, and a read-only session does not hold it back. Nothing was asked."
        )
    return Query("", "A query of your own", query.strip())


def explain_query(ops: Connection, query: str) -> Text:
    """The query and the plan that the database makes of it, without running it. Nothing for an empty query."""
    if not query.strip():
        return Text("")
    asked = of(ops, query)
    return planned(ops, asked.title, asked.sql)


def planned(ops: Connection, title: str, sql: str) -> Text:
    """A statement with its plan. Raises UsageError in the database's own words."""
    try:
        found = ask(ops, f"EXPLAIN {sql}", limit=500)
    except (UsageError, Refused):
        raise
    except OpsError as exc:
        return Text(f"{title}:\n\n{sql}\n\nNo plan: {exc}")
    plan = "\n".join(printable(line) for line in found.iloc[:, 0])
    return Text(f"{title}:\n\n{sql}\n\n{plan}")


@check("Query")
def check_query(ops: Connection, query: str, limit: int = 60) -> Findings:
    """What a query answers, `limit` rows at most. Evidence: the rows; for an empty query, the names that there are.

    The session is read-only: the database refuses a write. A statement that takes too long is cancelled: unknown.
    """
    if limit < 1:
        raise UsageError(f"limit={limit}: at least 1 row.")
    if not query.strip():
        listed = list_queries(ops)
        if listed.empty:
            file = f"parameters/targets/{ops.target.key}.yaml"
            raise UsageError(
                f"{file} describes no database.queries. Give a SELECT of your own as `query`."
            )
        seen = ", ".join(listed["query"])
        return Findings(
            [Finding("ok", "queries that the target's file names", seen)], listed, _CHOOSE
        )
    asked = of(ops, query)
    rows, names = read(ops, asked.sql, limit + 1)
    seen = count(len(rows), "row") if rows else "no row"
    if len(rows) > limit:
        seen = f"the first {count(limit, 'row')}; there are more (limit = {limit}). Narrow the query, or count in SQL"
    finding = Finding(
        "ok",
        f"query {asked.name}".rstrip(),
        seen,
        source=f"database of {ops.target.name}, read-only",
    )
    return Answer([finding], table(rows[:limit], names), asked)


def read(
    ops: Connection, sql: str, limit: int, params: Mapping[str, Any] | None = None
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The first rows that a SELECT answers, and its columns. Of a large answer only these leave the server."""
    with sessions.session(ops, brief(sql)) as session:
        # A cursor takes one SELECT and nothing else: no COPY, no second statement, no change inside of a WITH.
        answer = sessions.run(session, sql, params, stream_results=True, max_row_buffer=limit)
        return [tuple(row) for row in answer.fetchmany(limit)], list(answer.keys())


def table(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> pd.DataFrame:
    """Rows as a table: a name that comes twice gets a number; what no table can hold is shown as text; times are UTC."""
    import pandas as pd

    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pd.DataFrame(
        {name: _column(values) for name, values in zip(_distinct(names), columns, strict=True)},
        columns=_distinct(names),
    )


def _distinct(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in map(printable, names):
        number = sum(other == name or other.startswith(f"{name} (") for other in found)
        found.append(f"{name} ({number + 1})" if number and name in found else name)
    return found


def _column(values: Sequence[Any]) -> Any:
    import pandas as pd

    made = pd.Series([cell(each) for each in values], dtype=None if values else "object")
    if isinstance(made.dtype, pd.DatetimeTZDtype):
        return made.astype(UTC_TIME)
    whole = all(each is None or type(each) is int for each in values) and made.dtype == "float64"
    return (
        pd.array([pd.NA if each is None else each for each in values], dtype="Int64")
        if whole
        else made
    )


def plot_query(found: Findings) -> Picture:
    """The bar chart that the target's file asks for; a sentence where it asks for none."""
    if not isinstance(found, Answer) or found.evidence is None or not found.query.plot:
        return Picture(b"", "No picture: the target's file names no columns to draw.")
    label, height = found.query.plot
    absent = sorted({label, height} - set(found.evidence.columns))
    if absent:
        raise UsageError(
            f"Query {found.query.name!r} answers no column {', '.join(absent)}, which `plot` in the target's file names."
        )
    heights = [float(value) for value in found.evidence[height].fillna(0)]
    return plots.bars(
        found.query.title, height, [str(each) for each in found.evidence[label]], heights
    )
