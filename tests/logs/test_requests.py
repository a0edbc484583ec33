"""One path, one user: what an average over all requests hides is named, an ordinary hour is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from opslib import logs
from opslib.core.connections.connection import Connection
from tests.conftest import PracticeLab

TARGET = "lab/ai-studio-production"
GROUP = "/ecs/ai-studio-gateway"
ONE = [
    (
        {"path": "/gateway/v1/images", "latency_ms": 9000},
        400,
        r"/gateway/v1/images: 9,000 ms .*before 2,",
    ),
    (
        {"path": "/gateway/v1/models", "status": 429},
        400,
        r"models: 40\d of 5\d\d requests were answered",
    ),
    ({"path": "/", "user_id": "user-0666"}, 3000, r"3,\d+ of \d,\d+ are of one user_id, user-0666"),
]


@pytest.fixture(autouse=True)
def whole(lab: PracticeLab) -> Iterator[None]:
    yield
    lab.reset()


@pytest.mark.slow
@pytest.mark.parametrize(("of", "lines", "seen"), ONE)
def test_what_is_one_path_s_or_one_user_s_is_named(
    ops: Connection, of: dict[str, Any], lines: int, seen: str
) -> None:
    [well] = logs.check_requests(ops)
    assert well.status == "ok"
    client, stream = ops.client("logs"), {"logGroupName": GROUP, "logStreamName": "other/task"}
    client.create_log_stream(**stream)
    events = []
    for number in range(lines):
        at = ops.now() - timedelta(minutes=50 - 45 * number / lines)
        line = {"level": "INFO", "status": 200, "latency_ms": 10, "user_id": f"user-{number}"} | of
        events.append({"timestamp": int(at.timestamp() * 1000), "message": json.dumps(line)})
    client.put_log_events(**stream, logEvents=events)
    [found] = logs.check_requests(ops)
    assert found.status == "warn"
    assert re.search(seen, found.seen), found.seen
