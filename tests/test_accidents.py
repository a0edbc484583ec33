"""A change survives its own accident: whoever is killed, no number of done steps is wrong."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, Refused, apply, changes, connect
from opslib.core.actions.actions import action
from opslib.core.actions.results import result
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost
from opslib.core.plans import performing
from opslib.core.plans.plans import Step
from opslib.records import facts, reading, verification
from opslib.records.records import Record
from tests import accidents
from tests.accidents import COUNT
from tests.conftest import PracticeLab
from tests.projects import TARGET, Project


@pytest.fixture
def ops(many: Project) -> Connection:
    return connect(TARGET)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "changed"
    made.mkdir()
    return made


@pytest.fixture
def many(lab: PracticeLab, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose kernels know the change of many steps."""
    monkeypatch.setenv("PYTHONPATH", str(accidents.ROOT))
    return project


def told(folder: Path) -> tuple[Record, list[dict[str, Any]]]:
    """The one record; its steps are those that were done, but for one that was being done."""
    time.sleep(1.5)  # who lost its parent ends within a second
    [record] = reading.list_records()
    said = reading.details(record)
    steps = list(said["steps"])
    done = accidents.made(folder)
    assert 0 < done < COUNT
    applied = [step["number"] for step in steps if step["state"] == "applied"]
    unsure = [step for step in steps if step["state"] in ("started", "unknown")]
    assert applied == [*range(1, len(applied) + 1)]
    assert len(unsure) <= 1
    assert len(applied) <= done <= len(applied) + len(unsure)
    assert f"{len(applied)} of {COUNT} steps were applied" in str(record.verdict)
    assert len(said["plan"]["steps"]) == COUNT
    assert said["approval"]["approved"] == "now"
    assert verification.verify() == []
    assert [file for file in record.path.parent.iterdir() if file.suffix == ".jsonl"] == []
    return record, steps


ENDS: dict[str, Callable[[Any], None]] = {
    "kernel": lambda process: accidents.end(accidents.kernel_of(process)),
    "engine": lambda process: accidents.end(process.pid),
    "both": lambda process: accidents.end_both(process),
    "terminal": lambda process: accidents.end(process.pid, signal.SIGHUP),
}


@pytest.mark.some(4)
@pytest.mark.parametrize("who", ENDS)
def test_whoever_is_killed_the_record_says_what_was_done_and_undo_takes_it_back(
    many: Project, folder: Path, who: str
) -> None:
    process = accidents.opslib(many, folder)
    accidents.wait_for(folder, 7)
    ENDS[who](process)
    process.communicate(timeout=60)
    record, steps = told(folder)
    assert record.outcome == ("kernel died" if who == "kernel" else "interrupted")
    assert {"do", "undo", "observe"} & set(steps[-1]) == {"undo", "observe"}
    undo(record.id)
    assert accidents.made(folder) == 0


@pytest.mark.slow
@pytest.mark.parametrize("who", ["kernel", "papermill", "both"])
def test_plain_papermill_killed_leaves_a_record_that_undo_takes_back(
    many: Project, folder: Path, who: str
) -> None:
    process = accidents.papermill(many, folder)
    accidents.wait_for(folder, 7)
    kernel = accidents.kernel_of(process)
    if who != "papermill":
        accidents.end(kernel)
    if who != "kernel":
        accidents.end(process.pid)
    process.wait(timeout=60)
    record, _ = told(folder)
    assert record.outcome == "interrupted"
    undo(record.id)
    assert accidents.made(folder) == 0


def undo(record: str) -> None:
    ops = connect(TARGET)
    plan = changes.plan_undo(ops, record)
    apply(ops, plan, "now")


def last() -> str:
    return reading.list_records()[0].id


def ending(record: str) -> dict[str, Any]:
    """The state of each step that was begun, by its title."""
    said = reading.details(reading.find(record))
    return {step["title"]: step["state"] for step in said["steps"]}


def steps(folder: Path, **of_the_second: Any) -> list[Step]:
    others = [accidents.step(folder, number) for number in (1, 3, 4)]
    return [others[0], accidents.step(folder, 2, **of_the_second), *others[1:]]


def test_a_lost_answer_of_what_was_done_is_seen_and_the_change_goes_on(
    ops: Connection, folder: Path
) -> None:
    apply(ops, accidents.plan_steps(ops, *steps(folder, lost="done")), "now")
    assert accidents.made(folder) == 4
    assert set(ending(last()).values()) == {"applied"}
    apply(ops, changes.plan_undo(ops, last()), "now")
    assert accidents.made(folder) == 0


