"""Planned maintenance, rehearsed: before, during and after, with a change in between."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from opslib import UsageError, changes, edge, reports
from opslib.core.connections.connection import Connection
from opslib.core.plans import maintenance
from opslib.core.times import Window
from opslib.reports import phases
from tests import notebooks
from tests.conftest import PracticeLab
from tests.projects import ran
from tests.undoing import confirmed, undo_last

KEY = "ai-studio-production"
TARGET = f"lab/{KEY}"
SURE = {"target": TARGET, "approved": "now", "confirm": confirmed(TARGET)}
WORDS = {"notice": "mail and banner on Thursday", "rollback": "revision before, Mira decides"}

pytestmark = pytest.mark.usefixtures("clean", "records_folder")


def looked(phase: str, **given: Any) -> dict[str, Any]:
    """The findings of a phase by what they are of."""
    left = notebooks.run("changes/maintenance", target=TARGET, phase=phase, watched=15, **given)
    return {found.check: found for found in left["ops"].findings}


@pytest.mark.slow
def test_a_maintenance_is_led_from_before_to_after(ops: Connection, lab: PracticeLab) -> None:
    notebooks.run("databases/snapshot", **SURE)
    record = ran("changes/maintenance", TARGET, {"phase": "before", "watched": 15, **WORDS})
    assert record.outcome == "ok"
    notebooks.run("edge/maintenance-mode", **SURE)
    during = looked("during")
    assert during["requests through the load balancer"].status == "unknown"
    assert during["maintenance window"].status == "warn"  # it is no Sunday night
    assert during["fresh snapshot"].status == during["functions is well"].status == "ok"
    undo_last(ops)
    notebooks.run("services/deploy", **SURE, service="gateway", image="v1.4.0")
    after = looked("after", all_clear="banner taken off")
    assert after["version of service backend"].status == "ok"
    changed = after["version of service gateway"]
    assert (changed.status, "; was ai-studio-gateway:4" in changed.seen) == ("ok", True)
    assert after["health is well"].status == "ok"
    assert after["changes that broke off"].status == "ok"
    assert "run it again from" in after["watched since the last change"].seen
    undo_last(ops)


@pytest.mark.slow
def test_what_somebody_else_changed_and_what_is_worse_than_before_is_told(
    ops: Connection, lab: PracticeLab
) -> None:
    ran("changes/maintenance", TARGET, {"phase": "before", "watched": 15})
    with lab.broken("bad-revision", KEY), lab.broken("maintenance-mode-left-on", KEY):
        after = looked("after")
        assert after["Users were told that it is over"].status == "unknown"
        assert "new or worse than before" in after["functions is well"].seen
        assert after["functions is well"].status != "ok"
        assert after["maintenance mode of ai-studio-alb"].status == "critical"
    with lab.broken("image-not-pulled", KEY):
        changed = phases.check_versions(ops, "after")
        told = {each.check: each for each in changed}["version of service gateway"]
        assert (told.status, told.next) == ("warn", "changes/who")


def test_without_a_record_of_before_nothing_is_compared(ops: Connection) -> None:
    found = reports.check_versions(ops, "after")
    assert {each.status for each in found} == {"unknown"}
    assert "no run of phase before" in found[0].seen


def test_asked_for_the_window_alone_nothing_else_is_read(ops: Connection) -> None:
    for look in (reports.check_versions, reports.check_fresh, reports.check_well):
        assert "Looked at with phase=" in look(ops, "").note
    with pytest.raises(UsageError, match="phase='befor' is none of"):
        reports.words("befor", "", "", "")


def test_before_the_next_window_counts_and_during_it_has_to_be_open(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = ops.now()
    ahead = Window(now + timedelta(days=2), now + timedelta(days=2, hours=2))
    monkeypatch.setattr(maintenance, "openings", lambda ops: [ahead])
    assert changes.check_window(ops, 120, "before").worst == "ok"
    assert changes.check_window(ops, 121, "before").worst == "warn"
    assert changes.check_window(ops, 0, "during").worst == "warn"
    monkeypatch.setattr(maintenance, "openings", lambda ops: [Window(now, ahead.end)])
    assert changes.check_window(ops, 0, "during").worst == "ok"
    assert edge.check_mode(ops).worst == "ok"
