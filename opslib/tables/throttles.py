"""Is a table throttled, and for which reason: its own capacity, one hot key, the account?

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/throttling-diagnosing.html
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Question,
    Window,
    check,
    window,
)
from opslib.core.reads import metrics
from opslib.tables.reading import Table

HOT, SHORT, ACCOUNT, CAPPED = (
    "hot-partition",
    "table-capacity-short",
    "account-capacity-short",
    "table-capacity-capped",
)
_SIDES = ("Read", "Write")
_REASONS = {  # the middle of a metric's name: what it says (CloudWatch has them since 2025)
    "KeyRangeThroughput": HOT,
    "ProvisionedThroughput": SHORT,
    "MaxOnDemandThroughput": CAPPED,
    "AccountLimit": ACCOUNT,
}
_MEANS = {
    HOT: "one partition is asked for more than 3,000 reads or 1,000 writes a second: one key, or "
    "keys side by side",
    SHORT: "more is asked for than it is given",
    CAPPED: "it is at the most that it was set to for on-demand",
    ACCOUNT: "it is at the account's limit for a table",
}
_NEAR = 0.8  # of what is provisioned: then it is not one partition alone
_OPERATIONS = (
    "GetItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "TransactGetItems",
)
_SECONDS = 60


@check("Is a table throttled, and why?")
def check_throttles(ops: Connection, table: str = "", minutes: float = 60) -> Findings:
    """Throttled requests of one table, or of all that the file names, by operation and reason.

    From ReadThrottleEvents and WriteThrottleEvents (by table and by index) and ThrottledRequests
    (by operation): *UserErrors*, which runbooks look at, has none of them. Evidence: SERIES.
    """
    within = window(ops, minutes)
    chosen = [table] if table else [*ops.target["tables"]]
    found = ops.each(partial(_judged, ops, within), chosen, "throttles of {}")
    return Findings(finding for findings in found.values() for finding in findings)


def _judged(ops: Connection, within: Window, key: str) -> list[Finding]:
    table = Table(ops, key)
    points = metrics.query(ops, [*_queries(table)], within)
    sums = points.groupby("id")["value"].sum()
    rule = f"none {within}"
    asked = Question(f"throttles of {key}", rule, "cloudwatch GetMetricData, AWS/DynamoDB")
    found = [*_sides(table, asked, points, sums)]
    if sums.get("system", 0):
        seen = f"{sums['system']:,.0f} requests were answered 500: DynamoDB's own errors"
        found.append(asked.answer("warn", seen))
    if found:
        return found
    used = ", ".join(f"{sums.get(f'used_{s.lower()}', 0):,.0f} {s.lower()} units" for s in _SIDES)
    seen = f"none; {used} used"
    return [asked.answer("ok", seen, cause=cause) for cause in (HOT, SHORT)]


def _queries(table: Table) -> Iterator[Json]:
    """Of the table, of each of its indexes, and by operation."""
    of = {"TableName": table.name}
    ask = partial(metrics.asked, period=_SECONDS)
    yield ask("system", "AWS/DynamoDB", "SystemErrors", of, "Sum")
    indexes = [each["IndexName"] for each in table.described.get("GlobalSecondaryIndexes", ())]
    for side in _SIDES:
        low = side.lower()
        yield ask(f"throttled_{low}", "AWS/DynamoDB", f"{side}ThrottleEvents", of, "Sum")
        yield ask(f"used_{low}", "AWS/DynamoDB", f"Consumed{side}CapacityUnits", of, "Sum")
        for at, index in enumerate(indexes):
            name = of | {"GlobalSecondaryIndexName": index}
            id = f"index{at}_{low}"
            yield ask(id, "AWS/DynamoDB", f"{side}ThrottleEvents", name, "Sum", label=index)
        for reason in _REASONS:
            metric = f"{side}{reason}ThrottleEvents"
            yield ask(f"{reason[0].lower()}{reason[1:]}_{low}", "AWS/DynamoDB", metric, of, "Sum")
    for operation in _OPERATIONS:
        name = of | {"Operation": operation}
        id = f"by{operation}"
        yield ask(id, "AWS/DynamoDB", "ThrottledRequests", name, "Sum", label=operation)


def _sides(table: Table, asked: Question, points: Frame, sums: Frame) -> Iterator[Finding]:
    by = [f"{id[2:]} {value:,.0f}" for id, value in sums.items() if id.startswith("by") and value]
    for side in _SIDES:
        low = side.lower()
        whole = sums.get(f"throttled_{low}", 0)
        labels = points[points["id"].str.match(rf"index\d+_{low}")].groupby("label")["value"].sum()
        indexes = {name: value for name, value in labels.items() if value}
        if not whole and not indexes:
            continue
        seen = f"{whole or sum(indexes.values()):,.0f} {low}s were throttled"
        seen += f" ({', '.join(by)})" * bool(by)
        seen += "".join(f", {value:,.0f} on index {name}" for name, value in indexes.items())
        cause, why = _reason(table, low, side, points, sums)
        status = "critical" if not whole or whole > _few(sums, low) else "warn"
        yield asked.answer(status, f"{seen}: {why}", cause=cause, next="tables/throttling")


def _few(sums: Frame, side: str) -> float:
    """A hundredth of what was served: a client's own retries hide so few."""
    return float(sums.get(f"used_{side}", 0)) / 100


def _reason(table: Table, low: str, side: str, points: Frame, sums: Frame) -> tuple[str, str]:
    """From the metrics that name it; else from what was used against what is provisioned."""
    told = {
        cause: sums.get(f"{reason[0].lower()}{reason[1:]}_{low}", 0)
        for reason, cause in _REASONS.items()
    }
    cause = max(told, key=lambda name: told[name])
    if told[cause]:
        return cause, f"{_MEANS[cause]} (CloudWatch's own reason)"
    used = points.loc[points["id"] == f"used_{low}", "value"].max() / _SECONDS
    if table.on_demand:
        return HOT, (
            f"it is on-demand, and used at most {used:,.0f} units a second: {_MEANS[HOT]}, or more "
            "than twice its highest load of before"
        )
    given = table.described["ProvisionedThroughput"][f"{side}CapacityUnits"]
    seen = f"at most {used:,.0f} of {given:,} units a second were used"
    if used >= _NEAR * given:
        return SHORT, f"{seen}: {_MEANS[SHORT]}"
    return HOT, f"{seen}, so it is not the whole table: {_MEANS[HOT]}"
