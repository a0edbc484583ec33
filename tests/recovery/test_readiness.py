"""RPO and RTO: measured from what is there and from the records, never asserted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import recovery
from opslib.core.connections.connection import Connection
from opslib.recovery import clock
from tests.conftest import PracticeLab

TARGET = "lab/ai-studio-production"
KEY = "ai-studio-production"


def test_continuous_backup_is_the_rpo_and_one_that_is_behind_is_named(
    ops: Connection, lab: PracticeLab
) -> None:
    [found] = recovery.check_point(ops)
    assert (found.status, found.rules_out) == ("ok", "backup-behind")
    assert "0 min would be lost. Daily snapshots alone: up to 24 h" in found.seen
    with lab.broken("backup-behind", KEY):
        [found] = recovery.check_point(ops)
    assert (found.status, found.cause) == ("critical", "backup-behind")
    assert "3.0 h would be lost" in found.seen


def test_without_continuous_backup_the_newest_snapshot_counts(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opslib.databases.find_latest", lambda _: None)
    [found] = recovery.check_point(ops)
    assert (found.status, "automated backups are off" in found.seen) == ("critical", True)


def test_a_bucket_loses_what_its_copy_lacks(ops: Connection, lab: PracticeLab) -> None:
    healthy = {each.check: each for each in recovery.check_bucket_points(ops)}
    assert healthy["RPO of bucket ai-studio-assets"].seen == "versions on; the copy has all"
    assert healthy["RPO of bucket ai-studio-terraform-state"].status == "warn"
    assert "RPO of bucket ai-studio-backup-assets" not in healthy, "it is the copy"
    with lab.broken("copy-behind", KEY):
        [found] = [each for each in recovery.check_bucket_points(ops) if each.cause]
    assert (found.status, found.cause) == ("warn", "copy-behind")
    assert "25 objects are not in the copy, the oldest of 4.6 h ago" in found.seen


NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def phases(*each: str, days: float = 0, minutes: float = 10) -> list[clock.Phase]:
    at = NOW - timedelta(days=days, hours=9)
    step = timedelta(minutes=minutes)
    return [
        clock.Phase(phase, at + n * step, at + (n + 1) * step, "ana", f"r{n}", f"p{n}")
        for n, phase in enumerate(each)
    ]


WHOLE = clock.PHASES["database"]


@pytest.mark.parametrize(
    ("kept", "status", "said"),
    [
        pytest.param([], "unknown", "never", id="never"),
        pytest.param(phases(*WHOLE), "ok", "40.0 min since", id="in time"),
        pytest.param(phases(*WHOLE, minutes=70), "critical", "280.0 min", id="too slow"),
        pytest.param(phases(*WHOLE, days=200), "warn", "by ana", id="long ago"),
        pytest.param(phases("restore"), "unknown", "not stop, switch, resume", id="in part"),
        pytest.param(
            [*phases(*WHOLE, days=9), *phases("stop")], "ok", "40.0 min", id="another began"
        ),
    ],
)
def test_rto_is_that_of_the_last_whole_recovery(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    kept: list[clock.Phase],
    status: str,
    said: str,
) -> None:
    def told(_: Any, of: str, target: str) -> list[clock.Phase]:
        return kept if of == "database" else []

    monkeypatch.setattr(clock, "_phases", told)
    monkeypatch.setattr(ops, "now", lambda: NOW)
    found = next(iter(recovery.check_rehearsal(ops)))
    assert (found.status, said in found.seen) == (status, True), found.seen


def test_a_phase_that_is_repeated_begins_no_other_recovery(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = phases("stop", "restore", "stop", "restore")
    monkeypatch.setattr(clock, "_phases", lambda *_: told)
    monkeypatch.setattr(ops, "now", lambda: NOW)
    [found] = clock.find_recoveries(ops, "database")
    assert (found.left, found.phases) == (["switch", "resume"], told)
    restored = clock.under_way(ops, "database").find("restore")
    assert restored == told[-1], "the newest counts"
    monkeypatch.setattr(ops, "now", lambda: NOW + timedelta(days=2))
    assert clock.under_way(ops, "database").phases == (), "nobody goes on with it"


def test_a_rehearsal_in_the_practice_copy_does_not_count_for_the_target(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    practised = {TARGET: phases(*WHOLE)}
    monkeypatch.setattr(clock, "_phases", lambda _, of, target: practised.get(target, []))
    target = ops.target
    real = SimpleNamespace(lab=False, key=KEY, name=KEY, facts=target.facts, at=target.at)
    monkeypatch.setattr(ops, "target", real)
    found = next(iter(recovery.check_rehearsal(ops)))
    assert found.status == "unknown"
    assert found.seen.startswith("never; in the practice copy, quicker than AWS: 40.0 min")


def test_an_unread_backup_is_unknown(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("rds:DescribeDBClusters", KEY):
        found = recovery.check_point(ops)
    assert [(each.status, each.cause) for each in found] == [("unknown", "access-denied")]
