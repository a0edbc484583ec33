"""Sittings: a procedure opened to be worked in is kept as a record, whatever becomes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server import serverapp

from opslib import UsageError, records
from opslib.core import paths
from opslib.records import reading, verification
from opslib.records.records import Record
from opslib.records.sittings import cells
from opslib.sittings import Opened, open_sitting
from tests.conftest import PracticeLab
from tests.notebooks import run
from tests.projects import ran
from tests.sittings.conftest import Open
from tests.sittings.desk import text_of
from tests.waiting import until

TARGET = "lab/bluemoxon-staging"
SECRET = "bluemoxon-staging/api-token"


def _only() -> Record:
    (record,) = reading.list_records()
    return record


def _runs(record: Record) -> list[Any]:
    return cells.runs_of(nbformat.read(record.path, as_version=4))


def _told(run: Any) -> str:
    said = (o.get("text", "") + o.get("data", {}).get("text/plain", "") for o in run["outputs"])
    return "".join(said)


def test_a_kernel_that_was_started_anew_says_what_makes_a_name_that_it_lacks(
    lab: PracticeLab, desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = paths.project_root() / "opslib" / "sittings" / "jupyter" / "kernel.py"
    assert begins.is_file()
    assert str(begins.relative_to(paths.project_root())) in text_of(Path("run"))
    monkeypatch.setenv("PYTHONSTARTUP", str(begins))
    at = desk("queues/dead-letters", queue="analysis")
    *_, last = at.cells
    assert "Choose Run > Run All Above Selected Cell" in at.run(last)
    at.run_all()
    assert "No cell that this kernel has run makes 'plann'" in at.run("mine", "plann")
    assert "No cell" not in at.run("mine", "def look():\n    return nobody\nlook()")
    for wait in ("__import__('time').sleep(60)", "await __import__('asyncio').sleep(5)"):
        at.send("mine", f"print('begun')\n{wait}")
        at.wait("begun")
        at.stop()
        assert "stopped from outside" in at.wait()


def test_a_change_is_one_record_with_what_led_to_it_and_what_came_of_it(
    lab: PracticeLab, desk: Open
) -> None:
    before, catalogue = lab.state(), text_of(Path("notebooks/functions/rollback.ipynb"))
    at = desk("functions/rollback", approved="now", watch_seconds="0")
    *first, last = at.cells
    for cell in first:
        at.run(cell)
    at.run("mine", "from opslib import note\nnote('one in four fails', kind='think')")
    assert "Kept and sealed" in at.run(last)
    record = _only()
    said = reading.details(record)
    assert (record.id, record.name, record.outcome) == (
        at.id,
        "functions/rollback",
        "changed",
    )
    assert said["steps"]
    assert said["plan"]
    assert said["calls"]
    assert {finding["verifies"] for finding in said["findings"]} == {False, True}
    assert [(n["kind"], n["text"]) for n in said["notes"]] == [("think", "one in four fails")]
    assert record.parameters["watch_seconds"] == 0
    assert [run["source"] for run in _runs(record)][:2] == [at.cells[c].strip() for c in first[:2]]
    assert "PRACTICE LAB" in record.page.read_text()
    assert verification.verify() == []
    assert text_of(Path("notebooks/functions/rollback.ipynb")) == catalogue
    run("changes/undo", record=record.id, approved="now")
    key = "bluemoxon-staging-api"
    assert lab.state()["lambda"][key]["aliases"] == before["lambda"][key]["aliases"]


@pytest.mark.slow
def test_a_cell_run_twice_is_kept_twice_and_its_last_answer_counts(
    lab: PracticeLab, desk: Open
) -> None:
    at = desk("queues/dead-letters")
    check, last = "queues.check_dead_letters", [*at.cells][-1]
    cell = next(id for id, code in at.cells.items() if check in code)
    with lab.broken("dead-letter-backlog"):
        for each in [*at.cells][: [*at.cells].index(cell) + 1]:
            at.run(each)
    at.run(cell)
    assert "OK" in at.run(last)
    record = _only()
    twice = [run for run in _runs(record) if run["metadata"]["opslib"]["cell"] == cell]
    # the second also tells what it said before
    now = [_told(run).partition("Before, at")[0] for run in twice]
    assert ["critical" in told for told in now] == [True, False]
    first, second = (run["metadata"]["opslib"] for run in twice)
    assert first["started"] < first["ended"] <= second["started"]
    assert (record.outcome, record.status) == ("ok", "ok")
    assert verification.verify() == []


@pytest.mark.slow
def test_what_a_killed_kernel_had_is_kept(desk: Open) -> None:
    at = desk("queues/dead-letters")
    first = [*at.cells][:5]
    for cell in first:
        at.run(cell)
    at.send("long", "import time\nprint('ha' + 'lf', flush=True)\ntime.sleep(600)")
    at.wait(until="half")
    record = _only()
    assert record.outcome == records.RUNNING
    until(lambda: "half" in text_of(record.path))
    at.kill()
    saved = json.loads(at.path.read_text())
    saved["cells"][1]["source"] = "It began at noon, and **nobody** changed anything."
    at.path.write_text(json.dumps(saved))
    record = _only()
    assert record.outcome == "interrupted"
    assert f"after {len(first) + 1} cells were run" in record.verdict
    assert "half" in _told(_runs(record)[-1])
    assert reading.details(record)["findings"]
    assert "<strong>nobody</strong> changed anything" in record.page.read_text()
    assert verification.verify() == []


@pytest.mark.slow
def test_a_sitting_that_is_left_is_sealed_as_what_it_was(desk: Open) -> None:
    at = desk("queues/dead-letters")
    for cell in [*at.cells][:5]:
        at.run(cell)
    at.leave()
    record = _only()
    assert record.outcome == "interrupted"
    assert record.verdict.startswith("Left without conclude.")
    assert verification.verify() == []


def test_the_note_with_which_a_sitting_is_opened_is_kept_for_its_record(
    records_folder: Path,
) -> None:
    opened = open_sitting("health/quick", TARGET, {}, "paged at three")
    kept = nbformat.read(opened.path, as_version=4)["metadata"]["opslib"]["sitting"]
    assert kept["note"]["text"] == "paged at three"


@pytest.mark.slow
def test_who_runs_a_cell_in_a_second_page_is_told_so_and_what_is_run_in_both_is_kept(
    desk: Open,
) -> None:
    at = desk("queues/dead-letters")
    for cell in [*at.cells][:4]:
        at.run(cell)
    assert "another page" not in at.run("mine", "print('one')")
    at.open_second_page()
    assert "run from another page: this one was opened again" in at.run("mine", "print('two')")
    assert "another page" not in at.run("mine", "print('three')")
    at.leave()
    told = [_told(run) for run in _runs(_only())]
    assert ["one" in "".join(told), "two" in "".join(told)] == [True, True]


@pytest.mark.slow
def test_after_conclude_a_cell_begins_a_record_that_continues_it(desk: Open) -> None:
    at = desk("queues/dead-letters")
    at.run_all()
    sealed = _only()
    assert "from here on this is record" in at.run("mine", "print('once more')")
    at.run([*at.cells][-1])
    more, first = reading.list_records()
    assert first == sealed
    assert reading.details(more)["continues"] == first.id
    assert more.outcome == first.outcome
    assert reading.details(more)["findings"] == reading.details(first)["findings"]
    assert len(_runs(more)) == 2
    assert verification.verify() == []


@pytest.mark.slow
def test_no_secret_is_kept_or_shown(desk: Open) -> None:
    at = desk("queues/dead-letters")
    for cell in [*at.cells][:4]:
        at.run(cell)
    shown = at.run("mine", f"print(ops.secret({SECRET!r}))")
    value = at.run("mine", f"str(ops.secret({SECRET!r}))[::-1]").strip("'\n")[::-1]
    at.run([*at.cells][-1])
    record = _only()
    everything = shown + "".join(text_of(p) for p in record.path.parent.iterdir())
    assert "[secret" in shown
    assert len(value) > 10
    assert value not in everything


@pytest.mark.slow
def test_what_runs_headless_below_a_sitting_is_its_own_record(
    desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = desk("queues/dead-letters")
    monkeypatch.setenv("JPY_SESSION_NAME", str(at.path))
    record = ran("queues/dead-letters", TARGET)
    assert record.id != at.id
    assert "sitting" not in reading.details(record)
    assert _only() == record


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("queues/redrives", {}, "Unknown procedure 'queues/redrives'"),
        ("queues/redrive", {"queues": "x"}, "Unknown parameter 'queues'"),
        ("queues/redrive", {"per_second": "fast"}, "per_second"),
        ("queues/redrive", {"api_key": "0123456789"}, "api_key is a secret"),
    ],
)
def test_what_a_run_refuses_is_not_opened(
    records_folder: Path, name: str, given: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        open_sitting(name, TARGET, given)
    assert not records_folder.exists()


def test_what_a_run_chooses_is_chosen(records_folder: Path) -> None:
    opened = open_sitting("bluemoxon/dead-letters", TARGET)
    notebook = nbformat.read(opened.path, as_version=4)
    said = notebook["metadata"]["opslib"]["sitting"]
    assert said["name"] == "bluemoxon/dead-letters"
    assert said["procedure"] == "queues/dead-letters"
    assert said["parameters"]["target"] == TARGET
    assert opened.shown in repr(opened)
    assert opened.path.name == f"{opened.id}.ipynb"
    declared, holds, *_ = (c for c in notebook["cells"] if c["cell_type"] == "code")
    assert declared["metadata"]["jupyter"]["source_hidden"]  # it names another target
    assert declared["source"].startswith("# ")
    assert "jupyter" not in holds["metadata"]
    assert f'target = "{TARGET}"' in holds["source"]
    for cell in notebook["cells"]:
        for link in re.findall(r"\]\(([\w./-]+\.ipynb)\)", cell["source"]):
            assert (opened.path.parent / link).exists()


@pytest.mark.slow
def test_a_sitting_that_cannot_be_kept_may_look_and_not_change(
    lab: PracticeLab, desk: Open, records_folder: Path
) -> None:
    at, before = desk("functions/rollback", approved="now", watch_seconds="0"), lab.state()
    (records_folder / at.id[:4]).write_text("not a folder")
    shown = [at.run(cell) for cell in at.cells]
    assert any("This sitting is not kept: Records cannot be written" in each for each in shown)
    assert any("is not kept, so nothing was changed" in each for each in shown)
    assert lab.state() == before


def test_where_records_are_kept_elsewhere_it_is_said_and_no_dead_link_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = {"root_dir": str(paths.project_root()), "url": "http://127.0.0.1:8888/"}
    monkeypatch.setattr(serverapp, "list_running_servers", lambda: [server])
    opened = Opened("x", "logs/errors", TARGET, tmp_path / "sittings" / "x.ipynb")
    for shown in (repr(opened), opened._repr_html_()):
        assert "outside of this project" in shown
    assert "commandlinker" not in opened._repr_html_()


@pytest.mark.slow
def test_a_cell_that_fails_is_scrolled_to_and_nothing_of_that_is_kept(desk: Open) -> None:
    at = desk("queues/dead-letters")
    for cell in [*at.cells][: [*at.cells].index("form") + 2]:
        assert "scrollIntoView" not in at.run(cell)
    assert "scrollIntoView" in at.run("mine", "1 / 0")
    at.leave()
    record = _only()
    assert record.outcome == "failed"
    assert record.verdict == "Left without conclude. ZeroDivisionError: division by zero"
    assert "division by zero" in record.page.read_text()
    assert "scrollIntoView" not in text_of(_only().path)
