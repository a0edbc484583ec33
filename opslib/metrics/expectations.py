"""What was always there, and where things go: silence, and limits that come near."""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import jmespath

from opslib import databases, services
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Question,
    Window,
    answer,
    beside,
    check,
    clock,
    count,
    metrics,
    number,
    window,
)
from opslib.core.checks.series import WEEK, hours_left, overdue, silence
from opslib.core.reads.stores.queues import Queue

SILENT = "metric-silent"  # the causes that findings name
LIMIT_NEAR = "limit-near"
_WEEKS = 3
_HOURS = 3  # so much of each week is compared
_LATE_MINUTES = 15  # CloudWatch's own delay
_STEADY = 10  # of the twelve times five minutes of an hour that are measured: else chance counts
_SURE = 20  # so much was seen each week: that there is none now is no chance
_REST_HOURS = 2  # what ran within them is not asked when it ran before
_TREND_DAYS = 14
_CRITICAL_HOURS, _WARN_HOURS = 24, 7 * 24
_VOLUMES = {
    "Invocations",
    "Count",
    "Requests",
    "RequestCount",
    "NumberOfMessagesSent",
    "IncomingBytes",
}


class Counted(NamedTuple):
    """A metric, told by what it is of."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    asked_for: bool = False  # what a share is a share of

    @property
    def volume(self) -> bool:
        """It counts what was asked for; of other metrics the samples count."""
        return self.asked_for or self.metric in _VOLUMES

    @property
    def of(self) -> str:
        return " ".join([self.namespace, *(value for _, value in self.dimensions)])

    def by(self, statistic: str, period: int = 300) -> Sequence[Any]:
        """As it is asked for."""
        return self.namespace, self.metric, dict(self.dimensions), statistic, period


@check("Is there still what there always was?")
def check_silence(ops: Connection) -> Findings:
    """Nothing is measured now, where each of the weeks before something was at this hour.

    Of the key metrics, the functions' invocations and the services' requests, by what they are of;
    GetMetricData of the last hours, and of the same hours of the three weeks before. Of functions
    that did not run for some hours: whether they always ran oftener.
    """
    counted, now = list(dict.fromkeys(_counted(ops))), ops.now()
    wanted = {each: each.by("Sum" if each.volume else "SampleCount") for each in counted}
    weeks = _of_weeks(ops, wanted, _HOURS, now)
    found: dict[str, Finding] = {}
    for each in counted:
        present, *earlier = (week[each] for week in weeks)
        said = _silent(ops, each, silence(now, present, earlier))
        key = "warn" if said and said.status == "warn" else each.of  # less traffic: one cause
        if said and (key not in found or said.status == "critical"):
            found[key] = said
    judged = [*found.values(), *_not_run(ops)]
    if judged:
        return Findings(judged)
    if not any(len(values) for week in weeks for values in week.values()):
        # No answer: what rests at this hour is well, and what is not there is not.
        return Findings(
            note=f"Nothing was measured, now or at this hour of the {_WEEKS} weeks before."
        )
    seen = f"{count(len(counted), 'metric')}: each as in the {_WEEKS} weeks before, or too young"
    return Findings(_asked("all that is measured").ok(seen))


def _of_weeks(ops: Connection, wanted: dict[Counted, Any], hours: int, now: datetime) -> list[Any]:
    """The values of the last hours, and of the same hours of the weeks before."""
    ends = [now - week * WEEK for week in range(_WEEKS + 1)]
    read = ops.each(
        lambda end: metrics.series(ops, wanted, Window(end - timedelta(hours=hours), end)), ends
    )
    return [*read.values()]


def _asked(what: str) -> Question:
    return Question(
        f"{what} is as at this hour of other weeks", "not silent", "GetMetricData, four windows"
    )


def _silent(ops: Connection, each: Counted, gap: Any) -> Finding | None:
    if gap is None or gap.minutes < _LATE_MINUTES or gap.usual < _SURE:
        return None
    since = f"since {clock(gap.since, ops.now())}" if gap.since else f"for over {_HOURS} h"
    volume = each.volume
    much = f"only {number(gap.seen)}" if gap.seen else "no"
    seen = (
        f"{much} {'' if volume else 'samples of '}{each.metric} {since} UTC; in the same "
        f"{number(round(gap.minutes))} min of each "
    )
    seen += f"week before at least {number(gap.usual)}"
    status = "critical" if volume else "unknown"  # what is not measured may be well
    status = "warn" if gap.seen else status
    follows = "services/health" if each.namespace == "AWS/ApplicationELB" else "alarms/review"
    return _asked(each.of).answer(status, seen, cause=SILENT, next=follows)


def _not_run(ops: Connection) -> Iterator[Finding]:
    """Functions that ran regularly, as every night, and run no more."""
    rests = [each for each in _counted(ops) if each.metric == "Invocations"]
    for hours in (_REST_HOURS, 28 * 24):
        if not rests:
            return
        wanted = {each: each.by("Sum", 3600) for each in rests}
        found = metrics.series(ops, wanted, window(ops, hours * 60))
        ran = {each: values[values > 0] for each, values in found.items()}
        if hours == _REST_HOURS:
            rests = [each for each in rests if ran[each].empty]
    for each in rests:
        if late := overdue(ops.now(), ran[each].index.to_series()):
            asked = Question(f"{each.of} runs", "as often as in four weeks", "GetMetricData")
            yield asked.warn(late.told(ops.now()), cause=SILENT, next="logs/search")


def _counted(ops: Connection) -> Iterator[Counted]:
    """The functions' invocations, the key metrics; of a share what it is a share of."""
    for of in ops.target.at("functions").values():
        yield Counted("AWS/Lambda", "Invocations", (("FunctionName", of["name"]),))
    for group in services.balanced(ops) if "services" in ops.target.facts else ():
        yield Counted("AWS/ApplicationELB", "RequestCount", tuple(group.items()))
    for each in metrics.described(ops):
        wholes = each.share.wholes if each.share else {""}
        for name in each.amounts.keys() & wholes:
            of = each.amounts[name]
            yield Counted(of.namespace, of.metric, tuple(of.dimensions.items()), bool(name))


