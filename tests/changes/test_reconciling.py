"""A record against the trail: nothing invented, nothing left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from opslib import UsageError, changes, connect
from opslib.changes.trail import reconciling
from opslib.cli import commands
from opslib.records import Record, reading
from tests.conftest import PracticeLab
from tests.projects import ran

pytestmark = pytest.mark.slow

TARGET = "lab/bluemoxon-staging"


@pytest.fixture(scope="module")
def kept(lab: PracticeLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """A change that was applied."""
    lab.reset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_RECORDS", str(tmp_path_factory.mktemp("records")))
        wanted = {"function": "api", "to": "1"}
        yield ran("functions/rollback", TARGET, wanted, apply=True)
    lab.reset()


@pytest.fixture
def changed(kept: Record, monkeypatch: pytest.MonkeyPatch) -> Record:
    """As seen when CloudTrail shows all of it."""
    monkeypatch.setattr(reconciling, "_LATE", timedelta())
    return kept


def statuses(record: Record) -> list[str]:
    return [each.status for each in changes.reconcile(connect(TARGET), record.id)]


def test_a_change_is_in_the_trail_and_nothing_else_is(changed: Record) -> None:
    assert changed.outcome == "changed"
    found = changes.reconcile(connect(TARGET), changed.id)
    assert [each.status for each in found] == ["ok", "ok"]
    assert "1 of 1 changing call in CloudTrail" in found[0].seen


def test_a_call_that_was_invented_or_left_out_is_told(
    changed: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = reading.details(changed)
    (call,) = [c for c in details["calls"] if c["operation"].startswith("Update")]

    def says(calls: list[Any]) -> None:
        monkeypatch.setattr("opslib.records.details", lambda _: details | {"calls": calls})

    says([*details["calls"], call | {"request_id": "made-up", "operation": "DeleteFunction"}])
    assert statuses(changed) == ["critical", "ok"]
    says([c for c in details["calls"] if c is not call])
    found = changes.reconcile(connect(TARGET), changed.id)
    assert [each.status for each in found] == ["ok", "warn"]
    assert f"In none: {call['operation']}" in found[1].seen


def test_what_could_not_be_read_or_may_not_show_yet_is_unknown(
    changed: Record, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab.denied("cloudtrail:LookupEvents", "bluemoxon-staging"):
        assert statuses(changed) == ["unknown", "unknown"]
    monkeypatch.setattr(reconciling, "_LATE", timedelta(minutes=15))
    assert statuses(changed) == ["ok", "unknown"]


def test_the_command_compares_on_the_records_own_target(
    changed: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="is of lab/bluemoxon-staging, so nothing was compared"):
        changes.reconcile(connect("lab/loglineos-production"), changed.id)
    with pytest.raises(SystemExit) as ended:
        commands.main(["records", "reconcile", changed.id[:20], "--json"])
    assert ended.value.code == 0
    assert [each["status"] for each in json.loads(capsys.readouterr().out)] == ["ok", "ok"]
