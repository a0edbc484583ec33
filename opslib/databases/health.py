"""Whether a target's database serves: its state, its connections, its load, who waits for whom."""

import re
from dataclasses import replace
from datetime import timedelta

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    NotAllowed,
    OpsError,
    Question,
    Unfinished,
    check,
    count,
    cut,
    dtypes,
    frame,
    metrics,
    number,
    sessions,
    sql,
    window,
)
from opslib.core.checks.causes import CPU_HIGH, NEAR_LIMIT
from opslib.databases.activity import STATEMENT
from opslib.databases.instances import rds, states

SESSIONS = dtypes("""
    application     str
    role            str
    state           str
    sessions        int64
    longest_seconds float64
""")
LOAD = dtypes("""
    application     str
    role            str
    sessions        int64
    longest_seconds float64
    waits_for       str
    statement       str
""")
_WARN_SHARE, _CRITICAL_SHARE = 0.7, 0.8
_TAKEN = Question(
    "Connections taken",
    f"warn above {_WARN_SHARE * 100:.0f} %, critical above {_CRITICAL_SHARE * 100:.0f} %",
    "pg_stat_activity",
)
_CPU = Question(
    "CPU of the database now", source="GetMetricData AWS/RDS CPUUtilization, pg_stat_activity"
)


@check("Does the database serve?")
def check_status(ops: Connection) -> Findings:
    """Is the cluster or instance available, with every instance that serves it?

    Evidence: WAITING, what is to be done to it.
    """
    database, described, members = rds.present(ops)
    found = [states.judged(database, described)]
    if database.kind is rds.CLUSTER:
        of = rds.INSTANCE
        found += [states.judged(rds.Database(of, each[of.key]), each) for each in members]
        if not members:
            asked = Question(f"{database} has an instance", "1 or more", found[0].source)
            seen = "none: nobody can log in"
            found.append(asked.critical(seen, cause=states.UNAVAILABLE))
    waiting = frame(states.waiting(ops, database, members), states.WAITING)
    if waiting.empty:
        return Findings(found, note="No change waits for its window.")
    return Findings(found, waiting)


@check("Database connections")
def check_connections(ops: Connection) -> Findings:
    """How many of the database's connections are taken, and by whom (pg_stat_activity).

    Evidence: SESSIONS.
    """
    try:
        found = sql.query(ops, _SESSIONS_SQL, SESSIONS)
        limit = connection_limit(ops)
    except Unfinished as exc:
        if not sessions.out_of_connections(exc):
            raise
        seen = "all: we were turned away"
        if own := re.search(r'for (role|database) "[^"]+"', str(exc)):
            seen += f" by the CONNECTION LIMIT that somebody set {own[0]}"
            return Findings(_TAKEN.critical(seen, cause=NEAR_LIMIT))
        return Findings(_near("critical", seen), note=_HELP)
    taken = int(found["sessions"].sum())
    share = taken / limit
    seen = f"{taken} of {limit:g} ({share * 100:.0f} %)"
    if limit < (told := ops.target["database"].get("max_connections", limit)):
        seen += f"; the target's file says {told}, the database allows no more than {limit:g}"
    if share <= _WARN_SHARE:
        return Findings(_TAKEN.ok(seen, cause=NEAR_LIMIT), found)
    most = found.iloc[0]
    held = most["application"] or most["role"]
    seen += f"; {most['sessions']} are {most['state']} and held by {held}"
    status = "critical" if share > _CRITICAL_SHARE else "warn"
    return Findings(_near(status, seen), found, _HELP)


def connection_limit(ops: Connection) -> float:
    """How many connections the application may have: what the database allows it, all in all and
    of its own, and no more than the target's file says that the machine bears.
    """
    allowed = float(sql.value(ops, _LIMIT_SQL))
    told: float = ops.target["database"].get("max_connections", allowed)
    return min(allowed, told)


