"""Cost Explorer, of which moto has a canned answer: simulated, and the answer says so.

What the targets of the account describe costs, by a small table of prices (USD a day, about those
of eu-central-1), less at the weekend. The last day is not all in, as in AWS.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from opslib.core.connections import identities
from opslib.lab.aws.operations import AwsError, Call, Result, answers

SAID = "simulated by the practice lab"
_PRICES: Mapping[str, tuple[str, float]] = {  # by the section of the target's file, for each in it
    "services": ("Amazon Elastic Container Service", 2.6),
    "functions": ("AWS Lambda", 0.35),
    "buckets": ("Amazon Simple Storage Service", 0.6),
    "tables": ("Amazon DynamoDB", 0.8),
    "queues": ("Amazon Simple Queue Service", 0.05),
    "workflows": ("AWS Step Functions", 0.2),
    "dashboards": ("AmazonCloudWatch", 0.9),
}
_WHOLE = {  # for a section, however much is in it
    "database": ("Amazon Relational Database Service", 7.9),
    "cache": ("Amazon ElastiCache", 3.3),
    "search": ("Amazon OpenSearch Service", 6.1),
    "mail": ("Amazon Simple Email Service", 0.14),
    "network": ("Amazon Virtual Private Cloud", 1.7),
    "users": ("Amazon Cognito", 0.3),
}
_WEEKEND, _NOISE, _LATE = 0.85, 0.04, timedelta(hours=14)
_more: dict[tuple[str, str], tuple[str, float, datetime]] = {}  # by account and drill


def held() -> tuple[dict[Any, Any], ...]:
    return (_more,)


def reset() -> None:
    _more.clear()


def spend(account: str, drill: str, service: str, usd: float, since: datetime) -> None:
    """A service costs so much more a day, until `save`."""
    _more[account, drill] = (service, usd, since)


def save(account: str, drill: str) -> None:
    _more.pop((account, drill), None)


@answers("ce", "GetCostAndUsage")
def get_cost_and_usage(call: Call) -> Result:
    if call.region != identities.home(call.region, "ce"):
        raise AwsError("UnrecognizedClientException", "Cost Explorer does not answer here.", 400)
    days = _days(call)
    groups = [[*_groups(call, day)] for day in days]
    names = sorted({each["Keys"][0] for of in groups for each in of})
    told = [
        {
            "TimePeriod": {"Start": f"{day:%F}", "End": f"{day + timedelta(days=1):%F}"},
            "Total": {},
            "Groups": of,
            "Estimated": True,
        }
        for day, of in zip(days, groups, strict=True)
    ]
    about = [{"Value": name, "Attributes": {"description": SAID}} for name in names]
    defined = call.params.get("GroupBy", [])
    return {
        "ResultsByTime": told,
        "GroupDefinitions": defined,
        "DimensionValueAttributes": about,
    }


def _days(call: Call) -> list[datetime]:
    start, end = (
        datetime.fromisoformat(call.params["TimePeriod"][name]).replace(tzinfo=UTC)
        for name in ("Start", "End")
    )
    if start >= end:
        raise AwsError(
            "ValidationException", "Start date (and hour) should be before end date", 400
        )
    return [start + timedelta(days=at) for at in range((end - start).days)]


def _groups(call: Call, day: datetime) -> Iterator[dict[str, Any]]:
    share = min(1.0, (call.received - _LATE - day) / timedelta(days=1))
    for name, usd in _spent(call, day).items() if share > 0 else ():
        amount = {"Amount": f"{usd * share:.10f}", "Unit": "USD"}
        yield {"Keys": [name], "Metrics": {"UnblendedCost": amount}}


def _spent(call: Call, day: datetime) -> dict[str, float]:
    spent: dict[str, float] = {}
    for place in call.world.places.values():
        if place.account == call.account and _tagged(call, place.facts):
            for name, usd in _usual(place.facts):
                rng = Random(f"{call.world.seed}/{place.account}/{name}/{day:%F}")
                much = usd * (_WEEKEND if day.weekday() >= 5 else 1) * rng.gauss(1, _NOISE)
                spent[name] = spent.get(name, 0.0) + much
    for (account, _), (name, usd, since) in _more.items():
        if account == call.account and spent and day >= since - timedelta(days=1):
            spent[name] = spent.get(name, 0.0) + usd
    return spent


def _usual(facts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for section, (name, usd) in _PRICES.items():
        if section in facts:
            yield name, usd * len(facts[section])
    for section, (name, usd) in _WHOLE.items():
        if section in facts:
            yield name, usd


def _tagged(call: Call, facts: Mapping[str, Any]) -> bool:
    """Whether the filter chooses it: a target is tagged as its file says."""
    wanted = (call.params.get("Filter") or {}).get("Tags")
    if not wanted:
        return True
    tag = facts.get("costs", {}).get("tag", {})
    return wanted["Key"] == tag.get("key") and tag.get("value") in wanted["Values"]
