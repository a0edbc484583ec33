"""Log lines as the functions and Lambda write them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from opslib.lab.estates.bluemoxon.jobs import THROTTLED
from opslib.lab.estates.bluemoxon.traffic import Request

WAITS = (5.4, 11.2)  # seconds between three attempts: exponential backoff with jitter
TRACEBACK = (
    "[ERROR] AttributeError: 'NoneType' object has no attribute 'lower'\n"
    "Traceback (most recent call last):\n"
    '  File "/var/task/app/main.py", line 71, in handler\n    return adapter(event, context)\n'
    '  File "/var/task/app/routers/books.py", line 214, in serialize\n    "binding": book.binding.lower(),\n'
)


class Run(NamedTuple):
    """One invocation of a function: what Lambda says around it."""

    id: str
    version: str
    memory_mb: int
    duration_ms: float
    init_ms: float = 0.0
    status: str = ""


def framed(run: Run, messages: list[str]) -> list[str]:
    """The lines of one invocation: START, what the function wrote, END, REPORT."""
    used = 96 + int(run.memory_mb * 0.11) + int(run.duration_ms) % 23
    report = (
        f"REPORT RequestId: {run.id}\tDuration: {run.duration_ms:.2f} ms\tBilled Duration: {int(run.duration_ms) + 1} ms\t"
        f"Memory Size: {run.memory_mb} MB\tMax Memory Used: {used} MB\t"
    )
    if run.init_ms:
        report += f"Init Duration: {run.init_ms:.2f} ms\t"
    if run.status:
        report += f"Status: {run.status}"
    start = f"START RequestId: {run.id} Version: {run.version}"
    return [start, *messages, f"END RequestId: {run.id}", report]


def entry(level: str, when: datetime, **members: Any) -> str:
    """A line of the app's JSON log."""
    stamp = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
    return json.dumps({"level": level, "timestamp": stamp, **members})


def request(asked: Request, when: datetime, version: str, memory_mb: int, fails: bool = False) -> list[str]:
    """The lines of a request to the API. `fails`: an exception that nobody caught."""
    run = Run(asked.id, version, memory_mb, asked.latency_ms, 612.4 if asked.second < 0.08 else 0.0)
    if fails:
        return framed(run._replace(status="error\tError Type: AttributeError"), [TRACEBACK])
    level, extra = "INFO", {}
    if asked.status >= 500:
        level, extra = "ERROR", {"message": "Upstream timeout: eBay item lookup took more than 9 s"}
    elif asked.status >= 400:
        level, extra = "WARN", {"message": "Not found" if asked.status == 404 else "Missing or expired token"}
    # As entry() writes it; by hand, since there are some ten thousand a day.
    stamp = when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
    tail = f', "message": "{extra["message"]}"' if extra else ""
    line = (
        f'{{"level": "{level}", "timestamp": "{stamp}", "request_id": "{asked.id}", "method": "{asked.method}", '
        f'"path": "{asked.path}", "status": {asked.status}, "latency_ms": {asked.latency_ms}{tail}}}'
    )
    return framed(run, [line])


def job_done(job: Any) -> list[str]:
    """What a worker says of a job that went well: begun, ended."""
    told = {"job_id": str(job.id), "book_id": job.book_id, "model": job.model}
    return [
        entry("INFO", job.started_at, message="job started", **told),
        entry("INFO", job.finished_at, message="job completed", **told, attempts=job.attempts),
    ]


def job_failed(when: datetime, told: dict[str, Any], error: str) -> str:
    return entry("ERROR", when, message="job failed", **told, error=error)


def throttled(when: datetime, told: dict[str, Any], waits: tuple[float, float] = WAITS) -> list[tuple[datetime, str]]:
    """Two attempts that Bedrock refused, a wait after each, and the third, after which the worker gives up."""
    again, last = "Bedrock throttled, retrying", "Bedrock throttled, giving up after 3 attempts"
    texts = []
    for attempt, wait in enumerate(waits, 1):
        about = {**told, "attempt": attempt, "max_attempts": 3, "wait_s": wait, "error": THROTTLED}
        texts.append((when, entry("WARN", when, message=again, **about)))
        when += timedelta(seconds=wait)
    return [*texts, (when, entry("ERROR", when, message=last, **told, attempt=3, max_attempts=3, error=THROTTLED))]


def rate_limited(when: datetime, wait_s: int) -> str:
    return entry("WARN", when, message="Rate limited by eBay", source="ebay", http_status=429, wait_s=wait_s)
