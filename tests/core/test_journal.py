"""What a change did is on the disk, masked, before and after each step, or the change stops."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError
from opslib.core import redaction
from opslib.core.journal import FD, STEPS, Journal, Ledger
from opslib.records import outcomes


def step(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {"event": "step", "number": number, "title": f"s{number}", "state": state, **more}


def test_no_secret_is_written_down(tmp_path: Path) -> None:
    redaction.register("elephants-in-rooms", "test:PASSWORD")
    ledger = Ledger(tmp_path / "a")
    ledger.append(step(1, "started", undo=[{"Value": "elephants-in-rooms"}]), 100)
    assert b"elephants" not in ledger.path.read_bytes()
    assert b"[secret test:PASSWORD]" in ledger.path.read_bytes()


def test_what_a_killed_process_left_is_read_and_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "a"
    Ledger(file).append(step(1, "started"), 5000)  # and no more: it was killed
    assert file.stat().st_size > 5000
    assert [event["number"] for event in outcomes.journal(file)] == [1]
    Ledger(file).append(step(1, "applied"))
    assert [event["state"] for event in outcomes.journal(file)] == ["started", "applied"]
    assert b"\0" not in file.read_bytes()


def test_a_step_that_two_told_of_counts_once_and_by_its_end(tmp_path: Path) -> None:
    file, begun = tmp_path / "a", {"event": "applying", "plan": "p"}
    ledger = Ledger(file)
    for event in (begun, step(1, "started"), step(1, "applied"), step(2, "started")):
        ledger.append(event)
    heard = [begun, step(1, "started")]  # the engine was killed before it heard the rest
    said = outcomes.conclude(outcomes.Ending("interrupted"), outcomes.with_ledger(heard, file))
    assert [(s["number"], s["state"]) for s in said["steps"]] == [(1, "applied"), (2, "started")]
    assert "Whether step 2 (s2) was applied is not known" in said["verdict"]


def test_a_step_that_was_not_begun_is_none(tmp_path: Path) -> None:
    told = [{"event": "applying", "plan": "p"}, step(1, "started"), step(1, "not begun")]
    assert outcomes.conclude(outcomes.Ending("failed"), told)["steps"] == []


def test_who_keeps_the_run_is_gone_so_no_more_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    monkeypatch.setenv(FD, str(write))
    monkeypatch.setenv(STEPS, str(tmp_path / "a"))
    journal = Journal()
    journal.write_down("step", number=1, state="started")
    os.close(read)
    with pytest.raises(OpsError, match="keeps this run as a record is gone"):
        journal.write_down("step", number=2, state="started")
    assert journal.kept
    os.close(write)


def test_a_folder_that_is_gone_is_no_place_to_write(tmp_path: Path) -> None:
    journal = Journal()
    journal.ledger = Ledger(tmp_path / "a")
    journal.write_down("step", number=1, state="started")
    (tmp_path / "a").unlink()
    with pytest.raises(OpsError, match="cannot be written"):
        journal.write_down("step", number=1, state="applied")
    assert [event["state"] for event in journal.events] == ["started", "applied"]
    assert not (tmp_path / "a").exists()
