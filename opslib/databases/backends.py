"""Sessions that hold others up: their statement cancelled, or the session ended.

https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SIGNAL
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from opslib.core import (
    Connection,
    Findings,
    Frame,
    Planned,
    Question,
    Refused,
    Select,
    Shown,
    Step,
    UsageError,
    check,
    count,
    cut,
    dtypes,
    planner,
    poll,
    sql,
)
from opslib.databases.activity import STATEMENT

BACKENDS = dtypes("""
    pid         int64
    application str
    login       str
    kind        str
    state       str
    seconds     float64
    blocks      int64
    blocked     bool
    began       str
    asked       str
    statement   str
""")
CANCEL, TERMINATE, BLOCKING = "cancel", "terminate", "blocking"
_ENDED_SECONDS = 10
_CLIENT = "client backend"


def list_backends(ops: Connection) -> Frame:
    """Every session of the database but our own, those that others wait for first.

    Columns: BACKENDS. `blocks`: how many wait for it; `began`, `asked`: when the session and its
    last statement began, as PostgreSQL writes it.
    """
    return sql.query(ops, _BACKENDS_SQL, BACKENDS)


@planner
def plan_end(ops: Connection, sessions: str = BLOCKING, how: str = TERMINATE) -> Planned:
    """Cancel what sessions run, or end them: what they have not committed is rolled back.

    `sessions`: their pids with commas, or `blocking`: those that others wait for and that wait for
    nobody themselves. Each is ended only while it is the one that was shown.
    Raises UsageError (no such session, nothing to cancel), Refused (no client's).
    """
    if how not in (CANCEL, TERMINATE):
        raise UsageError(f"how = {how!r} is neither {CANCEL!r} nor {TERMINATE!r}.")
    found = list_backends(ops)
    if sessions.strip() == BLOCKING:
        chosen = found[(found["blocks"] > 0) & ~found["blocked"]]
        nobody = "Nobody waits for a session's lock now: nothing is ended."
    else:
        chosen, nobody = _named(ops, found, sessions), ""
    steps = [_step(ops, row, how) for row in chosen.itertuples()]
    notes = [nobody] if nobody and not steps else [*_notes(chosen, how)]
    return Planned(f"{how} {count(len(steps), 'session')}", steps, notes)


def _named(ops: Connection, found: Frame, sessions: str) -> Frame:
    words = re.split(r"[,\s]+", sessions.strip())
    if wrong := [word for word in words if not word.isdecimal()]:
        raise UsageError(f"sessions: {wrong[0]!r} is no pid. Give pids with commas, or {BLOCKING}.")
    there = {*found["pid"]}
    if gone := [word for word in words if int(word) not in there]:
        raise UsageError(
            f"No session {gone[0]} in {ops.target.name}: it ended, or is of another database. "
            "Look at the list again."
        )
    return found[found["pid"].isin([*map(int, words)])]


def _step(ops: Connection, row: Any, how: str) -> Step:
    if row.kind != _CLIENT:
        raise Refused(
            f"Session {row.pid} is PostgreSQL's own ({row.kind}), no client's: it is left alone. "
            "Nothing was changed."
        )
    if how == CANCEL and row.state != "active":
        raise UsageError(
            f"Session {row.pid} runs nothing now ({row.state}), so there is nothing to cancel; "
            f"its locks go with the session alone: how = {TERMINATE}."
        )
    still = f"pid = {row.pid} AND backend_start = '{row.began}'"
    if how == CANCEL:
        still += f" AND query_start = '{row.asked}' AND state = 'active'"
        does = f"pg_cancel_backend({row.pid})"
    else:
        does = f"pg_terminate_backend({row.pid}, {_ENDED_SECONDS * 1000})"
    done = f"count(*) FILTER (WHERE {does})"
    answered = f"SELECT json_build_object('ended', {done}) FROM {_SEEN} WHERE {still}"
    who = f"{row.application or 'no name'}, {row.login}"
    runs = f": {cut(row.statement, 80)}" if how == CANCEL else f", since {row.began[:19]}"
    left = f"SELECT CASE count(*) WHEN 0 THEN 'ended' ELSE 'there' END FROM {_SEEN} WHERE {still}"
    return Step(
        f"{how.capitalize()} {row.pid} ({who}){runs}",
        Shown(f"SELECT {does}", answered, {"ended": 1, "tables": {}}),
        "there",
        "ended",
        None,
        Select(left),
    )


def _notes(chosen: Frame, how: str) -> Iterator[str]:
    for row in chosen.itertuples():
        waits = f"waited for by {count(row.blocks, 'session')}; " if row.blocks else ""
        yield f"{row.pid}: {waits}{row.state} for {row.seconds:,.0f} s: {cut(row.statement, 120)}"
    if how == CANCEL:
        yield "The transaction of a cancelled statement stays open, with its locks, until its app "
        yield "rolls back. What is idle in a transaction then has to be ended."
    else:
        yield "What they have not committed is rolled back; a long one takes as long to roll back."
        yield "The app sees a lost connection, and what it was doing there fails."


@check("Are they ended, and does nobody wait?")
def check_ended(ops: Connection, sessions: str = BLOCKING, how: str = TERMINATE) -> Findings:
    """After a change: those that were named are gone, and nobody waits for a lock.

    Looks for some seconds: a statement ends, and a lock is handed on, a moment later.
    """
    pids = [] if how == CANCEL else [*map(int, re.findall(r"\d+", sessions))]
    read = partial(sql.query, ops, _LEFT_SQL, _LEFT, pids=pids)
    left, _ = poll(read, lambda found: found.empty, _ENDED_SECONDS)
    asked = Question("They are ended, and nobody waits for a lock", "nobody", "pg_stat_activity")
    told = [f"{row.pid} {'waits' if row.waits else 'is there'}" for row in left.itertuples()]
    follows = "databases/health" if told else ""
    return Findings(asked.judged(not told, "; ".join(told) or "nobody", next=follows))


_SEEN = "pg_stat_activity"
_LEFT = {"pid": "int64", "waits": "bool"}
_LEFT_SQL = """
WITH seen AS (
    SELECT pid, wait_event_type IS NOT DISTINCT FROM 'Lock'
        AND clock_timestamp() - query_start > interval '1 second' AS waits
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
)
SELECT pid, waits FROM seen WHERE waits OR pid = ANY (CAST(:pids AS integer[])) ORDER BY pid
"""
_BACKENDS_SQL = rf"""
WITH waits AS (
    SELECT pid, pg_blocking_pids(pid) AS by FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
)
SELECT pid, coalesce(application_name, '') AS application, coalesce(usename, '') AS login,
       backend_type AS kind, coalesce(state, 'hidden') AS state,
       coalesce(round(extract(epoch FROM clock_timestamp()
           - CASE WHEN state = 'active' THEN query_start ELSE state_change END), 1), 0) AS seconds,
       (SELECT count(*) FROM waits w WHERE a.pid = ANY (by)) AS blocks,
       coalesce((SELECT cardinality(by) > 0 FROM waits w WHERE w.pid = a.pid), false) AS blocked,
       coalesce(backend_start::text, '') AS began, coalesce(query_start::text, '') AS asked,
       {STATEMENT}
FROM pg_stat_activity a
WHERE datname = current_database() AND pid <> pg_backend_pid()
ORDER BY blocks DESC, seconds DESC
"""
