"""Executions as plain data, which a reset can put back, and CloudWatch's metrics of them."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import Any

from opslib.lab.aws.ground import Standing
from opslib.lab.aws.operations import Result

STARTED, ENDED = "ExecutionsStarted", ("Succeeded", "Failed", "TimedOut", "Aborted")
_COUNTED_SECONDS = 0.2
kept: dict[str, Execution] = {}  # by ARN
runs: dict[str, Any] = {}  # by ARN, those that run: moto's worker
threads: list[threading.Thread] = []
_counts: dict[str, tuple[float, dict[float, Counter[str]]]] = {}


@dataclass
class Execution:
    """One execution. `events`: its history as GetExecutionHistory tells it, or what tells it."""

    arn: str
    machine: str
    name: str
    input: str
    definition: str
    role: str
    started: datetime
    status: str = "RUNNING"
    stopped: datetime | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    events: list[Result] | Callable[[], list[Result]] = field(default_factory=list)
    redrives: list[datetime] = field(default_factory=list)

    def history(self) -> list[Result]:
        told = self.events() if callable(self.events) else self.events
        return [*told, *_events(runs.get(self.arn), len(told))]

    def end(self, status: str, **about: Any) -> None:
        self.status, self.stopped = status, datetime.now(UTC)
        for name, value in about.items():
            setattr(self, name, value)


def held() -> tuple[dict[Any, Any], ...]:
    return (kept,)


def reset() -> None:
    """No execution runs on into the next lab."""
    running = list(runs.values())
    runs.clear()
    for worker in running:
        if worker.env is not None:
            worker.env.set_stop(datetime.now(UTC), None, None)
    settle()
    kept.clear()
    _counts.clear()


def settle(seconds: float = 20) -> None:
    """Waits for the ends of those that run."""
    until = time.monotonic() + seconds
    for thread in list(threads):
        thread.join(max(0.0, until - time.monotonic()))
    threads[:] = [thread for thread in threads if thread.is_alive()]


def every(machine: str) -> list[Execution]:
    """Those of a state machine, newest first."""
    found = [each for each in list(kept.values()) if each.machine == machine]
    return sorted(found, key=lambda each: each.started, reverse=True)


def add(execution: Execution) -> None:
    """One as if it had run."""
    kept[execution.arn] = execution


def forget(arns: Iterable[str]) -> None:
    for arn in arns:
        runs.pop(arn, None)
        kept.pop(arn, None)


def measure(place: Standing, machine: str) -> None:
    """CloudWatch's metrics of a state machine: what its executions are, also those of the past."""
    metrics: Any = place.metrics
    for name in (STARTED, *(f"Executions{end}" for end in ENDED), "ExecutionThrottled"):
        about = "AWS/States", name, {"StateMachineArn": machine}
        metrics.baseline(*about, partial(_counted, machine, name), "Count")


def _counted(machine: str, metric: str, minute: float) -> float | None:
    counts = _minutes(machine).get(minute)
    if not counts or not (
        counts[STARTED] if metric == STARTED else counts.total() - counts[STARTED]
    ):
        return None
    return float(counts[metric])


def _minutes(machine: str) -> dict[float, Counter[str]]:
    """By minute, how many executions began and how many ended how; read anew after a moment."""
    until, found = _counts.get(machine, (0.0, {}))
    if time.monotonic() > until:
        found = defaultdict(Counter)
        for each in every(machine):
            found[each.started.timestamp() // 60 * 60][STARTED] += 1
            if each.stopped:
                ended = each.status.title().replace("_", "")
                found[each.stopped.timestamp() // 60 * 60][f"Executions{ended}"] += 1
        _counts[machine] = time.monotonic() + _COUNTED_SECONDS, dict(found)
    return _counts[machine][1]


def _events(worker: Any, before: int) -> list[Result]:
    """What a run has told so far, numbered after what there was."""
    if worker is None or worker.env is None:
        return []
    found = [_plain(event) for event in worker.env.event_manager.get_event_history()]
    if before:  # a redrive's begin is told by ExecutionRedriven
        found = [event for event in found if event["type"] != "ExecutionStarted"]
        for event in found:
            event["id"] += before - 1
            event["previousEventId"] += before - 1
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value.value if isinstance(value, Enum) else value
