"""Background jobs as a system's database keeps them.

Their status, those that hang, and starting one again.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from opslib.core import (
    FAILURES,
    Connection,
    Finding,
    Findings,
    Frame,
    Http,
    Planned,
    Question,
    Select,
    Step,
    check,
    dtypes,
    log_lines,
    logs,
    planner,
    poll,
    quoted,
    sign_of,
    sql,
    window,
)
from opslib.jobs import rows

JOBS = dtypes("""
    item            str
    status          str
    running_minutes float64
    created         utc
    started         utc
    finished        utc
    model           str
    attempts        int64
    error           str
    job             str
""")
STALE = "stale-jobs"  # the cause that findings name
_AGAIN = "jobs/stale"  # starts a hanging one by its queue, where the file names nothing else
OPEN = ("queued", "running")


def list_jobs(
    ops: Connection, kind: str, item: str = "", minutes: float = 1440, limit: int = 200
) -> Frame:
    """Jobs of a kind, newest first. Columns: JOBS.

    Those of one item, or those of the last minutes and all that are open.
    """
    which = "created_at >= :since OR status IN ('queued', 'running')"
    if item:
        which = "{item} = :item"
    since = ops.now() - timedelta(minutes=minutes)
    return _select(ops, kind, which, limit, item=item, since=since)


def find_stale(ops: Connection, kind: str) -> Frame:
    """Jobs that run for longer than the target's `stale_minutes`, newest first. Columns: JOBS."""
    since = ops.now() - timedelta(minutes=ops.target["jobs"][kind]["stale_minutes"])
    late = "lower(status::text) = 'running' AND coalesce(started_at, created_at) < :since"
    return _select(ops, kind, late, 200, since=since)


def find_latest(ops: Connection, kind: str, items: Sequence[str]) -> Frame:
    """The newest job of each of these items. Columns: JOBS."""
    found = _select(ops, kind, "{item} = ANY(:items)", items=list(items))
    return found.drop_duplicates("item", ignore_index=True)


def find_errors(ops: Connection, kind: str, ids: Iterable[str]) -> dict[str, str]:
    """The error that each of these jobs keeps, by job id.

    Of jobs without one, or unknown, nothing.
    """
    found = _select(ops, kind, "id::text = ANY(:ids)", ids=list(ids))
    return dict(found[found["error"] != ""].set_index("job")["error"])


def _select(ops: Connection, kind: str, where: str, limit: int = 10_000, **given: Any) -> Frame:
    """Jobs of a kind. `where`: a condition, in which `{item}` is what names the item."""
    return sql.query(
        ops,
        "SELECT item, status, "
        "CASE WHEN lower(status::text) = 'running' THEN round(extract(epoch FROM "
        "CAST(:now AS timestamptz) - coalesce(started_at, created_at)) / 60, 1) END "
        "AS running_minutes, date_trunc('second', created_at) AS created, "
        "date_trunc('second', started_at) AS started, "
        "date_trunc('second', finished_at) AS finished, coalesce(model::text, '') AS model, "
        "coalesce(attempts, 0) AS attempts, coalesce(error_message, '') AS error, "
        f"id::text AS job FROM {rows.source(ops.target['jobs'][kind])} "
        f"WHERE {where.format(item='item')} ORDER BY created_at DESC, id LIMIT :most",
        JOBS,
        now=ops.now(),
        most=limit,
        **given,
    )


@check("How are the jobs?")
def check_jobs(ops: Connection, kind: str, item: str = "", minutes: float = 1440) -> Findings:
    """The latest job of one item, or how the recent ones ended. Evidence: JOBS in brief.

    Read from the database: asking the API for a job's status makes it mark stale jobs as failed.
    """
    found, facts = list_jobs(ops, kind, item, minutes), ops.target["jobs"][kind]
    asked = Question(f"{kind} jobs", "no item's latest job failed", f"table {facts['table']}")
    scope = f"of {item}" if item else f"in the last {minutes:g} minutes"
    if found.empty:
        nothing = asked.answer("unknown" if item else "ok", f"none {scope}", rule="")
        return Findings(nothing, _brief(found))
    latest, last = found.drop_duplicates("item"), found.iloc[0]
    failed, limit = latest[latest["status"] == "failed"], facts["stale_minutes"]
    bad = [
        _failed_finding(ops, kind, asked, of)
        for _, of in failed.groupby(failed["error"].map(log_lines.pattern), sort=False)
    ]
    for row in latest[latest["running_minutes"] > limit].itertuples():
        slow = Question(f"{kind} job of {row.item}", f"at most {limit} minutes", asked.source)
        seen = f"running for {row.running_minutes:.0f} minutes"
        bad.append(slow.warn(seen, next=facts.get("next", _AGAIN)))
    counts = ", ".join(f"{n} {status}" for status, n in found["status"].value_counts().items())
    seen = f"{counts} {scope}; the latest, of {last['item']}, is {last['status']}"
    if bad:
        return Findings(bad, _brief(found), f"{kind} jobs: {seen}.")
    return Findings(asked.ok(seen), _brief(found))


def _brief(found: Frame) -> Frame:
    """Jobs as a page has room for them."""
    return found.drop(columns=["created", "job"])


