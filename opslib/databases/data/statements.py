"""Statements: what costs a database most (pg_stat_statements), and which of them read much to answer little.

Judged from the planner's generic plan of today and from counts, never from a clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask, query, quoted, value
from opslib.core.errors import OpsError, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.tables import frame
from opslib.core.text import count, printable
from opslib.databases.data import query_plans, sql_texts
from opslib.databases.data.query_plans import Scan, Table

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection as Session

SLOW = "slow-query"  # the cause that findings name
STATEMENTS = {
    "calls": "int64",
    "rows_per_call": "float64",
    "blocks_per_call": "float64",
    "mean_ms": "float64",
    "total_seconds": "float64",
    "plan": "str",
    "statement": "str",
}
_READ = STATEMENTS | {"calls_per_hour": "float64"}
_LARGE_MB = 8.0  # a smaller table is read from end to end before an index is even looked up
_FEW = 0.05  # the share of a table's rows that an index is better for
_OFTEN, _CALLS = 6.0, 10  # an hour; and so many at all: a report now and then may read everything
_READS = 1000  # rows read in one call
_BRIEF, _LIST = 160, 60  # characters of a statement, and of what it selects
_QUESTION, _SOURCE = (
    "Statements find their rows by an index",
    "pg_stat_statements, EXPLAIN (GENERIC_PLAN)",
)
_RULE = f"no scan of over {_LARGE_MB:g} MB for under {_FEW * 100:.0f} % of its rows, {_OFTEN:g} times an hour or more"
_SYSTEM = ("pg_catalog.", "information_schema.")
_DRIVER = [
    "select pg_catalog.version()",
    "select current_schema()",
]  # SQLAlchemy's own, when it connects
_EXPLAINABLE = r"^\s*\(*(select|with|insert|update|delete|merge|values|table)\M"


@check(_QUESTION)
def check_statements(ops: Connection, top: int = 10) -> Findings:
    """Do the most expensive statements (`top` by total time, by mean time, by calls) find their rows by an index? Evidence: STATEMENTS.

    A large table read from end to end for few rows, often, is the cause `slow-query`; the index that would serve it is named.
    Ok where the target has no database.
    """
    if "database" not in ops.target.facts:
        seen = f"{ops.target.name} describes none"
        return Findings([Finding("ok", "is it the database?", seen, "", "the target's file")])
    where, lacking = _extension(ops)
    if lacking:
        return Findings([Finding("unknown", _QUESTION, lacking, source=_SOURCE)])
    found, hidden = _most_expensive(ops, where, top)
    if found.empty and hidden:
        seen = f"the texts of {hidden:,} statements are hidden from this role"
        return Findings([Finding("unknown", _QUESTION, f"{seen}. {_GRANT}", source=_SOURCE)])
    found["planned"] = explain_all(ops, list(found["statement"]))
    found = found[[not _is_about_the_server(plan) for plan in found["planned"]]]
    wasteful = [each for each in _scanning(ops, found) if each.wasteful]
    found["plan"] = [p if isinstance(p, str) else query_plans.brief(p) for p in found["planned"]]
    found["statement"] = [_brief(text) for text in found["statement"]]
    return Findings(
        _findings(ops, wasteful, found),
        frame(found.to_dict("records"), STATEMENTS),
        _hidden(hidden),
    )


def _brief(statement: str) -> str:
    """A statement in a line of a table: of a long list of columns, only that it is there."""
    line = printable(" ".join(statement.split()))
    start = re.search(r"\sfrom\s", sql_texts.outermost(line), re.I)
    if start and start.start() > _LIST and line[:6].lower() == "select":
        line = f"{line[:6]} …{line[start.start() :]}"
    return line if len(line) <= _BRIEF else f"{line[:_BRIEF]}…"


def _is_about_the_server(plan: dict[str, Any] | str) -> bool:
    """Whether it reads nothing but the server's own tables: a driver or a monitor asked."""
    read = set() if isinstance(plan, str) else query_plans.tables(plan)
    return bool(read) and all(name.startswith(_SYSTEM) for name in read)


def _scanning(ops: Connection, found: pd.DataFrame) -> list[Blamed]:
    """The scans in the plans of these statements."""
    scans = [
        (row, scan)
        for row in found.itertuples()
        if not isinstance(row.planned, str)
        for scan in query_plans.scans(row.planned)
    ]
    tables = _tables(ops, {scan.table for _, scan in scans if not scan.table.startswith(_SYSTEM)})
    return [
        Blamed(row.calls, row.calls_per_hour, row.rows_per_call, scan, tables[scan.table])
        for row, scan in scans
        if scan.table in tables
    ]


