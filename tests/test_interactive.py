"""A change made in an interactive session leaves a record, and can be undone from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, Refused, apply, buckets, changes, connect, records
from tests.conftest import PracticeLab
from tests.notebooks import run


def test_a_change_without_an_engine_is_kept_and_undone(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/functions/rollback.ipynb")
    before = lab.state()
    run("functions/rollback", approved="now", watch_seconds=0)
    assert lab.state() != before
    (record,) = records.list_records()
    assert (record.name, record.outcome, record.target) == ("functions/rollback", "changed", "lab/bluemoxon-staging")
    assert records.verify() == []
    assert record.page.exists()
    run("changes/undo", record=record.id, approved="now")
    assert _live(lab.state()) == _live(before)


def _live(state: dict[str, Any]) -> str:
    return str(state["lambda"]["bluemoxon-staging-api"]["aliases"])


def test_a_change_that_cannot_be_recorded_is_not_made(
    lab: PracticeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("OPSLIB_RECORDS", str(tmp_path / "file"))
    before = lab.state()
    with pytest.raises(OpsError, match="Records cannot be written"):
        run("functions/rollback", approved="now", watch_seconds=0)
    assert lab.state() == before


def test_two_changes_on_one_connection_are_two_records_each_of_its_own(lab: PracticeLab, records_folder: Path) -> None:
    ops = connect("lab/bluemoxon-staging")
    before = lab.state()
    with lab.broken("bucket-missing"):
        first = buckets.plan_create(ops, "images")
        with pytest.raises(Refused, match="not the name of a plan"):
            apply(ops, first, "yes")
        apply(ops, first, "now")
        apply(ops, changes.plan_undo(ops, records.list_records()[0].id), "now")
        undone, made = records.list_records()
    assert (made.outcome, undone.outcome) == ("changed", "changed")  # what was refused before it is not its outcome
    assert [s["title"] for s in records.applied_steps(made.id)] == [step.title for step in first.steps]
    assert {s["title"].partition(":")[0] for s in records.applied_steps(undone.id)} == {"Undo"}
    assert lab.state() == before
