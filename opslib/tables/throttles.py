"""Is a table throttled, and for which reason: its own capacity, one hot key, the account?

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/throttling-diagnosing.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    Window,
    beside,
    check,
    dtypes,
    frame,
    metrics,
    window,
)
from opslib.tables.reading import Table

THROTTLED = dtypes("""
    table    str
    side     str
    index    str
    reason   str
    requests int64
""")
HOT, SHORT, CAPPED = "hot-partition", "table-capacity-short", "table-capacity-capped"
ACCOUNT, INDEX = "account-capacity-short", "index-throttled"
_SIDES = ("Read", "Write")
_TOLD = beside(__file__, "dynamodb")
_REASONS, _MEANS, _OPERATIONS = (_TOLD[part] for part in ("reasons", "means", "operations"))
_NEAR = 0.8  # of what is provisioned: then it is not one partition alone
_SECONDS = 60


@dataclass(frozen=True)
class _Metric:
    """One of AWS/DynamoDB's metrics of a table: of all of it, of an index, or of an operation."""

    name: str
    index: str = ""
    operation: str = ""

    def of(self, table: str) -> Sequence[Any]:
        """As it is asked for of a table."""
        of = {"GlobalSecondaryIndexName": self.index, "Operation": self.operation}
        given = {"TableName": table} | {key: value for key, value in of.items() if value}
        return "AWS/DynamoDB", self.name, given, "Sum", _SECONDS


class _Told(NamedTuple):
    """What CloudWatch tells of a table: sums, and the most in a second, by metric."""

    table: Table
    indexes: list[str]
    sums: dict[_Metric, float]
    most: dict[_Metric, float]

    def events(self, side: str, reason: str = "", index: str = "") -> float:
        return self.sums.get(_Metric(f"{side}{reason}ThrottleEvents", index), 0)

    def used(self, side: str, index: str = "") -> _Metric:
        return _Metric(f"Consumed{side}CapacityUnits", index)


def _asked(indexes: list[str]) -> Iterator[_Metric]:
    for side in _SIDES:
        for index in ("", *indexes):
            yield _Metric(f"Consumed{side}CapacityUnits", index)
            yield from (_Metric(f"{side}{of}ThrottleEvents", index) for of in ("", *_REASONS))
    yield from (_Metric("ThrottledRequests", operation=each) for each in _OPERATIONS)


def _read(within: Window, table: Table) -> _Told:
    indexes = [each["IndexName"] for each in table.described.get("GlobalSecondaryIndexes", ())]
    found = metrics.series(
        table.ops, {each: each.of(table.name) for each in _asked(indexes)}, within
    )
    sums = {each: values.sum() for each, values in found.items()}
    most = {each: values.max() / _SECONDS for each, values in found.items() if len(values)}
    return _Told(table, indexes, sums, most)


@check("Is a table throttled, and why?")
def check_throttles(ops: Connection, table: str = "", minutes: float = 60) -> Findings:
    """Throttled requests of one table, or of all that the file names, by index and reason.

    From ReadThrottleEvents and WriteThrottleEvents, those of each reason, and ThrottledRequests (by
    operation): *UserErrors*, which runbooks look at, has none of them. Evidence: THROTTLED.
    """
    within = window(ops, minutes)
    told = Table.each(ops, table, partial(_read, within), "throttles of {}")
    found = [finding for each in told for finding in _judged(each, within)]
    return Findings(found, frame((row for each in told for row in _rows(each)), THROTTLED))


def _rows(told: _Told) -> Iterator[Json]:
    for side in _SIDES:
        for index in ("", *told.indexes):
            of = {"table": told.table.key, "side": side.lower(), "index": index}
            for reason, cause in {"": "any", **_REASONS}.items():
                if requests := told.events(side, reason, index):
                    yield {**of, "reason": cause, "requests": round(requests)}


def _judged(told: _Told, within: Window) -> list[Finding]:
    rule, source = f"none {within}", "cloudwatch GetMetricData, AWS/DynamoDB"
    found = [
        each
        for side in _SIDES
        for index in ("", *told.indexes)
        for each in _side(told, side, index, Question("", rule, source))
    ]
    used = ", ".join(f"{told.sums.get(told.used(s), 0):,.0f} {s.lower()} units" for s in _SIDES)
    return found or [
        Question(f"throttles of {told.table.key}", rule, source).ok(f"none; {used} used")
    ]


def _side(told: _Told, side: str, index: str, asked: Question) -> Iterator[Finding]:
    """Reads or writes of the table or of an index: a finding for each reason that there is."""
    whole = told.events(side, "", index)
    reasons = {cause: told.events(side, reason, index) for reason, cause in _REASONS.items()}
    named = {cause: requests for cause, requests in reasons.items() if requests}
    if not whole and not named:
        return
    where = f"{side.lower()}s of {told.table.key}" + f", index {index}" * bool(index)
    asked = Question(f"throttles: {where}", asked.rule, asked.source)
    why = {cause: f"{_MEANS[cause]} (CloudWatch's own reason)" for cause in named}
    guessed = {} if named else dict([_guessed(told, side, index)])
    served = told.sums.get(told.used(side, index), 0) / 100  # a client's retries hide so few
    by = [f"{m.operation} {n:,.0f}" for m, n in told.sums.items() if m.operation and n]
    of = f" ({', '.join(by)})" if by else ""
    for cause, text in (why or guessed).items():
        requests = named.get(cause, whole)
        seen = f"{requests:,.0f} {side.lower()}s were throttled{of}: {text}"
        if index:
            seen += ". What is written to the table waits for its indexes" * (side == "Write")
        yield asked.answer(
            "critical" if requests > served else "warn",
            seen,
            cause=INDEX if index else cause,
            next="tables/throttling",
        )


def _guessed(told: _Told, side: str, index: str) -> tuple[str, str]:
    """Where no metric names the reason: from what was used against what is given."""
    described, used = told.table.described, told.most.get(told.used(side, index), 0)
    if index:
        known = described["GlobalSecondaryIndexes"]
        described = next(each for each in known if each["IndexName"] == index)
    elif behind := [each for each in told.indexes if told.events(side, "", each)]:
        return INDEX, f"its index {behind[0]} takes no more"
    cap = described.get("OnDemandThroughput", {}).get(f"Max{side}RequestUnits", -1)
    given = (
        cap if told.table.on_demand else described["ProvisionedThroughput"][f"{side}CapacityUnits"]
    )
    seen = f"at most {used:,.0f} of {given:,} units a second were used"
    if told.table.on_demand and cap <= 0:
        return HOT, (
            f"it is on-demand, and used at most {used:,.0f} units a second: {_MEANS[HOT]}; or it "
            "is more than twice its highest load of before"
        )
    if used >= _NEAR * given:
        cause = CAPPED if told.table.on_demand else SHORT
        return cause, f"{seen}: {_MEANS[cause]}"
    return HOT, f"{seen}, so it is not the whole table: {_MEANS[HOT]}"