def _hidden(number: int) -> str:
    return (
        f"{count(number, 'statement')} of other roles: hidden from this one. {_GRANT}"
        if number
        else ""
    )


_GRANT = "To see them: GRANT pg_read_all_stats TO the secret's role."


@dataclass(frozen=True)
class Blamed:
    """A scan of a statement with what the statistics say of the statement."""

    calls: int
    calls_per_hour: float
    rows_per_call: float
    scan: Scan
    table: Table

    @property
    def reads(self) -> float:
        """Rows read in a call: all; along an index as many as it takes to find those that are answered."""
        share = max(self.scan.rows, 1) / max(self.table.rows, 1)
        return (
            min(self.table.rows, self.rows_per_call / share) if self.scan.index else self.table.rows
        )

    @property
    def wasteful(self) -> bool:
        often = self.calls >= _CALLS and self.calls_per_hour >= _OFTEN
        few = self.scan.rows <= _FEW * self.table.rows
        return often and few and self.table.megabytes >= _LARGE_MB and self.reads >= _READS


def _findings(ops: Connection, wasteful: Sequence[Blamed], found: pd.DataFrame) -> list[Finding]:
    if not wasteful:
        looked_at, unplanned = len(found), sum(isinstance(plan, str) for plan in found["planned"])
        seen = f"{count(looked_at, 'statement')} looked at, the most expensive; none reads a large table for few rows"
        seen += f" ({unplanned} could not be planned here)" if unplanned else ""
        return [Finding("ok", _QUESTION, seen, _RULE, _SOURCE)]
    by_index: dict[str, list[Blamed]] = {}
    for each in sorted(wasteful, key=lambda each: -each.calls):
        columns = _columns(ops, each)
        by_index.setdefault(
            f"{each.table.name} {columns[0] if columns else each.scan.filter}", []
        ).append(each)
    return [_finding(group, _columns(ops, group[0])) for group in by_index.values()]


def _finding(group: Sequence[Blamed], columns: Sequence[str]) -> Finding:
    """What is said of the statements that an index of these columns would serve, the one called most first."""
    most = group[0]
    index = f"CREATE INDEX CONCURRENTLY ON {most.table.name} ({', '.join(columns)})"
    seen = (
        f"An index would serve: {index}. "
        if columns
        else "No index on plain columns would serve this filter. "
    )
    seen += (
        f"{most.calls:,} calls ({most.calls_per_hour:,.0f} an hour) of a statement read about {most.reads:,.0f} of "
        f"{most.table.rows:,.0f} rows each for {most.rows_per_call:,.1f} that they answer: {most.scan}"
    )
    seen += f". {count(len(group) - 1, 'other statement')} like it" if len(group) > 1 else ""
    return Finding(
        "warn", f"{_QUESTION} in {most.table.name}", seen, _RULE, _SOURCE, SLOW, "databases/query"
    )


def _columns(ops: Connection, blamed: Blamed) -> tuple[str, ...]:
    """The columns of the index that would serve the scan; none when its filter compares no plain column."""
    order = blamed.scan.order or (
        _columns_of(ops, blamed.table.name, blamed.scan.index) if blamed.scan.index else ()
    )
    return blamed.scan.columns(blamed.table, order)


def _columns_of(ops: Connection, table: str, index: str) -> tuple[str, ...]:
    """The columns of an index with their direction: "at DESC"."""
    sql = (
        "SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = CAST(:table AS regclass) AND c.relname = :index"
    )
    said = str(value(ops, sql, {"table": quoted(table), "index": index}) or "")
    return tuple(
        part.strip()
        for part in said.partition("(")[2].rpartition(")")[0].split(",")
        if "(" not in part
    )


def _extension(ops: Connection) -> tuple[str, str]:
    """The schema of pg_stat_statements; and what to do when it cannot be used here."""
    found = query(ops, _EXTENSION_SQL)
    server = int(found["server"].iloc[0])
    if server < 160000:
        return (
            "",
            f"PostgreSQL {server // 10000} has no EXPLAIN (GENERIC_PLAN), 16 has: look at single plans in databases/query",
        )
    if not found["version"].iloc[0]:
        return "", (
            "pg_stat_statements is not installed in this database. Put it into shared_preload_libraries (the parameter group; "
            "a restart), then CREATE EXTENSION pg_stat_statements"
        )
    if tuple(map(int, found["version"].iloc[0].split(".")[:2])) < (1, 9):
        return (
            "",
            f"pg_stat_statements {found['version'].iloc[0]} is of an older server: ALTER EXTENSION pg_stat_statements UPDATE",
        )
    return str(found["schema"].iloc[0]), ""