@pytest.mark.parametrize("lost", ["done", "not done"])
def test_a_lost_answer_that_nothing_shows_stops_the_change_and_is_asked_about(
    ops: Connection, folder: Path, lost: str
) -> None:
    plan = accidents.plan_steps(ops, *steps(folder, lost=lost, seen=False))
    with pytest.raises(Lost, match=r"Step 2 of 4 \(File 2\) may be done.*Not begun after it: 2"):
        apply(ops, plan, "now")
    record = last()
    assert ending(record) == {"File 1": "applied", "File 2": "unknown"}
    assert "Whether step 2 (File 2) was applied is not known" in str(reading.find(record).verdict)
    with pytest.raises(
        Refused, match=r"File 2.*unseen = 'done' or 'not done'.*Nothing was changed"
    ):
        changes.plan_undo(ops, record)
    assert accidents.made(folder) == 1 + (lost == "done")
    apply(ops, changes.plan_undo(ops, record, unseen=lost), "now")
    assert accidents.made(folder) == 0


def test_a_lost_answer_of_what_is_seen_not_to_be_done_is_left_out_by_undo(
    ops: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "_SEEN_SECONDS", 0.3)
    with pytest.raises(Lost):
        apply(ops, accidents.plan_steps(ops, *steps(folder, lost="not done")), "now")
    assert ending(last())["File 2"] == "unknown"
    plan = changes.plan_undo(ops, last())
    assert [step.title for step in plan.steps] == ["Undo: File 1"]
    assert any("Step 2" in note and "as before" in note for note in plan.notes)
    apply(ops, plan, "now")
    assert accidents.made(folder) == 0


def test_an_answer_that_was_lost_and_is_needed_later_stops_before_who_needs_it(
    ops: Connection, folder: Path
) -> None:
    first = accidents.step(folder, 1, lost="done")
    needs = accidents.step(folder, 2)
    needs.do["text"] = result("file1.name")
    with pytest.raises(OpsError, match=r"Step 2 of 2 .*not begun.*file1\.name.*lost"):
        apply(ops, accidents.plan_steps(ops, first, needs), "now")
    assert ending(last()) == {"File 1": "applied"}
    with pytest.raises(Refused, match="needs the answer of file1, which is not kept"):
        changes.plan_resume(ops, last())


def test_a_state_that_the_answer_of_an_earlier_step_names_is_seen_and_undone(
    ops: Connection, folder: Path
) -> None:
    named = result("file1.@")  # a version that gets its number when it is made
    second = replace(accidents.step(folder, 1), name="second", after=named)
    second.do.update(path=str(folder / "02"), lost="done")
    assert second.observe
    assert second.undo
    second.observe["path"] = second.undo[0]["path"] = str(folder / "02")
    plan = accidents.plan_steps(ops, accidents.step(folder, 1), second)
    assert "<file1.@>" in repr(plan)
    apply(ops, plan, "now")
    assert [(f.status, f.seen) for f in ops.findings] == [("ok", "now 1")] * 2
    (folder / "02").write_text("3")  # somebody else's
    with pytest.raises(Refused, match="now 3, no longer 1 as it left it"):
        changes.plan_undo(ops, last())
    (folder / "02").write_text("1")
    apply(ops, changes.plan_undo(ops, last()), "now")
    assert accidents.made(folder) == 0


@pytest.mark.slow
def test_a_change_that_broke_off_is_gone_on_with_and_then_undone_as_one(
    many: Project, folder: Path
) -> None:
    process = accidents.opslib(many, folder)
    accidents.wait_for(folder, 9)
    ENDS["both"](process)
    process.communicate(timeout=60)
    record, _ = told(folder)
    ops = connect(TARGET)
    done = accidents.made(folder)
    plan = changes.plan_resume(ops, record.id)
    assert len(plan.steps) == COUNT - done
    apply(ops, plan, "now")
    assert [path.read_text() for path in sorted(folder.iterdir())] == [
        f"{number}" for number in range(1, COUNT + 1)
    ]
    assert changes.plan_resume(ops, record.id).steps == ()
    assert changes.plan_resume(ops, last()).steps == ()
    apply(ops, changes.plan_undo(ops, last()), "now")
    assert accidents.made(folder) == 0


