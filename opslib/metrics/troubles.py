"""What AWS itself counts as trouble of what a target describes, by the table troubles.yaml."""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import jmespath

from opslib import changes
from opslib.core import Connection, Findings, Json, Question, beside, check, count, metrics, window
from opslib.core.reads.metrics import Metric
from opslib.metrics import keys

_TABLE = beside(__file__, "troubles")


@check("Does AWS count trouble of what is there?")
def check_troubles(ops: Connection, hours: float = 24, kind: str = "") -> Findings:
    """What the services count that nobody wants: refused, dropped, held back, near a quota.

    Of each resource that the target's file names and those it leads to, or those of a `kind`, by
    the table troubles.yaml. Judged as key metrics are; what was not counted is none.
    """
    within, described = window(ops, hours * 60), changes.read_resources(ops, kind)
    asked, counted = [*_watched(described.found)], []
    answered = metrics.answered(ops, asked, within)
    for metric in asked:
        points = metrics.points(metric, answered, within)
        if len(points):
            counted.append(keys.finding(metric, points, keys.summary(metric, points), within))
    told = [each for each in counted if each.status in ("warn", "critical")]
    kinds = {row["kind"] for row in _TABLE}
    told += changes.not_read(ops, "trouble that AWS counts", described, kinds)
    if told or not described.read:
        return Findings(told)
    seen = f"none: {len(counted)} of {count(len(asked), 'metric')} counted something"
    return Findings(Question("trouble that AWS counts", "none", "GetMetricData").ok(seen))


def _watched(found: Mapping[tuple[str, str], Any]) -> Iterator[Metric]:
    """The table's metrics of what was found."""
    for (kind, name), body in found.items():
        for row in _TABLE if isinstance(body, dict) else ():
            if kind != row["kind"]:
                continue
            parts = [[*_values(path, body)] for path in row["of"].values()]
            for each, (told, rule) in product(product(*parts), row["metrics"].items()):
                metric, _, share = told.partition(" ")
                statistic, *bounds, means, follows = rule
                most = jmespath.search(share, body) if share else 1
                title = f"{metric} of {kind} {' '.join(each) or name}: {means}"
                of = dict(zip(row["of"], each, strict=True))
                about = title, title, row["space"], metric, statistic, of, ""
                warn, critical = (bound * most for bound in bounds)
                how = warn, critical, "below" in row, "lasting" in row
                yield Metric(*about, *how, next=follows)


def _values(path: str, body: Json) -> Iterator[str]:
    path, _, part = path.partition(" ~ ")
    found = jmespath.search(path, body)
    for each in found if isinstance(found, list) else [found]:
        if text := re.search(part or ".+", each or ""):
            yield text[0]