_EXTENSION_SQL = """
SELECT current_setting('server_version_num') AS server, coalesce(max(e.extversion), '') AS version,
       coalesce(max(quote_ident(n.nspname)), '') AS schema
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
"""


def _most_expensive(ops: Connection, schema: str, top: int) -> tuple[pd.DataFrame, int]:
    """Rows of STATEMENTS with the full text and without a plan, the costliest first; how many texts are hidden."""
    hidden = f"SELECT count(*) FROM {schema}.pg_stat_statements s WHERE {_HERE} AND query = '<insufficient privilege>'"
    given = {
        "top": top,
        "ours": f"%{sessions.MARK}%",
        "explainable": _EXPLAINABLE,
        "driver": _DRIVER,
    }
    try:
        return ask(ops, _STATEMENTS_SQL.format(schema=schema), given, _READ), int(
            value(ops, hidden)
        )
    except UsageError as exc:  # our own SQL: the view is not as this version of it should be
        raise OpsError(f"pg_stat_statements cannot be read: {exc}") from exc


_HERE = (  # of this database, and not the platform's own
    "s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND s.userid NOT IN (SELECT oid FROM pg_roles WHERE rolsuper AND rolname <> current_user)"
)
_STATEMENTS_SQL = f"""
WITH seen AS (
    SELECT s.*, greatest(extract(epoch FROM now() - coalesce((to_jsonb(s) ->> 'stats_since')::timestamptz, i.stats_reset)), 60) / 3600 AS hours
    FROM {{schema}}.pg_stat_statements s CROSS JOIN {{schema}}.pg_stat_statements_info i
    WHERE {_HERE}
), ranked AS (
    SELECT *, row_number() OVER (ORDER BY total_exec_time DESC) AS by_total, row_number() OVER (ORDER BY mean_exec_time DESC) AS by_mean,
           row_number() OVER (ORDER BY calls DESC) AS by_calls
    FROM seen WHERE query NOT LIKE :ours AND query ~* :explainable AND query <> ALL(:driver)
)
SELECT calls, round((calls / hours)::numeric, 1) AS calls_per_hour, round(rows::numeric / calls, 1) AS rows_per_call,
       round(mean_exec_time::numeric, 2) AS mean_ms, round((total_exec_time / 1000)::numeric, 2) AS total_seconds,
       round((shared_blks_hit + shared_blks_read)::numeric / calls, 0) AS blocks_per_call, '' AS plan, query AS statement
FROM ranked WHERE calls > 0 AND least(by_total, by_mean, by_calls) <= :top ORDER BY total_exec_time DESC
"""


def explain_all(ops: Connection, statements: Sequence[str]) -> list[dict[str, Any] | str]:
    """The generic plan of each normalised statement ($1 for its values), none of them run; or why there is none, in words."""
    with sessions.session(
        ops, f"EXPLAIN (GENERIC_PLAN) of {count(len(statements), 'statement')}"
    ) as session:
        # The extended protocol would take $1 for a parameter of ours. Each text is one statement: the server split them.
        session.connection.driver_connection.prepare_threshold = None  # type: ignore[union-attr]
        return [_explain(session, text) for text in statements]


def _explain(session: Session, text: str) -> dict[str, Any] | str:
    from sqlalchemy.exc import DBAPIError

    try:
        with session.begin_nested():
            answer = sessions.run(
                session, f"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {text}"
            ).scalar_one()
    except DBAPIError as exc:
        if exc.connection_invalidated:
            raise
        return f"none: {printable(str(exc.orig).splitlines()[0])}"
    plan: dict[str, Any] = answer[0]["Plan"]
    return plan


def _tables(ops: Connection, names: Iterable[str]) -> dict[str, Table]:
    """These tables as the catalogue knows them, by their names with schema."""
    found = ask(ops, _TABLES_SQL, {"names": sorted(names)})
    return {
        row.name: Table(row.name, float(row.rows), float(row.megabytes), frozenset(row.columns))
        for row in found.itertuples()
    }


_TABLES_SQL = """
SELECT n.nspname || '.' || c.relname AS name, greatest(c.reltuples, 0) AS rows,
       c.relpages * current_setting('block_size')::numeric / 1048576 AS megabytes,
       ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(:names)
"""
