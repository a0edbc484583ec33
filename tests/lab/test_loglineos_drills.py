"""Each drill of loglineos changes its own target only,
and nothing of it is left when it is mended.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from opslib import connect
from opslib import lab as practice
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.reads import metrics
from opslib.core.times import Window
from opslib.lab.estates.loglineos import ESTATE

TARGET, OTHER = "loglineos-production", "bluemoxon-staging"
_NAMES = [drill.name for drill in ESTATE.drills]


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{TARGET}")


def _told(ops: Connection, until: datetime) -> dict[str, int]:
    """How many lines of the last hours each function's log has, of requests and of trouble."""
    start = int((until - timedelta(hours=4)).timestamp() * 1000)
    asked = {"START": '"START RequestId"', "trouble": '?ERROR ?WARN ?"Task timed out"'}
    found = {}
    for key, facts in ops.target["functions"].items():
        for name, pattern in asked.items():
            events = ops.pages(
                "logs",
                "filter_log_events",
                "events[]",
                logGroupName=f"/aws/lambda/{facts['name']}",
                filterPattern=pattern,
                startTime=start,
                endTime=int(until.timestamp() * 1000),
            )
            found[f"{key} {name}"] = len(events)
    return found


def _measured(ops: Connection, until: datetime) -> list[float]:
    """The key metrics of whole periods of the last hours."""
    return list(metrics.read(ops, within=Window(until - timedelta(hours=4), until))["value"])


def _asked(ops: Connection) -> None:
    """What somebody who looks does meanwhile."""
    for path in ("/health", "/spans?limit=1"):
        with suppress(OpsError):
            ops.http("GET", path)


def test_each_drill_says_where_it_is_found(lab: Any) -> None:
    listed = [drill for drill in practice.drills() if f"lab/{TARGET}" in drill["targets"]]
    assert [drill["name"] for drill in listed] == _NAMES
    assert len(_NAMES) == len(set(_NAMES)) == 13
    assert all(drill["found_by"] for drill in listed)


@pytest.mark.parametrize("name", _NAMES)
def test_a_mended_target_is_as_it_was(lab: Any, ops: Connection, name: str) -> None:
    # Whole periods, and before any request of this test's own, which are counted as real ones are.
    until = ops.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    state, beside, told, measured = (
        lab.state(TARGET),
        lab.state(OTHER),
        _told(ops, until),
        _measured(ops, until),
    )
    with lab.broken(name, TARGET):
        _asked(ops)
        assert lab.state(OTHER) == beside
    assert lab.state(TARGET) == state
    assert _told(ops, until) == told
    assert _measured(ops, until) == measured
    rings = ops.pages("cloudwatch", "describe_alarms", "MetricAlarms[]", StateValue="ALARM")
    assert rings == []


def test_all_drills_together_are_taken_out_in_any_order(lab: Any) -> None:
    state = lab.state(TARGET)
    # With either of these nobody else gets a connection to the database.
    names = [
        name for name in _NAMES if name not in ("database-unavailable", "connections-near-limit")
    ]
    for name in names:
        practice.break_drill(name, TARGET)
    for name in names[1::2] + names[::2]:
        practice.mend(name, TARGET)
    assert lab.state(TARGET) == state