def _failed_finding(ops: Connection, kind: str, asked: Question, failed: Frame) -> Finding:
    """Items whose latest job failed in the same way."""
    last, items = failed.iloc[0], ", ".join(failed["item"].head(8))
    queue = ops.target.at("queues").get(ops.target["jobs"][kind].get("queue"), {})
    follows = sign_of(FAILURES, last["error"]).next
    if follows.startswith("queues/") or queue.get("dead_letters", "no name") in last["error"]:
        follows = "queues/dead-letters"
    if follows.startswith("functions/") and "functions" not in ops.target.facts:
        follows = "logs/errors"
    seen = f"{len(failed)} failed ({items}{'…' if len(failed) > 8 else ''}), the last at "
    seen += f"{last['finished']:%m-%d %H:%M} UTC: {last['error'] or 'no error kept'}"
    return asked.warn(seen, next=follows)


@check("Does a job hang?")
def check_stale(ops: Connection, kind: str) -> Findings:
    """Jobs running for longer than they can: their worker is gone. Evidence: JOBS in brief."""
    facts, found = ops.target["jobs"][kind], find_stale(ops, kind)
    rule = f"none running for more than {facts['stale_minutes']} minutes"
    asked = Question(f"stale {kind} jobs", rule, f"table {facts['table']}")
    if found.empty:
        running = _select(ops, kind, "lower(status::text) = 'running'", 200)
        seen = f"{len(running)} running, none of them for so long"
        return Findings(asked.ok(seen, cause=STALE), _brief(running))
    most = " or more" * (len(found) == 200)
    seen = f"{len(found)}{most} running for up to {found['running_minutes'].max():.0f} minutes: "
    seen += ", ".join(found["item"].head(10))
    stale = asked.critical(seen, cause=STALE, next=facts.get("next", _AGAIN))
    return Findings(stale, _brief(found))


@check("What did the worker say?")
def check_worker(ops: Connection, kind: str, item: str = "", minutes: float = 60) -> Findings:
    """The worker's last lines: those about the latest job of an item, else of the last minutes,
    in which it is silent where no job was made.
    """
    facts = ops.target["jobs"][kind]
    function = facts.get("function") or facts.get("service")
    if not function:
        return Findings(note=f"The target's file does not say who works on {kind}.")
    asked = Question(f"lines of {function}", "some, where a job was made", "logs FilterLogEvents")
    what = f"in the last {minutes:g} minutes"
    pattern = '-"START RequestId" -"END RequestId"'
    if item:
        latest = next(find_latest(ops, kind, [item]).itertuples(), None)
        if latest is None:
            return Findings(asked.unknown(f"{item} has no {kind} job"))
        what, pattern = f"name job {latest.job}", f'"{latest.job}"'
        minutes = max(minutes, (ops.now() - latest.created).total_seconds() / 60 + 1)
    lines = logs.search(ops, function, pattern, window(ops, minutes), 40)
    seen = f"no line {what}"
    if len(lines):
        seen = f"{len(lines)} lines {what}; the last at {lines['time'].iloc[-1]:%H:%M:%S} UTC"
    made = item or len(list_jobs(ops, kind, "", minutes))
    said = asked.judged(not made or len(lines) > 0, seen, otherwise="warn")
    return Findings(said, lines[["time", "message"]])


@planner
def plan_again(ops: Connection, kind: str, items: Sequence[str] = ()) -> Planned:
    """Start the jobs of these items again, or of all that hang (empty).

    The API marks a stale job as failed and queues a new one.
    """
    found = find_latest(ops, kind, items) if items else find_stale(ops, kind)
    steps = [again(ops, kind, row) for row in found.drop_duplicates("item").itertuples()]
    notes = []
    if absent := ", ".join(sorted(set(items) - set(found["item"]))):
        notes.append(f"Without any {kind} job, so left alone: {absent}.")
    if steps:
        notes.append(
            "A worker that still runs is not stopped: its result and the new one are both "
            "written, the later one stays."
        )
    summary = f"start {len(steps)} {kind} jobs again"
    return Planned(summary, steps, notes or [f"No {kind} job hangs."])


def again(ops: Connection, kind: str, job: Any) -> Step:
    """The step that starts a row's job again, with the model that it had."""
    facts, verb = ops.target["jobs"][kind], "Start"
    after, observe = "a new job, queued", None
    body = {"model": job.model} if rows.has(facts, "model") else None
    if job.status.lower() == "running":  # observed is the old job; the new one is another row
        since = job.started if job.started == job.started else job.created  # not NaT
        verb = f"Give up the one that runs since {since:%Y-%m-%d %H:%M} UTC, and start"
        status = f"SELECT {rows.column(facts, 'status')} FROM {quoted(facts['table'])} "
        status += f"WHERE {rows.column(facts, 'id')}::text = :job"
        after, observe = "failed", Select(status, job=job.job)
    return Step(
        f"{verb} the {kind} of {job.item} again",
        Http("POST", facts["trigger"].replace("{id}", job.item), body),
        job.status,
        after,
        observe=observe,
    )


@check("Did the jobs come to their end?")
def check_completed(
    ops: Connection, kind: str, items: Sequence[str], timeout_seconds: float = 900
) -> Findings:
    """Wait until the latest job of each item is done: completed, or failed.

    Evidence: JOBS in brief.
    """
    found, _ = poll(
        partial(find_latest, ops, kind, items),
        lambda found: not found["status"].isin(OPEN).any(),
        timeout_seconds,
        lambda found: f"{kind} jobs are {', '.join(found['status'])}",
    )
    return Findings([_ended_finding(row, kind) for row in found.itertuples()], _brief(found))


def _ended_finding(row: Any, kind: str) -> Finding:
    asked = Question(f"{kind} of {row.item}", "completed", "database")
    seen = row.status + (f": {row.error}" if row.error else "")
    if row.status in OPEN:
        return asked.unknown(f"{seen} still", next="jobs/status")
    return asked.judged(row.status == "completed", seen, next="jobs/status")