def test_an_undo_that_nothing_shows_is_gone_on_with_by_its_records(
    ops: Connection, folder: Path
) -> None:
    made = [accidents.step(folder, number, seen=False) for number in range(1, 7)]
    apply(ops, accidents.plan_steps(ops, *made), "now")
    record, path = last(), folder / "03"
    path.unlink()
    path.mkdir()  # taking that back breaks off, in a way that nobody foresaw
    with pytest.raises(OSError):
        apply(ops, changes.plan_undo(ops, record), "now")
    broken = last()
    path.rmdir()
    path.write_text("3")
    assert accidents.made(folder) == 3
    with pytest.raises(Refused, match="taken back is not known"):
        changes.plan_undo(ops, record)
    plan = changes.plan_undo(ops, broken, unseen="not done")
    assert [step.title for step in plan.steps] == [f"Undo: File {n}" for n in (3, 2, 1)]
    apply(ops, plan, "now")
    assert accidents.made(folder) == 0
    assert changes.plan_undo(ops, record, unseen="done").steps == ()


def test_undoing_twice_is_harmless_and_what_somebody_took_back_is_left_out(
    ops: Connection, folder: Path
) -> None:
    made = [accidents.step(folder, number) for number in range(1, 7)]
    apply(ops, accidents.plan_steps(ops, *made), "now")
    record = last()
    (folder / "06").unlink()
    apply(ops, changes.plan_undo(ops, record), "now")
    assert accidents.made(folder) == 0
    for again in (record, last()):
        assert changes.plan_undo(ops, again).steps == ()


def test_a_clock_that_was_set_back_since_hides_no_undo(
    ops: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [accidents.step(folder, number, seen=False) for number in range(1, 4)]
    with monkeypatch.context() as ahead:
        later = datetime.now(UTC) + timedelta(hours=3)
        ahead.setattr(facts, "moment", lambda: later.isoformat(timespec="milliseconds"))
        apply(ops, accidents.plan_steps(ops, *made), "now")
    record = last()
    apply(ops, changes.plan_undo(ops, record), "now")
    assert accidents.made(folder) == 0
    assert changes.plan_undo(ops, record).steps == ()


@pytest.mark.slow
def test_an_undo_killed_half_way_is_gone_on_with_by_the_same_command(
    many: Project, folder: Path, ops: Connection
) -> None:
    apply(ops, accidents.plan_files(ops, str(folder)), "now")
    record = last()
    cell = f"""
from opslib import apply, changes, connect
from tests import accidents
ops = connect(target)
apply(ops, changes.plan_undo(ops, {record!r}), "now")
"""
    many.procedure("undo", cell, effect="change")
    process = many.start("run", "tests/undo", "-t", TARGET)
    deadline = time.monotonic() + 60
    while accidents.made(folder) > COUNT - 5:
        assert time.monotonic() < deadline
    ENDS["both"](process)
    process.communicate(timeout=60)
    assert 0 < accidents.made(folder) < COUNT
    broken = last()
    assert broken != record
    plan = changes.plan_undo(ops, broken)
    assert len(plan.steps) == accidents.made(folder)
    apply(ops, plan, "now")
    assert accidents.made(folder) == 0


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 4 MB, on which records are kept."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a small file system here")
    monkeypatch.setenv("OPSLIB_RECORDS", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), (disk / "fill").open("wb", 0) as file:
        while file.write(bytes(1024)):
            pass


@pytest.mark.slow
@pytest.mark.parametrize("who", [accidents.opslib, accidents.papermill])
def test_a_disk_that_fills_up_stops_the_change_and_the_record_is_true(
    many: Project, small: Path, folder: Path, who: Callable[..., Any]
) -> None:
    process = who(many, folder)
    accidents.wait_for(folder, 7)
    fill(small)
    process.communicate(timeout=90)
    (small / "fill").unlink()
    done = accidents.made(folder)
    assert done < COUNT, "it went on though nothing could be written"
    [record] = reading.list_records()
    assert record.outcome == "failed"
    applied = [title for title, state in ending(record.id).items() if state == "applied"]
    assert len(applied) == done
    assert "not begun, for nothing would record it" in str(record.verdict)
    assert "killed" not in str(record.verdict)
    assert verification.verify() == []
    undo(record.id)
    assert accidents.made(folder) == 0


def test_a_file_that_was_taken_away_stops_the_change(
    ops: Connection, folder: Path, project: Project
) -> None:
    made = [accidents.step(folder, number) for number in range(1, 4)]
    vandal = accidents.step(folder, 2)

    @action("test-gone", "write {text} to {path}")
    def gone(ops: Connection, path: str, text: str, pause: float, lost: str) -> str:
        for ledger in project.records.rglob("*.steps.jsonl"):
            ledger.unlink()
        return "2"

    vandal.do["kind"] = "test-gone"
    made[1] = vandal
    with pytest.raises(
        OpsError, match=r"Step 2 of 3 .* is applied, and nothing records what follows"
    ):
        apply(ops, accidents.plan_steps(ops, *made), "now")
    assert accidents.made(folder) == 1
