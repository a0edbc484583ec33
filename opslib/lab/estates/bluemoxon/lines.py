"""Log lines as the functions and Lambda write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from opslib.lab.estates.bluemoxon.jobs import THROTTLED
from opslib.lab.traffic.lines import Run, entry, framed, stamp
from opslib.lab.traffic.traffic import CRASHED, Request

__all__ = [
    "TRACEBACK", "WAITS", "Run", "entry", "framed", "job_done", "job_failed", "rate_limited", "request", "throttled",
]  # fmt: skip

WAITS = (5.4, 11.2)  # seconds between three attempts: exponential backoff with jitter
TRACEBACK = (
    "[ERROR] AttributeError: 'NoneType' object has no attribute 'lower'\n"
    "Traceback (most recent call last):\n"
    '  File "/var/task/app/main.py", line 71, in handler\n    return adapter(event, context)\n'
    '  File "/var/task/app/routers/books.py", line 214, in serialize\n    "binding": book.binding.lower(),\n'
)


def request(asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
    """The lines of a request to the API."""
    run = Run(asked.id, version, memory_mb, asked.latency_ms, 612.4 if asked.second < 0.08 else 0.0)
    if asked.outcome == CRASHED:
        return framed(run._replace(status="error\tError Type: AttributeError"), [TRACEBACK])
    level, extra = "INFO", {}
    if asked.status >= 500:
        level, extra = "ERROR", {"message": "Upstream timeout: eBay item lookup took more than 9 s"}
    elif asked.status >= 400:
        level, extra = "WARN", {"message": "Not found" if asked.status == 404 else "Missing or expired token"}
    # As entry() writes it; by hand, since there are some ten thousand a day.
    tail = f', "message": "{extra["message"]}"' if extra else ""
    line = (
        f'{{"level": "{level}", "timestamp": "{stamp(when)}", "request_id": "{asked.id}", "method": "{asked.method}", '
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