def _named(ops: Connection, space: str) -> Iterator[tuple[str, str]]:
    """Dimension and name of what the target's file names of a namespace."""
    for key, path in beside(__file__, "metrics")["of"][space].items():
        for name in jmespath.search(path, ops.target.facts.plain()) or ():
            yield key, name


@check("Is the work of database and functions as at this hour of other weeks?")
def check_levels(ops: Connection) -> Findings:
    """A database's latency, queues, swap, memory; how long functions take, how often they are
    called, how much is logged: far from what each of the three weeks before had at this hour.

    GetMetricData AWS/RDS, AWS/Lambda and AWS/Logs of an hour, of what is measured all the time.
    """
    known = beside(__file__, "metrics")
    levels = known["levels"]
    listed = [
        Counted(space, metric, (of,))
        for space in levels
        for of in _named(ops, space)
        for metric in levels[space]
    ]
    wanted = {each: each.by("Sum" if each.volume else "Average") for each in listed}
    by_end, told, follows, measured = _of_weeks(ops, wanted, 1, ops.now()), [], "", 0
    for each in listed:
        times, limit, unit = levels[each.namespace][each.metric]
        read = [week[each] for week in by_end]
        value, *weeks = hours = [of.mean() if len(of) >= _STEADY else math.nan for of in read]
        measured += not any(map(math.isnan, hours))
        sign, beyond = -1 if times < 1 else 1, (limit, *(times * each for each in weeks))
        if all(sign * value > sign * each for each in beyond):
            was = ", ".join(number(each, unit) for each in weeks)
            seen = f"{each.metric} of {each.dimensions[0][1]} {number(value, unit)}"
            told.append(f"{seen} in the last hour, in other weeks {was}")
            ways = known["follows"][each.namespace]
            follows = follows or ways.get(each.metric, ways["any"])
    if not measured:  # it is too young, or nothing is measured, which other checks judge
        return Findings(note=f"Not measured now and in the {_WEEKS} weeks before.")
    seen = "; ".join(told) or f"{count(measured, 'metric')}, none far from other weeks"
    return Findings(
        Question("work as in other weeks", "nothing far from it", "GetMetricData").judged(
            not told, seen, otherwise="warn", next=follows
        )
    )


@check("Does something come to its limit?")
def check_limits(ops: Connection) -> Findings:
    """When what has a hard limit meets it, if it goes on so: storage, connections, queues' ages.

    GetMetricData of two weeks. A daily rhythm is no trend.
    """
    limited = dict(_limited(ops))
    wanted = {each: each.by("Average", 900) for each in limited}
    found, judged = metrics.series(ops, wanted, window(ops, _TREND_DAYS * 1440)), []
    for each, limit in limited.items():
        values, asked = found[each], _limits(each)
        if len(values):
            judged.append(answer(asked, _projected, asked, each, values, limit))
    return Findings(judged)


def _limits(each: Counted) -> Question:
    rule = f"not within {_WARN_HOURS // 24} days"
    return Question(f"{each.metric} of {each.of} meets its limit", rule, "GetMetricData, 14 days")


def _projected(asked: Question, each: Counted, values: Any, limit: Callable[[], float]) -> Finding:
    most, unit = limit(), {"Free": "bytes", "Appr": "s"}.get(each.metric[:4], "")
    left = hours_left(values, most)
    seen = f"{number(values.iloc[-1], unit)}, limit {number(most, unit)}"
    if left is None or left > _WARN_HOURS:
        return asked.ok(seen)
    when = f"{left:.0f} hours" if left >= 1 else f"{left * 60:.0f} minutes"
    seen += f": there in {when}, if it goes on as it does"
    status = "critical" if left < _CRITICAL_HOURS else "warn"
    follow = beside(__file__, "metrics")["nearing"].get(each.metric, "metrics/dashboard")
    return asked.answer(status, seen, cause=LIMIT_NEAR, next=follow)


def _limited(ops: Connection) -> Iterator[tuple[Counted, Callable[[], float]]]:
    """What has a hard limit, and how that is read."""
    for named in _named(ops, "AWS/RDS"):
        most = partial(databases.connection_limit, ops)
        yield Counted("AWS/RDS", "DatabaseConnections", (named,)), most
        yield Counted("AWS/RDS", "FreeStorageSpace", (named,)), lambda: 0.0
    for named in _named(ops, "AWS/SQS"):
        most = partial(_kept_seconds, ops, named[1])
        yield Counted("AWS/SQS", "ApproximateAgeOfOldestMessage", (named,)), most
    ends = beside(__file__, "metrics")["ends"]
    for each in metrics.described(ops):
        if each.metric in ends:
            of = tuple(each.dimensions.items())
            yield Counted(each.namespace, each.metric, of), partial(float, ends[each.metric])


def _kept_seconds(ops: Connection, name: str) -> float:
    return float(Queue(ops, name).attributes()["MessageRetentionPeriod"])
