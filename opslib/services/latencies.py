"""How long a service takes to answer, beside its tasks, CPU, requests and deployments: and why.

Each reason is looked for where the answers were slow, and ruled out by its own evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Line,
    OpsError,
    Panel,
    Plotted,
    Question,
    Window,
    answer,
    check,
    clock,
    count,
    frame,
    metrics,
    number,
    tried,
    unread,
    window,
)
from opslib.core.checks.plots import MARKS
from opslib.services import balancers, measures
from opslib.services.counts import AT_CAPACITY, bounds
from opslib.services.reading import Service
from opslib.services.reading import number as revision
from opslib.services.reasons import waits

if TYPE_CHECKING:
    import pandas as pd

REVISION, TRAFFIC = "slow-revision", "more-traffic"  # causes that findings name
_DAY = timedelta(days=1)
_TIMES = 2.0  # as long as usual is slow
_MORE = 1.5  # times the usual requests
_BUSY = 85.0  # percent: requests wait for CPU
_FEW = 3  # slow periods near each other, at least


@dataclass(frozen=True)
class Seen:
    """A service behind a target group over a window, and the day before that.

    `rows`: `measures.read`, of both. `slow_s`: from where on a period's p95 is slow; None where
    nothing tells what is usual.
    """

    service: Service
    within: Window
    rows: Frame
    slow_s: float | None
    deployments: list[Json]

    @cached_property
    def now(self) -> Frame:
        return self.rows[self.rows.index >= self.within.start]

    def a_day_before(self, rows: Frame) -> Frame:
        """The same times of the day before."""
        return self.rows[self.rows.index.isin(rows.index - _DAY)]

    @cached_property
    def slow(self) -> pd.Series:
        """In which periods of the window it was slow; of few requests a p95 is of one of them."""
        slow = self.now["p95_s"] > (self.slow_s or float("inf"))
        return slow & (measures.together(slow) >= _FEW)

    @cached_property
    def bad(self) -> Frame:
        """The periods that were slow, or where the load balancer did not wait."""
        return self.now[self.slow | (self.now["elb_504"] > 0)]

    @property
    def slow_times(self) -> pd.Index:
        """Of its slow periods; none where they are too few to count."""
        return self.slow.index[self.slow & self.is_slow]

    @property
    def is_slow(self) -> bool:
        return bool(self.slow.any()) or balancers.unanswered(self.now)["bad"]


@check("Are answers slow, and why?")
def check_latency(
    ops: Connection,
    service: str,
    minutes: float = 60,
    since: str = "",
    until: str = "",
    slow_seconds: float = 0,
) -> Findings:
    """Response time of a service's targets, and what explains it: a finding for each reason.

    `slow_seconds`: p95 of five minutes above it is slow; 0: `warn` of the target's key metric
    TargetResponseTime for this load balancer, else twice the median p95 of the day before.
    CloudWatch GetMetricData, ecs ListServiceDeployments, FilterLogEvents.
    """
    known, within = Service(ops, service), window(ops, minutes, since, until)
    groups = measures.groups(known)
    if not groups:
        asked = Question(f"how long {service} takes", "p95 is not slow", "elbv2")
        why = "no Application Load Balancer is in front of it, so nobody measures its answers"
        return Findings(asked.unknown(why, next="logs/query"))
    rows, deployments = ops.gather(
        partial(measures.read, known, groups[0], Window(within.start - _DAY, within.end)),
        partial(known.deployments, 10),
    )
    before = rows[rows.index < within.start]
    slow = (
        slow_seconds
        or metrics.slow_from(ops, "TargetResponseTime", groups[0])
        or _TIMES * before["p95_s"].median()
    )
    seen = Seen(known, within, rows, slow if slow == slow else None, deployments)
    reasons = [answer(f"{name} of {service}", reason, seen) for name, reason in REASONS.items()]
    asks = tried(partial(waits.measured, known, within, seen.slow_times))
    reasons += [unread(f"what {service} asks", asks)] if isinstance(asks, OpsError) else asks
    explained = any(each.status == "warn" for each in reasons)
    found = [_taken(seen, explained), _waited(seen, explained), *reasons]
    note = f"{within}. Slow: p95 over {number(seen.slow_s, 's')}." if seen.slow_s else f"{within}."
    return Plotted(found, None, note, [*_panels(seen)], within, _marks(seen))


def _taken(seen: Seen, explained: bool) -> Finding:
    """How long answers took; the reason is another finding's (`explained`), or not known here."""
    rule = f"p95 at most {number(seen.slow_s, 's')}" if seen.slow_s else "p95 as usual"
    asked = Question(f"how long {seen.service.key} takes", rule, "GetMetricData TargetResponseTime")
    times = seen.now.dropna(subset="p95_s")
    if times.empty or seen.slow_s is None:
        why = "nothing answered" if times.empty else "no day before it to compare with"
        return asked.unknown(f"{why}, {seen.within}", next="services/health")
    p50, p95, p99 = (number(times[name].median(), "s") for name in ("p50_s", "p95_s", "p99_s"))
    said = f"p50 {p50}, p95 {p95}, p99 {p99} (medians), "
    said += f"{int(seen.slow.sum())} of {count(len(times), 'period')} slow"
    if not seen.slow.any():
        return asked.ok(said)
    first, last = measures.episode(seen.slow) or (seen.within.start, seen.within.end)
    said += f", from {clock(first, seen.within.end)} to {clock(last, seen.within.end)}"
    if explained:
        return asked.warn(said)
    said += ". None of the reasons below explains it: not known. What do the slow requests log?"
    return asked.warn(said, next="logs/query")


