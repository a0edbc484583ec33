"""Statements that cost most (pg_stat_statements), judged by their plans and counts, not a clock."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    OpsError,
    Question,
    UsageError,
    ask,
    check,
    count,
    dtypes,
    frame,
    quoted,
    redaction,
    sessions,
)
from opslib.core.connections.sql import query, value
from opslib.core.text import printable
from opslib.databases.data import query_plans
from opslib.databases.data.query_plans import Scan, Table

SLOW = "slow-query"  # the cause that findings name
STATEMENTS = dtypes("""
    calls           int64
    calls_per_hour  float64
    rows_per_call   float64
    blocks_per_call float64
    mean_ms         float64
    total_seconds   float64
    plan            str
    statement       str
""")
_LARGE_MB = 8.0  # a smaller table is read from end to end before an index is even looked up
_FEW = 0.05  # the share of a table's rows that an index is better for
_OFTEN, _CALLS = 6.0, 10  # an hour; and so many at all: a report now and then may read everything
_READS = 1000  # rows read in one call
_BRIEF, _LIST = 160, 60  # characters of a statement, and of what it selects
_ASKED = Question(
    "Statements find their rows by an index",
    f"no scan of over {_LARGE_MB:g} MB for under {_FEW * 100:.0f} % of its rows, "
    f"{_OFTEN:g} times an hour or more",
    "pg_stat_statements, EXPLAIN of a generic plan",
)
_NONE = "none: "
_SYSTEM = ("pg_catalog.", "information_schema.")
_DRIVER = [
    "select pg_catalog.version()",
    "select current_schema()",
]  # SQLAlchemy's own, when it connects
_EXPLAINABLE = r"^\s*\(*(select|with|insert|update|delete|merge|values|table)\M"


@check(_ASKED.words)
def check_statements(ops: Connection, top: int = 10) -> Findings:
    """Do the costliest statements find their rows by an index? `top` by total, mean time, calls.

    A large table read from end to end for few rows, often, is the cause `slow-query`; the index
    that would serve it is named. Ok where the target has no database. Evidence: STATEMENTS.
    """
    if "database" not in ops.target.facts:
        asked = Question("is it the database?", source="the target's file")
        return Findings(asked.ok(f"{ops.target.name} describes none"))
    found, hidden = _most_expensive(ops, _schema(ops), top)
    if found.empty and hidden:
        raise OpsError(f"the texts of {hidden:,} statements are hidden from this role. {_GRANT}")
    found["planned"] = explain_all(ops, list(found["statement"]))
    found = found[~found["planned"].map(_is_about_the_server).astype(bool)]
    wasteful = [each for each in _scanning(ops, found) if each.wasteful]
    found["plan"] = found["planned"].map(query_plans.brief)
    found["statement"] = found["statement"].map(_brief)
    note = f"{count(hidden, 'statement')} of other roles: hidden from this one. {_GRANT}"
    rows = frame(found.to_dict("records"), STATEMENTS)
    return Findings(_findings(ops, wasteful, rows), rows, note if hidden else "")


_GRANT = "To see them: GRANT pg_read_all_stats TO the secret's role."


def _brief(statement: str) -> str:
    """A statement in a line of a table: of a long list of columns, only that it is there."""
    line = printable(redaction.mask(" ".join(statement.split())))
    line = re.sub(rf"^(select) .{{{_LIST},}}? from ", r"\1 … from ", line, flags=re.I)
    return line if len(line) <= _BRIEF else f"{line[:_BRIEF]}…"


def _is_about_the_server(plan: Json) -> bool:
    """Whether it reads nothing but the server's own tables: a driver or a monitor asked."""
    read = query_plans.tables(plan)
    return bool(read) and all(name.startswith(_SYSTEM) for name in read)