_LIMIT_SQL = """
SELECT least(current_setting('max_connections')::int
             - current_setting('superuser_reserved_connections')::int,
             nullif(datconnlimit, -1), nullif(rolconnlimit, -1))
FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user
"""


def _near(status: str, seen: str) -> Finding:
    return _TAKEN.answer(status, seen, cause=NEAR_LIMIT, next="functions/rollback")


_HELP = (
    "Many idle sessions of one application: it leaves them open. Did that begin with a deployment? "
    "Take it back. Many active ones: look for what they wait for below. "
    "Only when the load is real: more capacity for the database."
)
_SESSIONS_SQL = """
SELECT coalesce(application_name, '') AS application, coalesce(usename, '') AS role,
       coalesce(state, 'hidden') AS state, count(*) AS sessions,
       round(max(extract(epoch FROM clock_timestamp() - coalesce(state_change, backend_start))), 1)
           AS longest_seconds
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3 ORDER BY sessions DESC, 1, 2, 3
"""


@check("Load of the database")
def check_load(ops: Connection) -> Findings:
    """Is the CPU above its threshold now (CloudWatch), and who is at work? Evidence: LOAD."""
    metric, minutes = _cpu(ops), metrics.RECENT_MINUTES + 5
    points = metrics.answered(ops, [metric], window(ops, 30))
    recent = points.loc[points["time"] >= ops.now() - timedelta(minutes=minutes), "value"]
    if recent.empty:
        raise OpsError(f"no data for {minutes} minutes: what there may be is older")
    now, (active, at_work) = float(recent.max()), _at_work(ops)
    status = metric.status(now)
    most = f"{number(now, metric.unit)} at most in the last {metrics.RECENT_MINUTES} minutes"
    found = replace(_CPU, rule=metrics.thresholds(metric)).judged(
        status == "ok",
        f"{most}; {at_work}",
        otherwise=status,
        cause=CPU_HIGH if status in ("ok", "critical") else "",
        next="databases/scale" if active.empty else "databases/query",
    )
    return Findings(found, active, "" if status == "ok" else _CPU_HELP)


def _cpu(ops: Connection) -> metrics.Metric:
    """As the target's file describes it, else with the threshold of the alarm that AWS recommends:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html#RDS
    """
    database = rds.database_of(ops)  # a target without a database has no load
    for each in metrics.described(ops, metrics.metric_keys(ops)):
        if each.metric == "CPUUtilization":
            return each
    at = {database.kind.key: database.name}
    return metrics.Metric("cpu", "CPU", "AWS/RDS", "CPUUtilization", "Average", at, "%", 90)


def _at_work(ops: Connection) -> tuple[Frame, str]:
    """Rows of LOAD, and in words who is at work, or why that is not known."""
    try:
        active = sql.query(ops, _LOAD_SQL, LOAD)
    except (Unfinished, NotAllowed) as exc:
        return frame([], LOAD), f"who is at work is unknown: {exc}"
    if active.empty:
        return active, "no session is at work at this moment"
    most, sessions = active.iloc[0], int(active["sessions"].sum())
    return active, (
        f"{count(sessions, 'session')} at work, {most['sessions']} of "
        f"{most['application'] or most['role']} for up to {most['longest_seconds']:,.0f} s: "
        f"{cut(most['statement'], 80)}"
    )


_CPU_HELP = (
    "One statement of one application: does it have to run now, and does its plan find its rows by "
    "an index? Ending it is the decision of whoever owns it. Many short ones of the app: look at "
    "the statements below; only then a larger class."
)
_LOAD_SQL = f"""
SELECT coalesce(application_name, '') AS application, coalesce(usename, '') AS role,
       count(*) AS sessions,
       round(max(extract(epoch FROM clock_timestamp() - query_start)), 1) AS longest_seconds,
       coalesce(max(wait_event_type || ' ' || wait_event), '') AS waits_for,
       {STATEMENT}
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active'
  AND application_name NOT LIKE 'opslib/%'
GROUP BY 1, 2, 6 ORDER BY sessions DESC, longest_seconds DESC
"""
