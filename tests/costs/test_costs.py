"""What it costs: a jump of one service, a day above its limit, and days that nobody can see."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opslib import connect, costs
from opslib.core.connections.connection import Connection
from tests import canned
from tests.conftest import PracticeLab

KEY = "ai-studio-production"
TARGET = f"lab/{KEY}"
TODAY = datetime.now(UTC).date()
Costs = Callable[[int], dict[str, float]]  # of so many days ago, by service

pytestmark = pytest.mark.usefixtures("records_folder")


def telling(spent: Costs, days: int = 16) -> Connection:
    """Cost Explorer answers so, a page for each day."""
    pages = iter(range(days, -1, -1))

    def answer(_: str, operation: str) -> tuple[int, bytes]:
        assert operation == "GetCostAndUsage"
        ago = next(pages)
        day = TODAY - timedelta(days=ago)
        groups = [
            {"Keys": [name], "Metrics": {"UnblendedCost": {"Amount": f"{usd}", "Unit": "USD"}}}
            for name, usd in spent(ago).items()
        ]
        period = {"Start": f"{day}", "End": f"{day + timedelta(days=1)}"}
        told: dict[str, Any] = {
            "ResultsByTime": [
                {"TimePeriod": period, "Total": {}, "Groups": groups, "Estimated": True}
            ]
        }
        return 200, json.dumps(told | ({"NextPageToken": f"{ago}"} if ago else {})).encode()

    return canned.connection(answer, TARGET)


def test_days_of_all_pages_are_read_and_an_even_bill_is_well() -> None:
    found = costs.check_costs(telling(lambda ago: {"AmazonEC2": 20.0, "Amazon S3": 1.0}))
    assert found.worst == "ok"
    assert found.evidence is not None
    assert len(found.evidence) == 2 * 17


@pytest.mark.parametrize("since", [1, 2, 4])
def test_a_jump_is_told_by_the_service_that_makes_it(since: int) -> None:
    found = costs.check_costs(
        telling(lambda ago: {"AmazonEC2": 20.0, "Amazon S3": 9.0 if 0 < ago <= since else 1.0})
    )
    assert found.causes == {"cost-jump"}
    assert all("Amazon S3: $9.00 in place of $1.00" in f.seen for f in found.troubles)


def test_a_service_that_is_new_is_a_jump_and_a_few_cents_are_none() -> None:
    new = costs.check_costs(
        telling(lambda ago: {"AWS Lambda": 1.0} | {"EC2": 30.0} if ago < 3 else {"AWS Lambda": 1.0})
    )
    assert new.causes == {"cost-jump"}
    cents = costs.check_costs(telling(lambda ago: {"AWS Lambda": 4.0 if ago < 3 else 0.1}))
    assert cents.worst == "ok"


def test_what_is_dear_on_the_same_day_of_every_week_is_no_jump() -> None:
    day = (TODAY - timedelta(days=2)).weekday()

    def spent(ago: int) -> dict[str, float]:
        return {"EC2": 40.0 if (TODAY - timedelta(days=ago)).weekday() == day else 10.0}

    assert costs.check_costs(telling(spent)).worst == "ok"


def test_a_day_above_its_limit_is_critical() -> None:
    found = costs.check_costs(telling(lambda ago: {"EC2": 61.0}))
    assert found.causes == {"cost-over-limit"}
    assert found.worst == "critical"


@pytest.mark.parametrize(
    ("spent", "words"),
    [
        (lambda ago: {}, "cost allocation tag"),
        (lambda ago: {"EC2": 1.0} if ago > 3 else {}, "the last day that Cost Explorer has is"),
        (lambda ago: {"EC2": 1.0} if ago < 4 else {}, "too few"),
    ],
)
def test_days_that_are_missing_are_unknown(spent: Costs, words: str) -> None:
    found = costs.check_costs(telling(spent))
    assert found.worst == "unknown"
    assert words in found[0].seen


def test_who_may_not_see_costs_knows_nothing_of_them(lab: PracticeLab) -> None:
    with lab.denied("ce:GetCostAndUsage", KEY):
        found = costs.check_costs(connect(TARGET))
    assert (found.worst, found.causes) == ("unknown", {"access-denied"})


def test_the_practice_copy_says_that_its_costs_are_made_up(lab: PracticeLab) -> None:
    ops = connect(TARGET)
    assert "made up" in costs.check_costs(ops).note
    day = {"Start": f"{TODAY - timedelta(days=3)}", "End": f"{TODAY}"}
    asked = {"TimePeriod": day, "Granularity": "DAILY", "Metrics": ["UnblendedCost"]}
    told = ops.at("us-east-1").call("ce", "get_cost_and_usage", **asked)
    said = {each["Attributes"]["description"] for each in told["DimensionValueAttributes"]}
    assert said == {"simulated by the practice lab"}
