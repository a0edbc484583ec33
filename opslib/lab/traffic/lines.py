"""Log lines as Lambda writes them around an invocation, and as an app's JSON log has them."""

import json
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from opslib.lab.forms.days import Lines
from opslib.lab.traffic.traffic import CRASHED, TIMED_OUT, Request

_MEMBERS = {
    "request_id": '"%(id)s"',
    "trace_id": '"%(id)s"',
    "method": '"%(method)s"',
    "path": "%(path)s",
    "status": "%(status)s",
    "latency_ms": "%(ms)s",
    "duration_ms": "%(ms)s",
    "user_id": '"%(user)s"',
    "message": "%(message)s",
}


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
    used = min(used, run.memory_mb * 7 // 8)  # a runtime alone nearly fills the smallest
    report = (
        f"REPORT RequestId: {run.id}\tDuration: {run.duration_ms:.2f} ms\tBilled Duration: "
        f"{int(run.duration_ms) + 1} ms\t"
        f"Memory Size: {run.memory_mb} MB\tMax Memory Used: {used} MB\t"
    )
    if run.init_ms:
        report += f"Init Duration: {run.init_ms:.2f} ms\t"
    if run.status:
        report += f"Status: {run.status}"
    start = f"START RequestId: {run.id} Version: {run.version}"
    return [start, *messages, f"END RequestId: {run.id}", report]


def entry(level: str, when: datetime, **members: Any) -> str:
    """A line of an app's JSON log."""
    return json.dumps({"level": level, "timestamp": stamp(when), **members})


def stamp(when: datetime) -> str:
    """`2026-11-22T10:30:00.412Z`"""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


class Texts:
    """What the log of one target's API says. `base`: what its paths begin with."""

    def __init__(self, lines: Lines, base: str) -> None:
        self.data, self._base = lines, base if lines.with_base else ""

    def request(self, asked: Request, when: datetime, version: str, memory_mb: int) -> list[str]:
        """The lines of a request to the API, START to REPORT."""
        run = Run(asked.id, version, memory_mb, asked.latency_ms, asked.init_ms)
        if asked.outcome == TIMED_OUT:
            over, seconds = when + timedelta(milliseconds=asked.latency_ms), asked.latency_ms / 1000
            return framed(run._replace(status="timeout"), [self.timed_out(over, asked.id, seconds)])
        if asked.outcome == CRASHED:
            kind = "Error" if asked.message else self.data.error_type
            run = run._replace(status=f"error\tError Type: {kind}")
            if not asked.message:
                return framed(run, [self.thrown(when, asked.id)])
        return framed(run, [self.line(asked, when)])

    def line(self, asked: Request, when: datetime) -> str:
        """The app's own line. As `lines.entry` writes it, but there are some ten thousand a day."""
        said = asked.message or self.data.messages.get(asked.status, "")
        template = self._with_message if said else self._without
        return template % {
            "level": self.level(asked.status, said),
            "when": stamp(when),
            "id": asked.id,
            "method": asked.method,
            "path": json.dumps(self._base + asked.path),
            "status": asked.status,
            "ms": asked.latency_ms,
            "user": asked.user,
            "message": json.dumps(said),
        }

    def level(self, status: int, message: str) -> str:
        """ERROR for what somebody should know of."""
        if status < 400:
            return "INFO"
        told = status >= self.data.errors_from and status not in self.data.warnings
        return "ERROR" if status >= 500 or (told and message) else "WARN"

    def thrown(self, when: datetime, id: str) -> str:
        """What the runtime says of an exception that nobody caught."""
        return self.data.thrown.replace("{stamp}", stamp(when)).replace("{id}", id)

    def timed_out(self, when: datetime, id: str, seconds: float) -> str:
        return self.data.timed_out.format(stamp=stamp(when), id=id, seconds=seconds)

    @cached_property
    def _with_message(self) -> str:
        return self._template(self.data.members)

    @cached_property
    def _without(self) -> str:
        return self._template([name for name in self.data.members if name != "message"])

    def _template(self, members: list[str]) -> str:
        told = "".join(f', "{name}": {_MEMBERS[name]}' for name in members)
        return f'{{"level": "%(level)s", "timestamp": "%(when)s"{told}}}'
