"""Log lines as Lambda writes them around an invocation, and as an app's JSON log has them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple


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
    """A line of an app's JSON log."""
    return json.dumps({"level": level, "timestamp": stamp(when), **members})


def stamp(when: datetime) -> str:
    """`2026-11-22T10:30:00.412Z`"""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"
