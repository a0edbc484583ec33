"""Background jobs as a system's database keeps them: their status, those that hang, and starting one again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.checks.signs import FAILURES, sign_of
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import quoted
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Http, Select
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import log_lines, logs
from opslib.core.tables import UTC_TIME
from opslib.core.times import Window

if TYPE_CHECKING:
    import pandas as pd

JOBS = {
    "item": "str",
    "status": "str",
    "running_minutes": "float64",
    "created": UTC_TIME,
    "started": UTC_TIME,
    "finished": UTC_TIME,
    "model": "str",
    "attempts": "int64",
    "error": "str",
    "job": "str",
}
STALE = "stale-jobs"  # the cause that findings name
OPEN = ("queued", "running")


def list_jobs(
    ops: Connection, kind: str, item: str = "", minutes: float = 1440, limit: int = 200
) -> pd.DataFrame:
    """Jobs of a kind, newest first: those of one item, or those of the last minutes and all that are open. Columns: JOBS."""
    column = quoted(ops.target["jobs"][kind]["item"])
    which = (
        f"{column}::text = :item"
        if item
        else "(created_at >= :since OR status IN ('queued', 'running'))"
    )
    return _select(ops, kind, which, limit, item=item, since=ops.now() - timedelta(minutes=minutes))


def find_stale(ops: Connection, kind: str) -> pd.DataFrame:
    """Jobs that run for longer than the target's `stale_minutes`, newest first. Columns: JOBS."""
    limit = ops.target["jobs"][kind]["stale_minutes"]
    return _select(
        ops,
        kind,
        "status = 'running' AND started_at < :since",
        200,
        since=ops.now() - timedelta(minutes=limit),
    )


def find_latest(ops: Connection, kind: str, items: Sequence[str]) -> pd.DataFrame:
    """The newest job of each of these items. Columns: JOBS."""
    column = quoted(ops.target["jobs"][kind]["item"])
    found = _select(ops, kind, f"{column}::text = ANY(:items)", 10_000, items=list(items))
    return found.drop_duplicates("item", ignore_index=True)


def find_errors(ops: Connection, kind: str, ids: Iterable[str]) -> dict[str, str]:
    """The error that each of these jobs keeps, by job id; of jobs without one, or unknown, nothing."""
    found = _select(ops, kind, "id::text = ANY(:ids)", 10_000, ids=list(ids))
    return {job: error for job, error in zip(found["job"], found["error"], strict=True) if error}


def _select(ops: Connection, kind: str, where: str, limit: int, **given: Any) -> pd.DataFrame:
    facts = ops.target["jobs"][kind]
    return sql.query(
        ops,
        f"SELECT {quoted(facts['item'])}::text AS item, status, "
        "CASE WHEN status = 'running' THEN round(extract(epoch FROM CAST(:now AS timestamptz) - started_at) / 60, 1) END "
        "AS running_minutes, date_trunc('second', created_at) AS created, date_trunc('second', started_at) AS started, "
        "date_trunc('second', finished_at) AS finished, model, attempts, "
        f"coalesce(error_message, '') AS error, id::text AS job FROM {quoted(facts['table'])} "
        f"WHERE {where} ORDER BY created_at DESC, id LIMIT :most",
        JOBS,
        now=ops.now(),
        most=limit,
        **given,
    )


