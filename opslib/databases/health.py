"""Databases: ask a target's PostgreSQL, change rows in it, and see how the cluster or instance is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib.core.checks.causes import CPU_HIGH, NEAR_LIMIT
from opslib.core.checks.checks import check
from opslib.core.connections import sessions
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import query, value
from opslib.core.errors import NotAllowed, Unfinished
from opslib.core.findings import Finding, Findings
from opslib.core.reads import metrics
from opslib.core.reads.metrics import metric_keys
from opslib.core.tables import frame
from opslib.core.text import count, number
from opslib.databases.instances import rds, states
from opslib.databases.instances.states import UNAVAILABLE, WAITING

if TYPE_CHECKING:
    import pandas as pd

SESSIONS = {
    "application": "str",
    "role": "str",
    "state": "str",
    "sessions": "int64",
    "longest_seconds": "float64",
}
ACTIVITY = {
    "pid": "int64",
    "application": "str",
    "state": "str",
    "seconds": "float64",
    "waits_for": "str",
    "blocked_by": "str",
    "statement": "str",
}
LOAD = {
    "application": "str",
    "role": "str",
    "sessions": "int64",
    "longest_seconds": "float64",
    "waits_for": "str",
    "statement": "str",
}
# A statement on one line, without what would garble a terminal.
_STATEMENT = r"left(regexp_replace(query, '[\x01-\x20\x7f-\u009f\u202a-\u202e\u2066-\u2069]+', ' ', 'g'), 200) AS statement"
_WARN_SHARE, _CRITICAL_SHARE = 0.7, 0.8


@check("Does the database serve?")
def check_status(ops: Connection) -> Findings:
    """Is the cluster or instance available, with every instance that serves it? Evidence: WAITING, what is to be done to it."""
    database = rds.of(ops)
    described = database.describe(ops)
    source = f"rds {database.kind.describe}"
    found = [states.judged(str(database), described[database.kind.status], source)]
    members = rds.members(ops, database, described)
    if database.kind is rds.CLUSTER:
        for each in members:
            named = f"instance {each['DBInstanceIdentifier']}"
            found.append(
                states.judged(named, each["DBInstanceStatus"], "rds describe_db_instances")
            )
        if not members:
            seen = "none: nobody can log in"
            found.append(
                Finding(
                    "critical",
                    f"{database} has an instance",
                    seen,
                    "1 or more",
                    source,
                    UNAVAILABLE,
                )
            )
    waiting = list(states.waiting(ops, database, members))
    return Findings(
        found,
        frame(waiting, WAITING) if waiting else None,
        "" if waiting else "No change waits for its window.",
    )


@check("Database connections")
def check_connections(ops: Connection) -> Findings:
    """How many of the database's connections are taken, and by whom (pg_stat_activity). Evidence: SESSIONS."""
    limit = int(ops.target["database"].get("max_connections", 0))
    question, source = "Connections taken", "pg_stat_activity"
    try:
        found = query(ops, _SESSIONS_SQL, SESSIONS)
        limit = limit or int(value(ops, "SHOW max_connections"))
    except Unfinished as exc:
        if not sessions.out_of_connections(exc):
            raise
        return Findings(
            [
                Finding(
                    "critical",
                    question,
                    "all: we were turned away",
                    "",
                    source,
                    NEAR_LIMIT,
                    _FOLLOWS,
                )
            ],
            note=_HELP,
        )
    taken = int(found["sessions"].sum())
    share = taken / limit
    status = "critical" if share > _CRITICAL_SHARE else "warn" if share > _WARN_SHARE else "ok"
    seen = f"{taken} of {limit} ({share * 100:.0f} %)"
    if status == "ok":
        return Findings([Finding("ok", question, seen, _THRESHOLD, source)], found)
    most = found.iloc[0]
    seen += f"; {most['sessions']} are {most['state']} and held by {most['application'] or most['role']}"
    return Findings(
        [Finding(status, question, seen, _THRESHOLD, source, NEAR_LIMIT, _FOLLOWS)], found, _HELP
    )


_THRESHOLD = f"warn above {_WARN_SHARE * 100:.0f} %, critical above {_CRITICAL_SHARE * 100:.0f} %"
_FOLLOWS = "functions/rollback"
_HELP = (
    "Many idle sessions of one application: it leaves them open. Did that begin with a deployment? Take it back. "
    "Many active ones: look for what they wait for below. Only when the load is real: more capacity for the database."
)
_SESSIONS_SQL = """
SELECT coalesce(application_name, '') AS application, coalesce(usename, '') AS role, coalesce(state, 'hidden') AS state,
       count(*) AS sessions,
       round(max(extract(epoch FROM clock_timestamp() - coalesce(state_change, backend_start))), 1) AS longest_seconds
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3 ORDER BY sessions DESC, 1, 2, 3
"""


