"""What is named like the system's own and is not in its file is told, by its name."""

from __future__ import annotations

from typing import Any

import pytest

from opslib import connect
from opslib.core.reads.stores.queues import Queue
from opslib.reports.undescribed import check_undescribed

NAMES = {
    "list_functions": ["dms-search-dev", "shop-api"],
    "list_queues": ["https://sqs.us-east-1.amazonaws.com/1/dms-processing-dev"],
    "list_state_machines": ["dms-processing-dev"],
}


@pytest.mark.parametrize(
    ("more", "lost"),
    [
        ({}, []),
        ({"list_functions": ["dms-forgotten-dev"]}, ["dms-forgotten-dev"]),
        (
            {"list_queues": ["https://sqs.us-east-1.amazonaws.com/1/dms-old-dlq-dev"]},
            ["dms-old-dlq-dev"],
        ),
    ],
)
def test_each_kind_is_compared_with_the_file(
    lab: Any, monkeypatch: Any, more: dict[str, list[str]], lost: list[str]
) -> None:
    ops = connect("lab/dms-dev")
    monkeypatch.setattr(
        ops, "pages", lambda _, operation, *__: NAMES[operation] + more.get(operation, [])
    )
    monkeypatch.setattr(Queue, "__init__", lambda *_: None)
    monkeypatch.setattr(Queue, "held", lambda _: 1)
    found = check_undescribed(ops)
    assert [each.status for each in found].count("warn") == len(lost)
    assert all(any(name in each.seen for each in found) for name in lost)
    monkeypatch.setattr(Queue, "held", lambda _: 0)
    assert check_undescribed(ops).worst == ("warn" if "list_functions" in more else "ok")


@pytest.mark.slow
def test_a_new_queue_is_told_from_its_first_message_on(lab: Any) -> None:
    ops = connect("lab/dms-dev")
    try:
        url = ops.call("sqs", "create_queue", QueueName="dms-audit-dev")["QueueUrl"]
        [told] = [each for each in check_undescribed(ops) if "dms-audit-dev" in each.seen]
        assert told.status == "ok"
        ops.call("sqs", "send_message", QueueUrl=url, MessageBody="one")
        assert check_undescribed(ops).worst == "warn"
    finally:
        lab.reset()


def test_the_lab_has_nothing_else_and_a_denial_is_unknown(lab: Any) -> None:
    ops = connect("lab/dms-dev")
    assert not check_undescribed(ops).troubles
    with lab.denied("sqs:ListQueues", "dms-dev"):
        assert {f.status for f in check_undescribed(ops)} == {"ok", "unknown"}
