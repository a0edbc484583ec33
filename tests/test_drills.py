"""A drill, of whatever system, changes its own target only,
and nothing of it is left when it is mended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from opslib import connect
from opslib import lab as practice
from opslib.core.connections import targets
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.reads import metrics
from opslib.core.times import Window
from tests.conftest import PracticeLab
from tests.states import differences
from tests.test_matrix import DRILLS, TARGET, TARGETS

HOURS = timedelta(hours=4)


def told(ops: Connection, until: datetime) -> dict[str, int]:
    """How many lines of the last hours each function's log has, of requests and of trouble."""
    asked = {"START": '"START RequestId"', "trouble": '?ERROR ?WARN ?"Task timed out"'}
    return {
        f"{key} {name}": len(
            ops.pages(
                "logs",
                "filter_log_events",
                "events[]",
                logGroupName=f"/aws/lambda/{facts['name']}",
                filterPattern=pattern,
                startTime=int((until - HOURS).timestamp() * 1000),
                endTime=int(until.timestamp() * 1000),
            )
        )
        for key, facts in ops.target.facts.get("functions", {}).items()
        for name, pattern in asked.items()
    }


def measured(ops: Connection, until: datetime) -> list[float]:
    """The key metrics of whole periods of the last hours."""
    found = metrics.read(ops, Window(until - HOURS, until))["value"]
    return list(found.fillna(-1))  # a share of nothing


def ringing(ops: Connection) -> list[Any]:
    return ops.pages(
        "cloudwatch", "describe_alarms", "MetricAlarms[].AlarmName", StateValue="ALARM"
    )


def neighbour(system: str) -> str:
    """Another target: of the same system, where there is one."""
    others = [each for each in TARGETS if each.key != TARGET[system]]
    return min(others, key=lambda each: each.system != system).key


@dataclass(frozen=True)
class Past:
    """What the logs and metrics of a target say of a time that is over."""

    until: datetime
    lines: dict[str, int]
    values: list[float]


@pytest.fixture(scope="module")
def past(lab: PracticeLab) -> Callable[[Connection], Past]:
    """It is read once: no drill that was mended has changed it for the next."""
    known: dict[str, Past] = {}

    def read(ops: Connection) -> Past:
        if ops.target.name not in known:
            # Whole periods, before any request of these tests: those are counted as real ones are.
            until = ops.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
            known[ops.target.name] = Past(until, told(ops, until), measured(ops, until))
        return known[ops.target.name]

    return read


@pytest.mark.some(25)
@pytest.mark.parametrize(("system", "drill"), sorted(DRILLS))
def test_a_drill_changes_its_target_only_and_a_mended_target_is_as_it_was(
    lab: PracticeLab, past: Callable[[Connection], Past], system: str, drill: str
) -> None:
    key, beside = TARGET[system], neighbour(system)
    ops = connect(f"{targets.LAB}{key}")
    state, other, before = lab.state(key), lab.state(beside), past(ops)
    with lab.broken(drill, key):
        api = ops.target["api"]
        for path in {*api["probes"], *([api["deep"]] if "deep" in api else [])}:
            # somebody looks meanwhile
            with suppress(OpsError):
                ops.http("GET", path)
        assert differences(other, lab.state(beside)) == []
    assert differences(state, lab.state(key)) == []
    assert told(ops, before.until) == before.lines
    assert measured(ops, before.until) == before.values
    end = time.monotonic() + 30
    while ringing(ops) and time.monotonic() < end:
        time.sleep(0.3)
    assert ringing(ops) == []


def test_each_drill_is_listed_once_with_where_it_is_found(lab: PracticeLab) -> None:
    listed = practice.drills()
    assert sorted(each["name"] for each in listed) == sorted(name for _, name in DRILLS)
    assert all(each["found_by"] for each in listed)