@check("How are the jobs?")
def check_jobs(ops: Connection, kind: str, item: str = "", minutes: float = 1440) -> Findings:
    """The latest job of one item, or how the recent ones ended. Evidence: JOBS in brief. Read from the database: asking the
    API for a job's status makes it mark stale jobs as failed."""
    found = list_jobs(ops, kind, item, minutes)
    table = ops.target["jobs"][kind]["table"]
    if found.empty:
        of = f"of {item}" if item else f"in the last {minutes:g} minutes"
        status = "unknown" if item else "ok"
        return Findings(
            [Finding(status, f"{kind} jobs", f"none {of}", "", f"table {table}")], _brief(found)
        )
    latest = found.drop_duplicates("item")
    failed = latest[latest["status"] == "failed"]
    counts = ", ".join(
        f"{count} {status}" for status, count in found["status"].value_counts().items()
    )
    scope = f"item {item}" if item else f"last {minutes:g} minutes"
    bad = [
        _failed_finding(ops, kind, of)
        for _, of in failed.groupby(failed["error"].map(log_lines.pattern), sort=False)
    ]
    bad += _slow_findings(ops, kind, latest)
    last = found.iloc[0]
    seen = f"{counts} ({scope}); the latest, of {last['item']}, is {last['status']}"
    overall = Finding("ok", f"{kind} jobs", seen, "no item's latest job failed", f"table {table}")
    return Findings(bad or [overall], _brief(found), f"{kind} jobs: {seen}." if bad else "")


def _brief(found: pd.DataFrame) -> pd.DataFrame:
    """Jobs as a page has room for them."""
    return found.drop(columns=["created", "job"])


def _slow_findings(ops: Connection, kind: str, latest: pd.DataFrame) -> list[Finding]:
    limit = ops.target["jobs"][kind]["stale_minutes"]
    slow = latest[latest["running_minutes"] > limit]
    return [
        Finding(
            "warn",
            f"{kind} job of {row.item}",
            f"running for {row.running_minutes:.0f} minutes",
            f"at most {limit} minutes",
            "database",
            "",
            "jobs/stale",
        )
        for row in slow.itertuples()
    ]


def _failed_finding(ops: Connection, kind: str, failed: pd.DataFrame) -> Finding:
    """Items whose latest job failed in the same way."""
    last = failed.iloc[0]
    queue = ops.target["queues"].get(ops.target["jobs"][kind].get("queue", ""), {})
    follows = sign_of(FAILURES, last["error"]).next
    if follows.startswith("queues/") or queue.get("dead_letters", "no such name") in last["error"]:
        follows = "queues/dead-letters"
    items = ", ".join(failed["item"].head(8)) + ("…" if len(failed) > 8 else "")
    seen = f"{len(failed)} failed ({items}), the last at {last['finished']:%m-%d %H:%M} UTC: {last['error'] or 'no error kept'}"
    return Finding(
        "warn", f"{kind} jobs", seen, "no item's latest job failed", "database", "", follows
    )


@check("Does a job hang?")
def check_stale(ops: Connection, kind: str) -> Findings:
    """Jobs running for longer than they can: their worker is gone. Evidence: JOBS in brief."""
    facts, found = ops.target["jobs"][kind], find_stale(ops, kind)
    limit = facts["stale_minutes"]
    rule = f"none running for more than {limit} minutes"
    if found.empty:
        running = _select(ops, kind, "status = 'running'", 200)
        seen = f"{len(running)} running, none of them for so long"
        return Findings(
            [Finding("ok", f"stale {kind} jobs", seen, rule, f"table {facts['table']}")],
            _brief(running),
        )
    longest = found["running_minutes"].max()
    seen = (
        f"{len(found)} running for up to {longest:.0f} minutes: {', '.join(found['item'].head(10))}"
    )
    stale = Finding(
        "critical", f"stale {kind} jobs", seen, rule, f"table {facts['table']}", STALE, "jobs/stale"
    )
    return Findings([stale], _brief(found))


def worker_lines(
    ops: Connection, kind: str, job: str = "", minutes: float = 60, limit: int = 40
) -> pd.DataFrame:
    """The last lines of a kind's worker, or those that name one job. Columns: those of `logs.search`."""
    within = Window(ops.now() - timedelta(minutes=minutes), ops.now())
    pattern = f'"{job}"' if job else '-"START RequestId" -"END RequestId"'
    return logs.search(ops, ops.target["jobs"][kind]["function"], pattern, within, limit)


