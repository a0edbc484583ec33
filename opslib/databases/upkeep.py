"""Tables looked after by hand: VACUUM, ANALYZE, indexes made anew, none of which locks anybody out.

https://www.postgresql.org/docs/current/routine-vacuuming.html
"""

from collections.abc import Iterator
from datetime import datetime

from opslib.core import (
    Connection,
    Findings,
    Frame,
    Planned,
    Question,
    Step,
    UsageError,
    check,
    dtypes,
    planner,
    quoted,
    sql,
    unknown_name,
)
from opslib.core.actions.upkeep import Upkeep

UPKEEP = dtypes("""
    table           str
    size_mb         float64
    indexes_mb      float64
    live_rows       int64
    dead_rows       int64
    changed_rows    int64
    vacuumed        utc
    analyzed        utc
    invalid_indexes str
""")
WORKS = {
    "vacuum": "VACUUM (ANALYZE) {}",
    "analyze": "ANALYZE {}",
    "reindex": "REINDEX TABLE CONCURRENTLY {}",
}
_SECONDS = 3 * 3600


def list_upkeep(ops: Connection, table: str = "") -> Frame:
    """Tables by their dead rows, the most first: sizes, and when each was last looked after.

    `changed_rows`: since the planner's statistics were last made. Columns: UPKEEP.
    """
    return sql.query(ops, _UPKEEP_SQL, UPKEEP, table=table)


@planner
def plan_upkeep(ops: Connection, table: str, work: str = "vacuum") -> Planned:
    """VACUUM and ANALYZE a table, only ANALYZE it, or make its indexes anew (CONCURRENTLY).

    Readers and writers go on meanwhile. Raises UsageError (also: no such table).
    """
    if work not in WORKS:
        raise UsageError(f"work = {work!r} is none of {', '.join(WORKS)}.")
    found = list_upkeep(ops, table)
    if found.empty and not table:
        return Planned("the database has no table: nothing to look after")
    if found.empty:
        raise unknown_name("table", table, list_upkeep(ops)["table"], f" of {ops.target.name}")
    row = found.iloc[0]
    table = row["table"]
    statement = WORKS[work].format(quoted(table))
    step = Step(statement, Upkeep(statement, _SECONDS), undo=[])
    return Planned(f"{work} {table}", [step], _notes(work, row["size_mb"], row["indexes_mb"]))


def _notes(work: str, size_mb: float, indexes_mb: float) -> Iterator[str]:
    yield f"Readers and writers go on; it reads {size_mb:,.0f} MB, and takes I/O from them."
    if work == "reindex":
        yield f"New indexes stand beside the old ones meanwhile: up to {indexes_mb:,.0f} MB more."
        yield "It waits for every older transaction; broken off, it leaves indexes named …_ccnew,"
        yield "which are invalid: drop them."
    elif work == "vacuum":
        yield "Room is kept for new rows, not given back to the disk: VACUUM FULL would do that, "
        yield "and lock everybody out for as long as it takes."


@check("Was the table looked after?")
def check_upkeep(ops: Connection, table: str, work: str, since: datetime) -> Findings:
    """After it: the server says when.

    A login that does not own the table is passed over with a warning only.
    `since`: a time before it, as the plan was made. Evidence: UPKEEP.
    """
    found = list_upkeep(ops, table)
    rule = "" if work == "reindex" else f"since {since:%m-%d %H:%M:%S} UTC"
    asked = Question(f"{table} was looked after", rule, "pg_stat_user_tables")
    row = found.iloc[0]
    if work == "reindex":
        bad = row["invalid_indexes"]
        told = asked.judged(not bad, f"invalid: {bad}" if bad else "all indexes are valid")
        return Findings(told, found)
    when = row["analyzed" if work == "analyze" else "vacuumed"]
    known = when == when
    well = known and when >= since
    seen = f"{when:%m-%d %H:%M:%S} UTC" if known else "never by hand"
    seen += f"; {row['dead_rows']:,} dead rows beside {row['live_rows']:,}"
    seen += "" if well else ". Does the login own the table? PostgreSQL only warns when it does not"
    return Findings(asked.judged(well, seen), found)


_UPKEEP_SQL = """
SELECT CASE s.schemaname WHEN 'public' THEN '' ELSE s.schemaname || '.' END || s.relname AS table,
       round(pg_table_size(s.relid) / 1e6, 1) AS size_mb,
       round(pg_indexes_size(s.relid) / 1e6, 1) AS indexes_mb,
       n_live_tup AS live_rows, n_dead_tup AS dead_rows, n_mod_since_analyze AS changed_rows,
       last_vacuum AS vacuumed, last_analyze AS analyzed,
       coalesce((SELECT string_agg(i.indexrelid::regclass::text, ', ') FROM pg_index i
                 WHERE i.indrelid = s.relid AND NOT i.indisvalid), '') AS invalid_indexes
FROM pg_stat_user_tables s
WHERE CAST(:table AS text) IN ('', s.schemaname || '.' || s.relname)
   OR s.schemaname = 'public' AND s.relname = :table
ORDER BY n_dead_tup DESC, pg_table_size(s.relid) DESC
"""
