"""Work queues: whether they are taken from, keep up, and keep what fails."""

from __future__ import annotations

import json
from collections import namedtuple
from typing import Any

import pytest

from opslib.core.checks import causes
from opslib.core.connections.connection import Connection
from opslib.queues import queues

TARGET = "lab/bluemoxon-staging"
NAN = float("nan")


def row(visible: int, in_flight: int, hours: float, received: float = 0, kept: float = 4) -> Any:
    told = {
        "queue": "orders",
        "visible": visible,
        "in_flight": in_flight,
        "delayed": 0,
        "oldest_hours": hours,
        "received": received,
        "kept_days": kept,
    }
    return namedtuple("Row", told)(**told)


@pytest.mark.parametrize(
    ("of", "has_worker", "status"),
    [
        pytest.param(row(0, 0, NAN), True, "ok", id="an empty queue"),
        pytest.param(row(40, 0, NAN), True, "ok", id="they have just come"),
        pytest.param(row(40, 0, 0.1), True, "ok", id="a small burst"),
        pytest.param(row(900, 10, 3.0), True, "ok", id="a batch is worked off"),
        pytest.param(row(900, 0, 3.0, 80), True, "ok", id="taken, none at this moment"),
        pytest.param(row(40, 0, 0.5), True, "critical", id="its worker is gone"),
        pytest.param(row(40, 0, 0.5, NAN), False, "warn", id="who takes them is not described"),
        pytest.param(row(40, 0, 9.0), False, "critical", id="for hours"),
        pytest.param(row(900, 10, 8.0, 80), True, "warn", id="it does not keep up"),
        pytest.param(row(0, 4, 2.0), True, "ok", id="long work is under way"),
        pytest.param(row(0, 4, 9.0), True, "warn", id="taken for hours, by what hangs"),
        pytest.param(row(0, 4, 80.0), True, "critical", id="taken until they are too old"),
        pytest.param(row(900, 10, 8.0, 80, kept=0.4), True, "critical", id="soon they are lost"),
    ],
)
def test_a_queue_is_worked_off_or_it_is_said(of: Any, has_worker: bool, status: str) -> None:
    found = queues._worked_off(of, has_worker)
    assert found.status == status
    assert (found.cause == queues.NO_CONSUMER) is ("nobody takes them" in found.seen)


def test_queues_that_are_well_are_worked_off_and_keep_what_fails(ops: Connection) -> None:
    found = queues.check_queues(ops)
    assert [f.status for f in found] == ["ok"] * 4


def test_a_redrive_policy_that_is_gone_or_leads_elsewhere_is_critical(ops: Connection) -> None:
    name = ops.target["queues"]["analysis"]["name"]
    url = ops.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"]
    at: Any = {"QueueUrl": url, "AttributeNames": ["RedrivePolicy"]}
    policy = ops.call("sqs", "get_queue_attributes", **at)["Attributes"]["RedrivePolicy"]
    other = json.loads(policy)
    other["deadLetterTargetArn"] = other["deadLetterTargetArn"].replace("analysis", "eval-runbook")
    try:
        for wrong in (json.dumps(other), ""):
            attributes = {"RedrivePolicy": wrong}
            ops.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=attributes)
            found = {f.check: f for f in queues.check_queues(ops)}
            kept = found["failed messages of analysis are kept"]
            assert kept.status == "critical"
            assert ("eval-runbook" in kept.seen) or ("no redrive policy" in kept.seen)
            assert found["failed messages of eval-runbook are kept"].status == "ok"
    finally:
        attributes = {"RedrivePolicy": policy}
        ops.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=attributes)


def test_one_queue_that_is_gone_is_named_and_the_others_are_looked_at(ops: Connection) -> None:
    ops.target.facts["queues"]["analysis"]["name"] = "never-made"
    found = {f.check: f for f in queues.check_queues(ops)}
    assert (found["queue never-made"].status, found["queue never-made"].cause) == (
        "critical",
        causes.GONE,
    )
    assert "Described as queues.analysis.name, and not there" in found["queue never-made"].seen
    assert found["messages of eval-runbook"].status == "ok"
    assert queues.check_dead_letters(ops).worst == "ok"
