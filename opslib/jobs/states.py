"""Jobs by state, also by states that nobody foresaw: how many, how long, and what is missing."""

from collections.abc import Iterator
from datetime import timedelta

from opslib.core import (
    UTC_TIME,
    Connection,
    Finding,
    Findings,
    Frame,
    Question,
    Queue,
    check,
    count,
    dtypes,
    number,
    sql,
)
from opslib.core.checks.series import overdue
from opslib.jobs import rows

STATES = dtypes("""
    state           str
    means           str
    jobs            int64
    earlier         int64
    late            int64
    newest          utc
    seconds         float64
    seconds_earlier float64
""")
LOST = "jobs-without-message"  # the causes that findings name
NONE_STARTED = "jobs-not-started"
LOOP = "jobs-of-one-item"
_DAYS = 28
_MEANING = {word: means for means, words in rows.TABLE["means"].items() for word in words}
_FEW = 5  # so many jobs say something of the others
_NO_TIME, _LONG = 0.05, 4  # of what they took before


def list_states(ops: Connection, kind: str, minutes: float = 1440) -> Frame:
    """The jobs of a kind of the last minutes by state, and of four weeks before. Columns: STATES.

    `means`: queued, running, completed, failed, cancelled, other; empty where the word says
    nothing.
    `late`: of all, those that wait or run for longer than the target's `stale_minutes`.
    `seconds`: the median from start, or from when it was made, to end; of the newest nine.
    """
    facts, now = ops.target["jobs"][kind], ops.now()
    found = sql.query(
        ops,
        _STATES_SQL.format(table=rows.source(facts)),
        STATES,
        since=now - timedelta(minutes=minutes),
        before=now - timedelta(days=_DAYS),
        stale=now - timedelta(minutes=facts["stale_minutes"]),
    )
    words = found["state"].str.strip().str.lower().str.replace(r"[\s-]+", "_", regex=True)
    means = _MEANING | dict.fromkeys(facts.get("states", {}).get("other", ()), "other")
    found["means"] = words.map(lambda word: means.get(word, "")).astype("str")
    return found


_STATES_SQL = """
SELECT status::text AS state, '' AS means, count(*) FILTER (WHERE recent) AS jobs,
       count(*) FILTER (WHERE NOT recent) AS earlier, count(*) FILTER (WHERE late) AS late,
       max(created_at) AS newest,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE recent AND at <= 9)
           AS seconds,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE NOT recent)
           AS seconds_earlier
FROM (SELECT status, created_at, created_at >= :since AS recent,
             finished_at IS NULL AND coalesce(started_at, created_at) < :stale AS late,
             extract(epoch FROM finished_at - coalesce(started_at, created_at)) AS seconds,
             row_number() OVER (PARTITION BY status ORDER BY created_at DESC) AS at
      FROM {table} WHERE created_at >= :before) AS each
GROUP BY status ORDER BY count(*) DESC, 1
"""


@check("Are the jobs in states that are understood, and done as they always were?")
def check_states(ops: Connection, kind: str, minutes: float = 1440) -> Findings:
    """Every state is counted, known or not; how many failed; what waits without a message.

    And whether they are done in no time, or take far longer, one item has ever more of them, or
    none is started any more. Evidence: STATES.
    """
    found = list_states(ops, kind, minutes)
    judged = [
        *_unknown(kind, found),
        *_failed(kind, found),
        *_left(kind, found),
        *_waiting(ops, kind, found),
        *_running(ops, kind, found),
        *_as_long(kind, found),
        *_again(ops, kind, minutes),
        *_overdue(ops, kind),
    ]
    if not judged:
        told = ", ".join(f"{row.jobs} {row.state}" for row in found.itertuples() if row.jobs)
        asked = Question(f"{kind} jobs by state", "all understood, none without a message", _SOURCE)
        judged = [asked.ok(told or f"none in {minutes / 60:g} h")]
    return Findings(judged, found)


_SOURCE = "the jobs' table by state, four weeks"


def _unknown(kind: str, found: Frame) -> Iterator[Finding]:
    every = max(1, int(found["jobs"].sum()))
    for row in found[(found["means"] == "") & (found["jobs"] > 0)].itertuples():
        asked = Question(f"{kind} jobs in state {row.state!r}", "a state that is known", _SOURCE)
        many = row.jobs >= _FEW and row.jobs / every >= 0.1
        seen = f"{row.jobs} of {count(every, 'job')}, the newest of {row.newest:%m-%d %H:%M} UTC: "
        seen += "whether they are well is not known. Describe it in the target's file"
        yield asked.answer("unknown" if many else "warn", seen, next="jobs/status")


def _failed(kind: str, found: Frame) -> Iterator[Finding]:
    failed, done = (
        found.loc[found["means"] == how, "jobs"].sum() for how in ("failed", "completed")
    )
    share = failed / max(1, failed + done)
    bad = share >= 0.5 and failed >= 3
    if bad or (share >= 0.2 and failed >= _FEW):
        asked = Question(f"{kind} jobs that failed", "fewer than 20 in 100", _SOURCE)
        seen = f"{failed} of {failed + done} that ended ({100 * share:.0f} %)"
        yield asked.answer("critical" if bad else "warn", seen, next="jobs/status")


