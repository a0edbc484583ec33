"""What each service of AWS cost on each day, and whether one costs more than it usually does.

Cost Explorer is late by up to a day, and takes $0.01 for each page that it answers.
https://docs.aws.amazon.com/cost-management/latest/userguide/ce-exploring-data.html
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Line,
    Panel,
    Plotted,
    Question,
    Window,
    check,
    dtypes,
    frame,
    identities,
)

JUMP, LIMIT = "cost-jump", "cost-over-limit"
COSTS = dtypes("""
    day       utc
    service   str
    usd       float64
    estimated bool
""")
_DAYS, _PERCENT, _LEAST = 14, 50, 5.0  # compared with; a jump, in percent and in dollars
_LATE = timedelta(days=1)
_SHOWN = 6  # services in the picture


def list_costs(ops: Connection, days: int = _DAYS) -> Frame:
    """Unblended costs before credits end, by day (UTC) and service; of the target's tag, if any.

    Columns: COSTS. Today's are in it, as far as they are known. Raises NotAllowed.
    """
    facts, today = ops.target.at("costs"), ops.now().date()
    asked: Json = {
        "TimePeriod": {
            "Start": f"{today - timedelta(days=days)}",
            "End": f"{today + timedelta(days=1)}",
        },
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
    }
    if tag := facts.get("tag"):
        asked["Filter"] = {"Tags": {"Key": tag["key"], "Values": [tag["value"]]}}
    there = ops.at(str(facts.get("region", identities.home(ops.target.region, "ce"))))
    told = there.pages("ce", "get_cost_and_usage", "ResultsByTime[]", **asked)
    rows = (
        (
            day["TimePeriod"]["Start"],
            each["Keys"][0],
            float(each["Metrics"]["UnblendedCost"]["Amount"]),
            day["Estimated"],
        )
        for day in told
        for each in day["Groups"]
    )
    return frame(rows, COSTS)


class _Rule(NamedTuple):
    """What counts as a jump, and what a day may cost."""

    percent: float
    least: float
    limit: float | None

    def jumped(self, usd: float, usual: float) -> bool:
        return usd > usual * (1 + self.percent / 100) and usd - usual >= self.least


@check("Does it cost what it usually does?")
def check_costs(ops: Connection) -> Findings:
    """The last day that is whole, and yesterday as far as it is known, against the days before.

    Usual is the median of the 14 days before, or of the same weekday's where that is more. A jump
    is told by service. Limits: `costs` of the target's file. Evidence: COSTS, the dearest first.
    """
    facts = ops.target.at("costs")
    rule = _Rule(
        facts.get("jump_percent", _PERCENT),
        facts.get("least_usd", _LEAST),
        facts.get("daily_limit"),
    )
    rows = list_costs(ops, _DAYS + 2)
    today = datetime.combine(ops.now().date(), datetime.min.time(), UTC)
    table = rows.pivot_table("usd", "day", "service", "sum").fillna(0.0)
    asked = Question("what it costs", "Cost Explorer has the days", "ce GetCostAndUsage")
    if (missing := _missing(facts, table, today)) is not None:
        return Findings(asked.unknown(missing), rows)
    found = [*_judged(rule, table, today - 2 * _LATE, "whole")]
    found += _judged(rule, table, today - _LATE, "not all in yet")
    evidence = rows.sort_values(["day", "usd"], ascending=False, ignore_index=True)
    within = Window(table.index[0], today)
    note = "Cost Explorer is late by up to a day; its answers cost $0.01 a page."
    if ops.target.lab:
        note += " In the practice copy they are made up from a small table of prices."
    return Plotted(found, evidence, note, [_panel(rule, table, today)], within)


def _missing(facts: Json, table: Any, today: datetime) -> str | None:
    """Why nothing can be said; None when it can."""
    if table.empty and (tag := facts.get("tag")):
        return (
            f"nothing has the tag {tag['key']}={tag['value']}: it may not be activated as a cost "
            "allocation tag (Billing console), which counts from then on only"
        )
    if table.empty or table.index[-1] < today - 2 * _LATE:
        last = f"{table.index[-1]:%Y-%m-%d}" if len(table) else "none"
        return f"the last day that Cost Explorer has is {last}"
    if len(table) < _DAYS // 2:
        return f"it has {len(table)} days: too few to say what is usual"
    return None


def _usual(values: Any, day: datetime) -> float:
    before = values[values.index < day].iloc[-_DAYS:]
    alike = before[before.index.day_of_week == day.weekday()]
    return max(float(before.median()), float(alike.median()) if len(alike) else 0.0)


def _judged(rule: _Rule, table: Any, day: datetime, known: str) -> Iterator[Finding]:
    of: date = day.date()
    costs = table.reindex(table.index.union([day]), fill_value=0.0)
    total = costs.sum(axis=1)
    spent, usual = float(total[day]), _usual(total, day)
    seen = f"${spent:,.2f} ({known}); ${usual:,.2f} is usual"
    most = f"at most ${rule.limit:,.0f}" if rule.limit else "no limit in the target's file"
    asked = Question(f"costs of {of}", most, "ce GetCostAndUsage")
    if known == "whole" or (rule.limit and spent > rule.limit):
        yield asked.judged(not rule.limit or spent <= rule.limit, seen, cause=LIMIT)
    words = f"at most {rule.percent:g} % and ${rule.least:g} above what is usual"
    asked = Question(f"services that cost more on {of}", words, "ce GetCostAndUsage")
    more = {name: (float(costs.loc[day, name]), _usual(costs[name], day)) for name in costs.columns}
    jumps = {name: both for name, both in more.items() if rule.jumped(*both)}
    for name, (usd, before) in sorted(jumps.items(), key=lambda each: each[1][1] - each[1][0]):
        seen = f"{name}: ${usd:,.2f} in place of ${before:,.2f} ({known})"
        yield asked.warn(seen, cause=JUMP, next="changes/configuration")
    if not jumps:
        yield asked.ok(f"none of {costs.shape[1]} ({known})", cause=JUMP)


def _panel(rule: _Rule, table: Any, today: datetime) -> Panel:
    """The dearest services, until yesterday."""
    told = table[table.index < today]
    dearest = told.max().sort_values(ascending=False).index[:_SHOWN]
    limits = [("limit", float(rule.limit))] if rule.limit else []
    lines = [Line(name, told[name]) for name in dearest]
    return Panel("Costs a day", "USD", [Line("all", told.sum(axis=1)), *lines], limits)
