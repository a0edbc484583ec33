"""What AWS itself counts as trouble of what a target describes: the table troubles.yaml."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any, NamedTuple

import jmespath

from opslib import changes
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    beside,
    check,
    clock,
    count,
    metrics,
    number,
    window,
)

_NOW = timedelta(hours=2)  # what is over for longer is a warning


class _Watched(NamedTuple):
    """A metric of a resource, as a row of the table says it; `most`: what it is a share of."""

    of: str
    metric: str
    asked: tuple[Any, ...]
    most: float
    low: bool
    warn: float
    critical: float | None
    means: str
    next: str


@check("Does AWS count trouble of what is there?")
def check_troubles(ops: Connection, hours: float = 24) -> Findings:
    """What the services count that nobody wants: refused, dropped, held back, near a quota.

    Of each resource that the target's file names, and those it leads to (GetMetricData, by hours).
    """
    described, within = changes.read_resources(ops), window(ops, hours * 60)
    watched = [each for row in beside(__file__, "troubles") for each in _watched(row, described)]
    found = metrics.series(ops, {at: each.asked for at, each in enumerate(watched)}, within)
    told = [said for at, each in enumerate(watched) if (said := _judged(each, found[at], within))]
    if told or not watched:
        return Findings(told)
    of = len({each.of for each in watched})
    seen = f"none: {count(len(watched), 'metric')} of {count(of, 'resource')}"
    return Findings(Question("trouble that AWS counts", "none", "GetMetricData").ok(seen))


def _watched(row: Json, described: dict[tuple[str, str], Any]) -> Iterator[_Watched]:
    for (kind, name), body in described.items():
        if kind != row["kind"] or not isinstance(body, dict):
            continue
        values = [list(_values(path, body)) for path in row["of"].values()]
        for each, low in product(product(*values), (False, True)):
            of = dict(zip(row["of"], each, strict=True))
            for named, rule in row.get("low" if low else "metrics", {}).items():
                statistic, *judged = rule
                metric, _, share = named.partition(" ")
                most = jmespath.search(share, body) if share else 1
                asked = row["space"], metric, of, statistic, 3600
                if most:
                    of_what = f"{kind} {' '.join(each) or name}"
                    yield _Watched(of_what, metric, asked, float(most), low, *judged)


def _values(path: str, body: Json) -> Iterator[str]:
    path, _, part = path.partition(" ~ ")
    found = jmespath.search(path, body)
    for each in found if isinstance(found, list) else [found]:
        if text := re.search(part or ".+", each or ""):
            yield text[0]


def _judged(each: _Watched, values: Any, within: Any) -> Finding | None:
    beyond = operator.lt if each.low else operator.gt
    bad = values[beyond(values / each.most, each.warn)]
    if bad.empty:
        return None
    worst = bad.min() if each.low else bad.max()
    newest = bad[bad.index > within.end - _NOW] / each.most
    now = each.critical is not None and bool(beyond(newest, each.critical).any())
    asked = Question(f"{each.metric} of {each.of}", f"{each.warn:g} an hour", "GetMetricData")
    seen = f"{number(worst)}" if each.most == 1 else f"{number(worst)}, {worst / each.most:.0%}"
    hour = clock(bad.index[-1], within.end)
    seen += f" {each.means} ({count(len(bad), 'hour')} so, the last from {hour} UTC)"
    return asked.answer("critical" if now else "warn", seen, next=each.next)