def _waited(seen: Seen, explained: bool) -> Finding:
    """Whether the load balancer gave up on the app."""
    asked = Question(
        f"answers that the load balancer of {seen.service.key} did not wait for",
        "fewer than 5, or at most 1 % of requests",
        "GetMetricData HTTPCode_ELB_504_Count",
    )
    found = balancers.unanswered(seen.now)
    said = f"{found['many']:,} of {count(int(seen.now['of_all'].sum()), 'request')} answered 504"
    if not found["bad"]:
        return asked.ok(said, cause=balancers.TOO_SLOW)
    said += ": they took longer than its idle timeout (60 s, unless set otherwise)"
    follows = "" if explained else "logs/query"
    return asked.critical(said, cause=balancers.TOO_SLOW, next=follows)


def _cpu(seen: Seen) -> Finding:
    """Too few tasks: at the upper bound of scaling, or below it."""
    rule = f"below {_BUSY:g} % where answers are slow"
    asked = Question(f"CPU of {seen.service.key}", rule, "GetMetricData, ecs, auto-scaling")
    cpu = (seen.bad if seen.is_slow else seen.now)["cpu"].dropna()
    if cpu.empty:
        return asked.unknown("no CPU was measured", next="services/health")
    tasks, limits = seen.service.described["desiredCount"], bounds(seen.service)
    said = f"{number(cpu.median(), '%')} at the median, at most {number(cpu.max(), '%')}; "
    said += count(tasks, "task")
    if limits:
        said += f" between {limits['MinCapacity']} and {limits['MaxCapacity']}"
    if not seen.is_slow or cpu.median() < _BUSY:
        return asked.ok(said, cause=AT_CAPACITY)
    if limits and tasks >= limits["MaxCapacity"]:
        said += (
            ": at its limit, and auto-scaling may start no more. Raise the upper bound, or give "
        )
        said += "each task more CPU"
        return asked.warn(said, cause=AT_CAPACITY, next="services/scale")
    said += ": too few tasks. " + (
        "Auto-scaling should add some within minutes: is it suspended, or is there no room?"
        if limits
        else "Nothing scales it"
    )
    return asked.warn(said, cause="too-few-tasks", next="services/scale")


def _deployed(seen: Seen) -> Finding:
    """Whether it began with a deployment: well before it, slow after."""
    asked = Question(
        f"deployments of {seen.service.key}", "none at its beginning", "ecs ListServiceDeployments"
    )
    slow = seen.slow | (seen.now["elb_504"] > 0)
    found = measures.brought(seen.deployments, slow) if seen.is_slow else None
    if found is None:
        many = sum(each["createdAt"] >= seen.within.start for each in seen.deployments)
        said = f"{count(many, 'deployment')} within the window, none where it begins"
        return asked.ok(said, cause=REVISION)
    said = f"it began with {measures.told(found, seen.within)}"
    return asked.warn(said, cause=REVISION, next="services/rollback")


def _asked(seen: Seen) -> Finding:
    """More requests than on the day before at these hours."""
    rule = f"at most {_MORE:g} times as many as a day before"
    asked = Question(f"requests to {seen.service.key}", rule, "GetMetricData RequestCount")
    rows = seen.bad if seen.is_slow else seen.now
    present, usual = rows["requests"].mean(), seen.a_day_before(rows)["requests"].mean()
    if not usual > 0:
        return asked.unknown("nothing was asked a day before at these hours")
    said = f"{number(present)} in each period, a day before {number(usual)}"
    if not seen.is_slow or present <= _MORE * usual:
        return asked.ok(said, cause=TRAFFIC)
    return asked.warn(said, cause=TRAFFIC, next="services/scale")


REASONS = {
    "CPU": _cpu,
    "deployments": _deployed,
    "upstream": lambda seen: waits.told(seen.service, seen.within),
    "cold starts": lambda seen: waits.idle(
        seen.service, seen.now, seen.slow_times, bounds(seen.service)
    ),
    "requests": _asked,
}


def _marks(seen: Seen) -> Frame:
    rows = [
        (
            each["createdAt"],
            f"r{revision(of)}" if (of := each.get("taskDefinition")) else "deployed",
            "deployment",
        )
        for each in seen.deployments
    ]
    return frame(rows, MARKS)


def _panels(seen: Seen) -> Iterator[Panel]:
    limit = [("slow", seen.slow_s)] if seen.slow_s else []
    times = [Line(name[:3], seen.now[name].dropna()) for name in ("p50_s", "p95_s", "p99_s")]
    yield Panel("Response time", "s", times, limit)
    high = bounds(seen.service)
    tasks = [Line("healthy tasks", seen.now["healthy"].dropna())]
    yield Panel("Tasks", "count", tasks, [("at most", high["MaxCapacity"])] if high else [])
    cpu = [Line("CPU", seen.now["cpu"].dropna())]
    yield Panel("CPU of the service", "%", cpu, [("busy", _BUSY)])
    asked = [Line("requests", seen.now["requests"])]
    yield Panel("Requests per period", "count", asked)