@check("What did the worker say?")
def check_worker(ops: Connection, kind: str, item: str = "", minutes: float = 60) -> Findings:
    """The worker's last lines: those about the latest job of an item, else of the last minutes."""
    function = ops.target["jobs"][kind]["function"]
    job = ""
    if item:
        latest = find_latest(ops, kind, [item])
        if latest.empty:
            return Findings(
                [
                    Finding(
                        "unknown",
                        f"lines of {function}",
                        f"{item} has no {kind} job",
                        "",
                        "database",
                    )
                ]
            )
        job, created = latest["job"].iloc[0], latest["created"].iloc[0]
        minutes = max(minutes, (ops.now() - created).total_seconds() / 60 + 1)
    lines = worker_lines(ops, kind, job, minutes)
    what = f"name job {job}" if job else f"in the last {minutes:g} minutes"
    seen = (
        f"{len(lines)} lines {what}; the last at {lines['time'].iloc[-1]:%H:%M:%S} UTC"
        if len(lines)
        else f"no line {what}"
    )
    status = "ok" if len(lines) else "warn"
    return Findings(
        [Finding(status, f"lines of {function}", seen, "some", "logs FilterLogEvents")],
        lines[["time", "message"]],
    )


@planner
def plan_again(ops: Connection, kind: str, items: Sequence[str] = ()) -> Planned:
    """Start the jobs of these items again, or of all that hang (empty). The API marks a stale job as failed and queues
    a new one."""
    found = (
        find_latest(ops, kind, list(items))
        if items
        else find_stale(ops, kind).drop_duplicates("item")
    )
    steps = [again(ops, kind, row) for row in found.itertuples()]
    absent = sorted(set(items) - set(found["item"]))
    notes = [f"Without any {kind} job, so left alone: {', '.join(absent)}."] if absent else []
    if not steps:
        return Planned(f"no {kind} job to start again", [], notes or [f"No {kind} job hangs."])
    notes.append(
        "A worker that still runs is not stopped: its result and the new one are both written, the later one stays."
    )
    return Planned(f"start {len(steps)} {kind} jobs again", steps, notes)


def again(ops: Connection, kind: str, job: Any) -> Step:
    """The step that starts a row's job again, with the model that it had."""
    facts = ops.target["jobs"][kind]
    running = job.status == "running"
    given_up = (
        f"Give up the one that runs since {job.started:%Y-%m-%d %H:%M} UTC, and start"
        if running
        else "Start"
    )
    status = f"SELECT status FROM {quoted(facts['table'])} WHERE id::text = :job"
    return Step(
        f"{given_up} the {kind} of {job.item} again",
        Http("POST", facts["trigger"].replace("{id}", job.item), {"model": job.model}),
        before=job.status,
        after="failed" if running else "a new job, queued",
        observe=Select(status, job=job.job)
        if running
        else None,  # of the old job; the new one is another row
    )


@check("Did the jobs come to their end?")
def check_completed(
    ops: Connection, kind: str, items: Sequence[str], timeout_seconds: float = 900
) -> Findings:
    """Wait until the latest job of each item is done: completed, or failed. Evidence: JOBS in brief."""
    spoke = started = time.monotonic()
    pause = 1.0
    while True:
        found = find_latest(ops, kind, items)
        still = found[found["status"].isin(OPEN)]
        if still.empty or time.monotonic() - started > timeout_seconds:
            break
        if time.monotonic() - spoke > 10:
            spoke = time.monotonic()
            print(
                f"waiting: {len(still)} of {len(items)} {kind} jobs not done ({spoke - started:.0f} s)",
                flush=True,
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 10.0)
    return Findings([_ended_finding(row, kind) for row in found.itertuples()], _brief(found))


def _ended_finding(row: Any, kind: str) -> Finding:
    status = "ok" if row.status == "completed" else "unknown" if row.status in OPEN else "critical"
    seen = (
        row.status
        + (f": {row.error}" if row.error else "")
        + (" still" if row.status in OPEN else "")
    )
    return Finding(
        status,
        f"{kind} of {row.item}",
        seen,
        "completed",
        "database",
        "",
        "" if status == "ok" else "jobs/status",
    )
