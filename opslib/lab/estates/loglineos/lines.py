"""Log lines as the loader writes them."""

from __future__ import annotations

from datetime import datetime, timedelta

from opslib.lab.traffic.lines import Run, entry, framed, stamp
from opslib.lab.traffic.traffic import CRASHED, TIMED_OUT, Request

CONNECTION_FAILED = "Database connection failed: "
_THROWN = (
    'ERROR\tInvoke Error \t{"errorType":"TypeError","errorMessage":"Cannot read properties of undefined (reading '
    '\'payload\')","stack":["TypeError: Cannot read properties of undefined (reading \'payload\')",'
    '"    at toSpan (/var/task/index.js:214:31)","    at Runtime.handler (/var/task/index.js:71:18)"]}'
)


def level(status: int, message: str) -> str:
    """ERROR for what somebody should know of; a caller without a name is only a warning."""
    return "INFO" if status < 400 else "ERROR" if message and status != 401 else "WARN"


def request(asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
    """The lines of a request to the API, START to REPORT."""
    run = Run(asked.id, version, memory_mb, asked.latency_ms, asked.init_ms)
    if asked.outcome == TIMED_OUT:
        over = when + timedelta(milliseconds=asked.latency_ms)
        return framed(run._replace(status="timeout"), [timed_out(over, asked.id, asked.latency_ms / 1000)])
    if asked.outcome == CRASHED:
        run = run._replace(status=f"error\tError Type: {'Error' if asked.message else 'TypeError'}")
        if not asked.message:
            return framed(run, [thrown(when, asked.id)])
    # As entry() writes it; by hand, since there are some ten thousand a day.
    said = f'"message": "{asked.message}", ' if asked.message else ""
    line = (
        f'{{"level": "{level(asked.status, asked.message)}", "timestamp": "{stamp(when)}", "request_id": "{asked.id}", '
        f'{said}"method": "{asked.method}", "path": "{asked.path}", "status": {asked.status}, '
        f'"duration_ms": {asked.latency_ms}, "user_id": "{asked.user}"}}'
    )
    return framed(run, [line])


def served(when: datetime, asked: Request) -> str:
    """The loader's line about a request that was really made."""
    said = {"message": asked.message} if asked.message else {}
    return entry(
        level(asked.status, asked.message), when, request_id=asked.id, **said, method=asked.method, path=asked.path,
        status=asked.status, duration_ms=asked.latency_ms, user_id=asked.user,
    )  # fmt: skip


def timed_out(when: datetime, id: str, seconds: float) -> str:
    return f"{stamp(when)} {id} Task timed out after {seconds:.2f} seconds"


def thrown(when: datetime, id: str) -> str:
    """What the runtime says of an exception that nobody caught."""
    return f"{stamp(when)}\t{id}\t{_THROWN}"
