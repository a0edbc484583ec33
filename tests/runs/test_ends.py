"""How a run ended is told as it was: who leaves quietly, a full disk, a clock that was set."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from opslib.records import facts, interruptions, outcomes, reading, records, sealing, verification
from opslib.records.outputs import Outputs
from tests.conftest import PracticeLab
from tests.projects import JOURNAL, TARGET, Project

LATER = "open('../../later', 'w').close()"


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "leave",
    ["exit(0)", "exit(1)", "exit()", "quit()", "import sys; sys.exit(0)", "import os; os._exit(0)"],
)
def test_who_leaves_has_not_succeeded_and_nothing_after_it_is_done(
    project: Project, leave: str
) -> None:
    record = project.run("leaves", leave, LATER)
    assert record.outcome == ("kernel died" if "_exit(0)" in leave else "failed")
    assert not (project.home / "later").exists()


@pytest.mark.slow
@pytest.mark.parametrize("leave", ["exit(0)", "exit(1)", "quit()", "import sys; sys.exit(0)"])
def test_who_leaves_under_plain_papermill_has_failed_too(
    lab: PracticeLab, project: Project, leave: str
) -> None:
    connect = "from opslib import connect; connect(target)"
    source = project.procedure("leaves", connect, leave, LATER)
    command = [sys.executable, "-m", "papermill", str(source), str(project.home / "out.ipynb")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode != 0
    assert "is no end of a notebook" in done.stderr
    assert not (project.home / "later").exists()


def test_a_clock_that_was_set_back_makes_no_run_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = facts.uptime()
    ahead = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    monkeypatch.setattr(facts, "uptime", lambda: ticks + 12.5)
    passed = datetime.fromisoformat(facts.ended(ahead, ticks)) - datetime.fromisoformat(ahead)
    assert passed.total_seconds() == pytest.approx(12.5, abs=0.01)


def draft(project: Project) -> sealing.Draft:
    from nbformat import v4

    from opslib.records import index

    known = facts.at_start("tests/a", "tests/a", TARGET, {}) | facts.of_the_code()
    cell = v4.new_code_cell("1")
    made = sealing.Draft(v4.new_notebook(cells=[cell]), known)
    made.begin()
    gone = {"host": facts.host(), "pid": 2**22 + 1, "pid_started": "1", "heartbeat": facts.moment()}
    index.insert(records.row(known) | gone)
    return made


def test_an_end_that_cannot_be_written_is_told_when_there_is_room_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = draft(project)
    made.ledger.write_text(
        '{"event": "applying", "plan": "p"}\n'
        '{"event": "step", "number": 1, "title": "a", "state": "applied"}\n'
    )
    made.conclude(outcomes.Ending("failed", "Step 2 could not be written."), [])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("opslib.records.files.write_atomically", full)
        said = sealing.keep(made)
    assert "the disk is full" in said
    assert "completes this record" in said
    interruptions.close_abandoned()
    [record] = reading.list_records()
    assert record.outcome == "failed"
    assert "Step 2 could not be written" in str(record.verdict)
    assert [step["title"] for step in reading.details(record)["steps"]] == ["a"]
    assert verification.verify() == []
    assert [file.suffix for file in project.files() if file.suffix in (".jsonl", "")] == []


def test_room_for_the_end_is_held_from_the_start_and_given_back(project: Project) -> None:
    made = draft(project)
    held = [*made.path.parent.glob(".*.reserve-*")]
    assert sum(file.stat().st_size for file in held) >= 500_000
    made.conclude(outcomes.Ending(outcomes.DONE), [])
    assert sealing.keep(made) == ""
    assert [*made.path.parent.glob(".*")] == []


def test_what_did_not_fit_beside_the_record_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbformat import v4

    folder = tmp_path / "a.spill"
    outputs = Outputs(folder)
    cell = v4.new_code_cell("1")
    cell["outputs"].append(v4.new_output("stream", name="stdout", text="x\n" * 200_000))
    outputs.take(cell["outputs"], 0)
    outputs.finish(cell, 0)
    shown = str(cell["outputs"])
    assert "a.spill/cell-01.txt" in shown
    folder.write_text("in the way")
    with pytest.raises(OSError):
        outputs.save(everything=True)
    outputs.name_lost([cell], "the disk is full")
    shown = str(cell["outputs"])
    assert "a.spill" not in shown
    assert "not kept: the disk is full" in shown


@pytest.mark.parametrize("forked", [False, True])
def test_a_kernel_knows_where_steps_are_written_down(project: Project, forked: bool) -> None:
    project.forked = forked
    cell = f"{JOURNAL}\nprint(journal.ledger.path)"
    record = project.run("says", cell)
    assert project.text(record).strip() == str(record.path.with_suffix(".steps.jsonl"))