def _scanning(ops: Connection, found: Frame) -> list[Blamed]:
    """The scans in the plans of these statements."""
    scans = [(row, scan) for row in found.itertuples() for scan in query_plans.scans(row.planned)]
    names = sorted({scan.table for _, scan in scans})
    known = ask(ops, _TABLES_SQL, {"names": names}).itertuples(index=False)
    tables = {row[0]: Table(*row) for row in known}
    return [
        Blamed(row.calls, row.calls_per_hour, row.rows_per_call, scan, tables[scan.table])
        for row, scan in scans
        if scan.table in tables
    ]


class Blamed(NamedTuple):
    """A scan of a statement with what the statistics say of the statement."""

    calls: int
    calls_per_hour: float
    rows_per_call: float
    scan: Scan
    table: Table

    @property
    def reads(self) -> float:
        """Rows read in a call: all; along an index, until those that are answered are found."""
        if not self.scan.index:
            return self.table.rows
        share = max(self.scan.rows, 1) / max(self.table.rows, 1)
        return min(self.table.rows, self.rows_per_call / share)

    @property
    def wasteful(self) -> bool:
        often = self.calls >= _CALLS and self.calls_per_hour >= _OFTEN
        few = self.scan.rows <= _FEW * self.table.rows
        return often and few and self.table.megabytes >= _LARGE_MB and self.reads >= _READS


def _findings(ops: Connection, wasteful: Sequence[Blamed], found: Frame) -> list[Finding]:
    if not wasteful:
        unplanned = found["plan"].str.startswith(_NONE).sum()
        seen = f"{count(len(found), 'statement')} looked at, the most expensive; "
        seen += "none reads a large table for few rows"
        seen += f" ({unplanned} could not be planned here)" if unplanned else ""
        return [_ASKED.ok(seen, cause=SLOW)]
    by_index: defaultdict[tuple[str, str], list[Blamed]] = defaultdict(list)
    for each in sorted(wasteful, key=lambda each: -each.calls):
        columns = _columns(ops, each)
        by_index[each.table.name, columns[0] if columns else each.scan.filter].append(each)
    return [_finding(group, _columns(ops, group[0])) for group in by_index.values()]


def _finding(group: Sequence[Blamed], columns: Sequence[str]) -> Finding:
    """What is said of the statements that one index would serve, the one called most first."""
    most, others = group[0], count(len(group) - 1, "other statement")
    index = f"CREATE INDEX CONCURRENTLY ON {most.table.name} ({', '.join(columns)})"
    served = f"An index would serve: {index}. "
    unserved = "No index on plain columns would serve this filter. "
    seen = (
        f"{served if columns else unserved}"
        f"{most.calls:,} calls ({most.calls_per_hour:,.0f} an hour) of a statement read about "
        f"{most.reads:,.0f} of {most.table.rows:,.0f} rows each for {most.rows_per_call:,.1f} that "
        f"they answer: {most.scan}{f'. {others} like it' if len(group) > 1 else ''}"
    )
    asked = replace(_ASKED, words=f"{_ASKED.words} in {most.table.name}")
    return asked.warn(seen, cause=SLOW, next="databases/query")


def _columns(ops: Connection, blamed: Blamed) -> Sequence[str]:
    """The columns of the index that would serve the scan, in the order that is wanted of it.

    None when its filter compares no plain column.
    """
    scan, order = blamed.scan, blamed.scan.order
    if scan.index and not order:  # that of the index which it goes along: "at DESC"
        names = {"table": quoted(scan.table), "index": scan.index}
        said = str(value(ops, _INDEX_SQL, names) or "")
        parts = said.partition("(")[2].rpartition(")")[0].split(",")
        order = tuple(part.strip() for part in parts if "(" not in part)
    return scan.columns(blamed.table, order)


_INDEX_SQL = """
SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = CAST(:table AS regclass) AND c.relname = :index
"""


def _schema(ops: Connection) -> str:
    """The schema of pg_stat_statements. Raises OpsError when it cannot be used here."""
    found = query(ops, _EXTENSION_SQL).iloc[0]
    if not found["schema"]:
        raise OpsError(
            "pg_stat_statements is not installed in this database. Put it into "
            "shared_preload_libraries (the parameter group; a restart), then "
            "CREATE EXTENSION pg_stat_statements"
        )
    return str(found["schema"])