def _left(kind: str, found: Frame) -> Iterator[Finding]:
    """More of them than ever are in a state in which nobody works on them."""
    every, before = max(1, int(found["jobs"].sum())), max(1, int(found["earlier"].sum()))
    for row in found[found["means"] == "other"].itertuples():
        if row.jobs >= _FEW and row.jobs / every > max(0.2, 2 * row.earlier / before):
            asked = Question(f"{kind} jobs that are {row.state}", "as many as before", _SOURCE)
            seen = f"{row.jobs} of {every}; in four weeks before {row.earlier} of {before}"
            yield asked.warn(seen, next="jobs/status")


def _waiting(ops: Connection, kind: str, found: Frame) -> Iterator[Finding]:
    """Rows that wait although no message is left that would wake their worker."""
    facts = ops.target["jobs"][kind]
    late = int(found.loc[found["means"] == "queued", "late"].sum())
    queue = ops.target.at("queues").get(facts.get("queue"))
    if not late:
        return
    rule = f"none for more than {facts['stale_minutes']} minutes"
    asked = Question(f"{kind} jobs that wait", rule, f"{_SOURCE}; sqs GetQueueAttributes")
    seen = f"{late} for more than {facts['stale_minutes']} minutes"
    if queue is None:
        yield asked.warn(seen, next="jobs/status")
        return
    messages = Queue(ops, queue["name"]).held()
    seen += f"; {count(messages, 'message')} in {queue['name']}"
    if messages:
        yield asked.warn(seen, next="queues/dead-letters")
        return
    words = rows.TABLE["means"]["queued"]
    text = f"SELECT item FROM {rows.source(facts)} "
    text += "WHERE lower(status::text) = ANY(:words) ORDER BY created_at LIMIT 10"
    items = ", ".join(sql.query(ops, text, {"item": "str"}, words=words)["item"])
    seen += f": no worker will ever hear of them. Start them again by their items: {items}"
    yield asked.critical(seen, cause=LOST, next="jobs/stale")


def _running(ops: Connection, kind: str, found: Frame) -> Iterator[Finding]:
    """Those that run for too long by another word than `running`, which check_stale looks for."""
    limit = ops.target["jobs"][kind]["stale_minutes"]
    other = (found["means"] == "running") & (found["state"].str.lower() != "running")
    for row in found[other & (found["late"] > 0)].itertuples():
        asked = Question(f"{kind} jobs that are {row.state}", f"at most {limit} minutes", _SOURCE)
        seen = f"{row.late} for longer: their worker is gone"
        yield asked.critical(seen, next="jobs/status")


def _as_long(kind: str, found: Frame) -> Iterator[Finding]:
    for row in found[found["means"] == "completed"].itertuples():
        enough = row.jobs >= _FEW and row.earlier >= _FEW and row.seconds_earlier >= 1
        longer = row.seconds > _LONG * row.seconds_earlier
        if enough and (longer or row.seconds < _NO_TIME * row.seconds_earlier):
            asked = Question(f"how long {kind} jobs take", "as before", _SOURCE)
            seen = (
                f"the newest were completed in {number(row.seconds, 's')} (median), before it took "
            )
            why = "what do they wait for?" if longer else "do they do anything?"
            seen += f"{number(row.seconds_earlier, 's')}: {why}"
            yield asked.warn(seen, next="jobs/status")


def _again(ops: Connection, kind: str, minutes: float) -> Iterator[Finding]:
    """One item that has far more jobs than any had in so long a time: something starts it over."""
    now, shape = ops.now(), {"item": "str", "jobs": "int64", "most": "int64"}
    text = _ITEMS_SQL.format(table=rows.source(ops.target["jobs"][kind]))
    before = now - timedelta(days=_DAYS)
    for row in sql.query(ops, text, shape, now=now, before=before, span=minutes * 60).itertuples():
        if row.jobs >= _MANY and row.jobs > _TIMES * row.most:
            asked = Question(f"{kind} jobs of one item", "as often as in four weeks", _SOURCE)
            seen = f"{row.item} has {row.jobs} in {minutes / 60:g} h, no item ever more than "
            seen += f"{row.most}: what starts it again and again?"
            yield asked.warn(seen, cause=LOOP, next="jobs/status")


_MANY, _TIMES = 20, 3  # so many of one item, and so many times what any had
_ITEMS_SQL = """
WITH parts AS (SELECT item, floor(extract(epoch FROM :now - created_at) / :span) AS part,
                      count(*) AS jobs FROM {table} WHERE created_at >= :before GROUP BY 1, 2)
SELECT item, jobs, (SELECT coalesce(max(jobs), 0) FROM parts WHERE part > 0) AS most
FROM parts WHERE part <= 0 ORDER BY jobs DESC LIMIT 1
"""


def _overdue(ops: Connection, kind: str) -> Iterator[Finding]:
    table, now = rows.source(ops.target["jobs"][kind]), ops.now()
    text = f"SELECT created_at FROM {table} WHERE created_at >= :before "
    text += "ORDER BY created_at DESC LIMIT 1000"
    before = now - timedelta(days=_DAYS)
    found = sql.query(ops, text, {"created_at": UTC_TIME}, before=before)
    if late := overdue(now, found["created_at"]):
        asked = Question(f"{kind} jobs are started", "as often as in four weeks", _SOURCE)
        yield asked.warn(late.told(now), cause=NONE_STARTED, next="jobs/status")