@check("Load of the database")
def check_load(ops: Connection) -> Findings:
    """Is the CPU above the target's threshold now (CloudWatch), and who is at work? Evidence: LOAD."""
    rds.of(ops)  # a target without a database has no load
    keys = [
        key for key in metric_keys(ops) if ops.target["metrics"][key]["metric"] == "CPUUtilization"
    ]
    question, source = (
        "CPU of the database now",
        "GetMetricData AWS/RDS CPUUtilization, pg_stat_activity",
    )
    if not keys:
        seen = f"parameters/targets/{ops.target.key}.yaml describes no AWS/RDS CPUUtilization"
        return Findings([Finding("unknown", question, seen, source=source)])
    metric, points = metrics.described(ops, keys)[0], metrics.read(ops, keys[:1], hours=0.5)
    recent = points["value"].tail(metrics.RECENT_MINUTES // 5)
    if recent.empty:
        return Findings([Finding("unknown", question, "no data for half an hour", source=source)])
    now, threshold = float(recent.max()), metrics.thresholds(metric)
    active, unknown = _active(ops)
    status = metric.status(now)
    cause = CPU_HIGH if status == "critical" else ""
    follows = "" if status == "ok" else "databases/scale" if active.empty else "databases/query"
    seen = f"{number(now, metric.unit)} at most in the last {metrics.RECENT_MINUTES} minutes; {unknown or _at_work(active)}"
    note = "" if status == "ok" else _CPU_HELP
    return Findings(
        [Finding(status, question, seen, threshold, source, cause, follows)], active, note
    )


def _active(ops: Connection) -> tuple[pd.DataFrame, str]:
    """Rows of LOAD; and why it is not known who is at work, when it is not."""
    try:
        return query(ops, _LOAD_SQL, LOAD), ""
    except (Unfinished, NotAllowed) as exc:
        why = "denied" if isinstance(exc, NotAllowed) else "it does not answer"
        return frame([], LOAD), f"who is at work is unknown: {why}"


def _at_work(active: pd.DataFrame) -> str:
    if active.empty:
        return "no session is at work at this moment"
    most, all_of_them = active.iloc[0], int(active["sessions"].sum())
    share = "all" if most["sessions"] == all_of_them else str(most["sessions"])
    return (
        f"{count(all_of_them, 'session')} at work, {share} of {most['application'] or most['role']} for up to "
        f"{most['longest_seconds']:,.0f} s: {most['statement'][:80]}"
    )


_CPU_HELP = (
    "One statement of one application: does it have to run now, and does its plan find its rows by an index? Ending it is the "
    "decision of whoever owns it. Many short ones of the app: look at the statements below; only then a larger class."
)
_LOAD_SQL = f"""
SELECT coalesce(application_name, '') AS application, coalesce(usename, '') AS role, count(*) AS sessions,
       round(max(extract(epoch FROM clock_timestamp() - query_start)), 1) AS longest_seconds,
       coalesce(max(wait_event_type || ' ' || wait_event), '') AS waits_for,
       {_STATEMENT}
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active' AND application_name NOT LIKE 'opslib/%'
GROUP BY 1, 2, 6 ORDER BY sessions DESC, longest_seconds DESC
"""


@check("Long statements, open transactions, locks")
def check_activity(ops: Connection, seconds: float = 60) -> Findings:
    """Does a statement or an idle transaction last longer than this, or does somebody wait for a lock? Evidence: ACTIVITY."""
    found = query(ops, _ACTIVITY_SQL, ACTIVITY, seconds=seconds)
    question, source = (
        f"Nothing runs for over {seconds:g} s or waits for a lock",
        "pg_stat_activity, pg_blocking_pids",
    )
    if found.empty:
        return Findings([Finding("ok", question, "nothing", "nothing", source)], found)
    blocked = int((found["blocked_by"] != "").sum())
    seen = f"{len(found)} sessions, longest {found['seconds'].max():,.0f} s; {blocked} wait for another"
    return Findings(
        [Finding("critical" if blocked else "warn", question, seen, "nothing", source)], found
    )


_ACTIVITY_SQL = f"""
SELECT pid, coalesce(application_name, '') AS application, coalesce(state, 'hidden') AS state,
       round(extract(epoch FROM clock_timestamp() - coalesce(CASE WHEN state = 'active' THEN query_start ELSE xact_start END, backend_start)), 1)
           AS seconds,
       coalesce(wait_event_type || ' ' || wait_event, '') AS waits_for,
       array_to_string(pg_blocking_pids(pid), ', ') AS blocked_by,
       {_STATEMENT}
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND (cardinality(pg_blocking_pids(pid)) > 0
       OR (state = 'active' AND clock_timestamp() - query_start > make_interval(secs => :seconds))
       OR (state LIKE 'idle in transaction%' AND clock_timestamp() - xact_start > make_interval(secs => :seconds)))
ORDER BY seconds DESC
"""
