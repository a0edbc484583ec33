"""What was changed just before: the beginning is that of the troubles, deployments come first."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from opslib import changes
from opslib.changes.trail import trails
from opslib.changes.trail.trails import Act
from opslib.core.connections.connection import Connection
from opslib.core.findings import Question
from opslib.core.reads.log_lines import burst
from opslib.core.times import Window

TARGET = "lab/image-caption-prod"


def test_it_begins_with_the_first_trouble_that_knows_when_and_deployments_come_first(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(minutes: int, what: str, name: str) -> Act:
        return Act(ops.now() - timedelta(minutes=minutes), what, "ana", f'{{"name": "{name}"}}')

    service, bucket = "image-caption-gen-service-prod", "image-caption-gen-images-prod"
    acts = [
        act(5, "UpdateService", service),
        act(35, "PutBucketCors", bucket),
        act(40, "UpdateService", service),
        act(300, "DeleteBucket", bucket),
    ]

    def look_up(
        _: Connection, __: str, ___: str, within: Window, *____: int
    ) -> tuple[list[Act], str]:
        return [each for each in acts if within.start <= each.time], ""

    monkeypatch.setattr(trails, "look_up", look_up)
    for minutes, status in ((30, "critical"), (20, "warn"), (50, "ok"), (6000, "critical")):
        began = ops.now() - timedelta(minutes=minutes)
        ops.findings.append(Question(f"{minutes} min", began=began).answer(status, "…"))
    found = changes.check_recent(ops, minutes=1440)
    assert found.evidence is not None
    assert list(found.evidence["what"]) == ["UpdateService", "PutBucketCors", "UpdateService"]
    assert found[0].seen.startswith("it began ")
    assert "(30 min). Before: 2 changes: " in found[0].seen
    assert found[0].seen.endswith("since then 1")
    assert "by ana" in found[0].seen


def test_a_finding_that_is_ok_began_nowhere(ops: Connection) -> None:
    now = ops.now()
    asked = Question("errors", began=now)
    assert asked.answer("ok", "none").began == ""
    assert asked.answer("warn", "many").began == now.isoformat()


def test_a_burst_begins_with_its_first_line_and_not_with_the_drip_before() -> None:
    start = pd.Timestamp("2026-11-22 00:00", tz="UTC")
    drip = [start + timedelta(hours=2 * n) for n in range(6)]
    storm = [start + timedelta(hours=14, minutes=n) for n in range(8)]
    assert burst([*drip, *storm], 5) == storm[0]
    assert burst(drip, 5) is None
    assert burst([], 5) is None
