"""What runs long in a database, what holds a transaction open, who waits for whom."""

from typing import Any

from opslib.core import Connection, Findings, Question, check, count, cut, dtypes, sql

ACTIVITY = dtypes("""
    pid         int64
    application str
    state       str
    seconds     float64
    waits_for   str
    blocked_by  str
    blocks      int64
    maintenance bool
    statement   str
""")
BLOCKED = "locks-held"  # the cause that findings name
# A statement on one line, without what would garble a terminal.
STATEMENT = (
    r"left(regexp_replace(query, '[\x01-\x20\x7f-\u009f\u202a-\u202e\u2066-\u2069]+', ' ', 'g'), "
    "200) AS statement"
)
_WAITS_SECONDS = 1  # PostgreSQL's own deadlock_timeout: a shorter wait is how locks work


@check("Long statements, open transactions, locks")
def check_activity(ops: Connection, seconds: float = 60) -> Findings:
    """Does a statement or an idle transaction last longer than this, or wait for a lock?

    Who holds the lock that others wait for is named. A VACUUM, an ANALYZE or an index that is made
    takes long where the table is large, and is well as long as nobody waits for it.
    Evidence: ACTIVITY.
    """
    waits = min(_WAITS_SECONDS, seconds)
    found = sql.query(ops, _ACTIVITY_SQL, ACTIVITY, seconds=seconds, waits=waits)
    asked = Question(
        f"Nothing runs for over {seconds:g} s or waits for a lock",
        "nothing",
        "pg_stat_activity, pg_blocking_pids",
    )
    waiting = found[found["blocked_by"] != ""]
    if len(waiting):
        heads = found[(found["blocks"] > 0) & (found["blocked_by"] == "")]
        seen = f"{count(len(waiting), 'session')} waiting for a lock, for up to "
        seen += f"{waiting['seconds'].max():,.0f} s; "
        seen += "; ".join(
            f"held by {row.pid}, {_told(row)}, for {row.seconds:,.0f} s"
            for row in heads.itertuples()
        )
        if heads.empty:
            seen += f"held by {', '.join(waiting['blocked_by'].unique())}, which shows no session"
            seen += " here (0: a prepared transaction)"
        return Findings(asked.critical(seen, cause=BLOCKED, next="databases/sessions"), found)
    long = found[~found["maintenance"]]
    if found.empty or long.empty:
        seen = f"{count(len(found), 'session')} of maintenance, nobody waits" * bool(len(found))
        return Findings(asked.ok(seen or "nothing", cause=BLOCKED), found)
    first = long.iloc[0]
    seen = f"{count(len(long), 'session')}, longest {first['seconds']:,.0f} s: {_told(first)}"
    return Findings(asked.warn(seen), found)


def _told(row: Any) -> str:
    return f"{row.application or 'no name'} ({row.state}): {cut(row.statement, 80)}"


# The comment or space before its first word is no matter.
_MAINTENANCE = (
    r"^(\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(vacuum|analyze|reindex|cluster|create\s+(unique\s+)?index|refresh\s+materialized)\M"
)
_ACTIVITY_SQL = f"""
WITH waits AS (
    SELECT pid, pg_blocking_pids(pid) AS by FROM pg_stat_activity
    WHERE wait_event_type = 'Lock'
      AND clock_timestamp() - query_start > make_interval(secs => :waits)
)
SELECT pid, coalesce(application_name, '') AS application, coalesce(state, 'hidden') AS state,
       round(extract(epoch FROM clock_timestamp() - coalesce(
           CASE WHEN state = 'active' THEN query_start ELSE xact_start END, backend_start)), 1)
           AS seconds,
       coalesce(wait_event_type || ' ' || wait_event, '') AS waits_for,
       coalesce((SELECT array_to_string(by, ', ') FROM waits w WHERE w.pid = a.pid), '')
           AS blocked_by,
       (SELECT count(*) FROM waits w WHERE a.pid = ANY (by)) AS blocks,
       coalesce(query, '') ~* '{_MAINTENANCE}' AND state = 'active'
           OR backend_type <> 'client backend' AS maintenance,
       {STATEMENT}
FROM pg_stat_activity a
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND (pid IN (SELECT pid FROM waits) OR pid IN (SELECT unnest(by) FROM waits)
       OR (backend_type = 'client backend' AND state = 'active'
           AND clock_timestamp() - query_start > make_interval(secs => :seconds))
       OR (state LIKE 'idle in transaction%'
           AND clock_timestamp() - xact_start > make_interval(secs => :seconds)))
ORDER BY seconds DESC
"""
