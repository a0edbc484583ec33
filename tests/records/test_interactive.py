"""A change made in an interactive session leaves a record, and can be undone from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from opslib import OpsError, Refused, apply, changes, connect
from opslib.buckets import settings
from opslib.records import index, reading, verification
from opslib.records.chain import database
from tests.conftest import PracticeLab
from tests.notebooks import run


def test_a_change_without_an_engine_is_kept_and_undone(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/functions/rollback.ipynb")
    before = lab.state()
    run("functions/rollback", approved="now", watch_seconds=0)
    assert lab.state() != before
    (record,) = reading.list_records()
    assert (record.name, record.outcome, record.target) == (
        "functions/rollback",
        "changed",
        "lab/bluemoxon-staging",
    )
    assert verification.verify() == []
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


def test_a_change_that_was_killed_while_it_was_sealed_is_no_false_alarm(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    ops = connect("lab/bluemoxon-staging")
    with lab.broken("bucket-missing"), monkeypatch.context() as patched:
        patched.setattr(index, "_move_head", killed)  # its page is written, its row is not sealed
        with pytest.raises(KeyboardInterrupt):
            apply(ops, settings.plan_create(ops, "images"), "now")
    with database.transaction() as connection:
        connection.execute(sa.update(database.records).values(pid_started="long ago"))
    assert verification.verify() == []
    assert reading.list_records()[0].outcome == "changed"
    assert "its own process was gone" in verification.examine().notes[0]


def test_two_changes_on_one_connection_are_two_records_each_of_its_own(
    lab: PracticeLab, records_folder: Path
) -> None:
    ops = connect("lab/bluemoxon-staging")
    before = lab.state()
    with lab.broken("bucket-missing"):
        first = settings.plan_create(ops, "images")
        with pytest.raises(Refused, match="not the name of a plan"):
            apply(ops, first, "yes")
        apply(ops, first, "now")
        apply(ops, changes.plan_undo(ops, reading.list_records()[0].id), "now")
        undone, made = reading.list_records()
    assert (made.outcome, undone.outcome) == (
        "changed",
        "changed",
    )  # what was refused before it is not its outcome
    of, back = (reading.details(each)["steps"] for each in (made, undone))
    assert [s["title"] for s in of] == [step.title for step in first.steps]
    assert {s["title"].partition(":")[0] for s in back} == {"Undo"}
    assert lab.state() == before
