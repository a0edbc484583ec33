"""Throttles: for which reason, of table or index; all that are there, and UserErrors not asked."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from opslib import tables
from opslib.core.connections.connection import Connection
from opslib.core.reads import metrics
from opslib.tables import throttles
from opslib.tables.reading import Table
from tests.conftest import PracticeLab

TARGET, PLACE = "lab/image-caption-prod", "image-caption-prod"
REASONS = [
    throttles.HOT,
    throttles.SHORT,
    throttles.CAPPED,
    throttles.ACCOUNT,
    throttles.INDEX,
]


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudWatch tells that there were throttles, and of none why."""
    query = metrics.query

    def asked(ops: Any, queries: Any, within: Any) -> Any:
        told = [each for each in queries if _name(each) not in _OF_REASONS]
        return query(ops, told, within)

    monkeypatch.setattr(metrics, "query", asked)


def _name(query: Any) -> str:
    return str(query["MetricStat"]["Metric"]["MetricName"])


_OF_REASONS = {f"{s}{r}ThrottleEvents" for s in ("Read", "Write") for r in throttles._REASONS}


def test_a_healthy_table_is_one_answer_and_user_errors_are_not_asked(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    query = metrics.query

    def watched(ops: Any, queries: Any, within: Any) -> Any:
        asked.extend(map(_name, queries))
        return query(ops, queries, within)

    monkeypatch.setattr(metrics, "query", watched)
    found = tables.check_throttles(ops)
    assert [(f.status, f.check) for f in found] == [("ok", "throttles of captions")]
    assert list(found.evidence) == [*throttles.THROTTLED]
    assert "UserErrors" not in asked
    assert "WriteThrottleEvents" in asked


@pytest.mark.parametrize("cause", REASONS)
def test_each_reason_is_named_and_no_other(ops: Connection, lab: PracticeLab, cause: str) -> None:
    with lab.broken(cause, PLACE):
        found = tables.check_throttles(ops)
    assert found.causes == {cause}
    assert "CloudWatch's own reason" in found[0].seen
    assert {"any"} < {*found.evidence["reason"]}


def test_reasons_that_come_together_are_all_named(ops: Connection, lab: PracticeLab) -> None:
    with ExitStack() as stack:
        for cause in REASONS:
            stack.enter_context(lab.broken(cause, PLACE))
        found = tables.check_throttles(ops)
    assert found.causes == {*REASONS}


@pytest.mark.parametrize(
    ("drill", "cause", "said"),
    [
        (throttles.HOT, throttles.HOT, "it is on-demand, and used at most"),
        # what is used in the lab is little: of a table that has room it is one key
        (throttles.SHORT, throttles.HOT, "of 5 units a second were used, so it is not the whole"),
        (throttles.INDEX, throttles.INDEX, "index by-time"),
    ],
)
def test_without_a_reason_it_is_told_from_what_is_used_of_what_is_given(
    ops: Connection, lab: PracticeLab, unnamed: None, drill: str, cause: str, said: str
) -> None:
    with lab.broken(drill, PLACE):
        found = tables.check_throttles(ops)
    assert found.causes == {cause}
    assert said in f"{found[0].check} {found[0].seen}"


@pytest.mark.parametrize(
    ("used", "described", "cause"),
    [
        (90, {"ProvisionedThroughput": {"WriteCapacityUnits": 100}}, throttles.SHORT),
        (40, {"ProvisionedThroughput": {"WriteCapacityUnits": 100}}, throttles.HOT),
        (90, {"OnDemandThroughput": {"MaxWriteRequestUnits": 100}}, throttles.CAPPED),
        (90, {"OnDemandThroughput": {"MaxWriteRequestUnits": -1}}, throttles.HOT),
    ],
)
def test_what_is_used_against_what_is_given(
    ops: Connection, used: float, described: dict[str, Any], cause: str
) -> None:
    table = Table(ops, "captions")
    mode = "PAY_PER_REQUEST" if "OnDemandThroughput" in described else "PROVISIONED"
    table.__dict__["described"] = described | {"BillingModeSummary": {"BillingMode": mode}}
    metric = throttles._Metric("ConsumedWriteCapacityUnits")
    told = throttles._Told(table, [], {metric: used * 600}, {metric: used})
    assert throttles._guessed(told, "Write", "")[0] == cause