_EXTENSION_SQL = """
SELECT coalesce(max(quote_ident(n.nspname)), '') AS schema
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
"""


def _most_expensive(ops: Connection, schema: str, top: int) -> tuple[Frame, int]:
    """Rows of STATEMENTS, the text whole and without a plan; and how many texts are hidden."""
    ours = f"%{sessions.MARK}%"
    given = {"top": top, "ours": ours, "explainable": _EXPLAINABLE, "driver": _DRIVER}
    try:
        found = ask(ops, _STATEMENTS_SQL.format(schema=schema), given, STATEMENTS)
        return found, int(value(ops, _HIDDEN_SQL.format(schema=schema)))
    except (NotFound, UsageError) as exc:  # our own SQL: the view is not as it should be
        raise OpsError(
            f"pg_stat_statements cannot be read: {exc} Is it of an older server? Then "
            "ALTER EXTENSION pg_stat_statements UPDATE"
        ) from exc


_HERE = (  # of this database, and not the platform's own
    "s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND s.userid NOT IN (SELECT oid FROM pg_roles WHERE rolsuper AND rolname <> current_user)"
)
_STATEMENTS_SQL = f"""
WITH seen AS (
    SELECT s.*, extract(epoch FROM now() - coalesce(
        (to_jsonb(s) ->> 'stats_since')::timestamptz, i.stats_reset)) AS seconds
    FROM {{schema}}.pg_stat_statements s CROSS JOIN {{schema}}.pg_stat_statements_info i
    WHERE {_HERE}
), ranked AS (
    SELECT *, greatest(seconds, 60) / 3600 AS hours,
           row_number() OVER (ORDER BY total_exec_time DESC) AS by_total,
           row_number() OVER (ORDER BY mean_exec_time DESC) AS by_mean,
           row_number() OVER (ORDER BY calls DESC) AS by_calls
    FROM seen WHERE query NOT LIKE :ours AND query ~* :explainable AND query <> ALL(:driver)
)
SELECT calls, round((calls / hours)::numeric, 1) AS calls_per_hour,
       round(rows::numeric / calls, 1) AS rows_per_call,
       round(mean_exec_time::numeric, 2) AS mean_ms,
       round((total_exec_time / 1000)::numeric, 2) AS total_seconds,
       round((shared_blks_hit + shared_blks_read)::numeric / calls, 0) AS blocks_per_call,
       '' AS plan, query AS statement
FROM ranked WHERE calls > 0 AND least(by_total, by_mean, by_calls) <= :top
ORDER BY total_exec_time DESC
"""
_HIDDEN_SQL = f"""
SELECT count(*) FROM {{schema}}.pg_stat_statements s
WHERE {_HERE} AND query = '<insufficient privilege>'
"""


def explain_all(ops: Connection, statements: Sequence[str]) -> list[Json]:
    """The generic plan of each normalised statement ($1 for its values), none of them run.

    Where there is none, a plan of one node that says why.
    """
    what = f"EXPLAIN of {count(len(statements), 'statement')}"
    with sessions.session(ops, what, own=True) as session:
        # The extended protocol would take $1 for a parameter of ours. Each text is one statement:
        # the server split them.
        session.connection.driver_connection.prepare_threshold = None  # type: ignore[union-attr]
        sessions.run(session, "SET LOCAL plan_cache_mode = force_generic_plan")
        plans = [query_plans.attempt_generic(session, text) for text in statements]
    return [
        plan
        if isinstance(plan, dict)
        else {"Node Type": _NONE + printable(str(plan.orig).splitlines()[0])}
        for plan in plans
    ]


_TABLES_SQL = """
SELECT n.nspname || '.' || c.relname AS name, greatest(c.reltuples, 0)::float8 AS rows,
       c.relpages * current_setting('block_size')::float8 / 1048576 AS megabytes,
       ARRAY(SELECT attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(:names)
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
