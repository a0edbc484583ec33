"""What is pressed in a sitting: it is kept, has its equal command, and headless is not there."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest

from opslib import connect, functions
from opslib.core.tables import UTC_TIME, frame
from opslib.desk import approving
from opslib.records import reading, verification
from opslib.records.records import Record
from opslib.records.sittings import cells, presence
from opslib.sittings import open_sitting
from tests.conftest import PracticeLab
from tests.notebooks import run
from tests.projects import Project, ran
from tests.sittings.conftest import TARGET, Open
from tests.sittings.desk import Desk, text_of
from tests.waiting import until

WIDGET = "application/vnd.jupyter.widget-view+json"
PRODUCTION = "lab/bluemoxon-production"
ASKS = "opslib run functions/rollback"  # the equal command, which stands below


def _only() -> Record:
    (record,) = reading.list_records()
    return record


def _asked(at: Desk) -> str:
    """All cells up to the one that asks are run, and that one waits; its id."""
    for cell, code in at.cells.items():
        if "await decide" in code:
            at.send(cell)
            at.wait(until=ASKS)
            return cell
        at.run(cell)
    raise AssertionError("nothing asks")


def _after(at: Desk, cell: str) -> None:
    for each in [*at.cells][[*at.cells].index(cell) + 1 :]:
        at.run(each)


@pytest.mark.slow
def test_a_plan_is_applied_when_its_word_is_typed_and_the_button_pressed(
    lab: PracticeLab, desk: Open
) -> None:
    before, at = lab.state(), desk("functions/rollback", watch_seconds="0")
    asks = _asked(at)
    at.fill("99", tooltip="watch_seconds")  # the plan that is shown was made without it
    at.fill("apply", placeholder="apply")
    at.press("Apply this plan")
    at.says("A parameter was changed since this plan was shown")
    assert lab.state() == before
    at.fill("0", tooltip="watch_seconds")
    at.fill("appl", placeholder="apply")
    assert at.widget(description="Apply this plan")[1]["disabled"]
    at.press("Apply this plan")  # whatever a page sends
    assert lab.state() == before
    at.fill("apply", placeholder="apply")
    assert not at.widget(description="Apply this plan")[1]["disabled"]
    at.press("Apply this plan")
    told = at.wait()
    assert "typed 'apply' and approved this plan" in told
    assert f"{ASKS} -t {TARGET} -p watch_seconds=0 -p approved=" in told
    _after(at, asks)
    record = _only()
    assert record.outcome == "changed"
    assert WIDGET not in text_of(record.path)
    shown = nbformat.read(record.path, as_version=4)["cells"]
    (kept,) = (c for c in shown if "await decide" in c["source"])
    assert ["approved this plan" in o["data"]["text/plain"] for o in kept["outputs"]] == [True]
    assert verification.verify() == []
    run("changes/undo", record=record.id, approved="now")
    key = "bluemoxon-staging-api"
    assert lab.state()["lambda"][key]["aliases"] == before["lambda"][key]["aliases"]


@pytest.mark.slow
def test_not_now_and_stop_leave_a_preview(lab: PracticeLab, desk: Open) -> None:
    before, at = lab.state(), desk("functions/rollback", watch_seconds="0")
    asks = _asked(at)
    at.stop()
    assert "stopped, so nothing is applied" in at.wait()
    at.send(asks)
    at.wait(until=ASKS)
    at.press("Not now")
    assert "not now, so nothing is applied. To apply it later: opslib run" in at.wait()
    _after(at, asks)
    assert _only().outcome == "previewed"
    assert lab.state() == before


@pytest.mark.slow
def test_production_wants_its_name(desk: Open) -> None:
    at = desk("functions/rollback", on=PRODUCTION, watch_seconds="0")
    _asked(at)
    assert f"To apply this plan to {PRODUCTION}, type: {PRODUCTION}" in at.texts()
    at.fill("apply", placeholder=PRODUCTION)
    assert at.widget(description="Apply this plan")[1]["disabled"]
    at.fill(PRODUCTION, placeholder=PRODUCTION)
    assert f"-p confirm={PRODUCTION}" in at.texts()
    at.press("Apply this plan")
    at.wait()
    assert at.run("mine", "decided.confirm") == repr(PRODUCTION)


@pytest.mark.slow
def test_the_form_sets_what_the_cells_below_take(desk: Open) -> None:
    at = desk("logs/search")
    first = [*at.cells]
    for cell in first[: first.index("form") + 2]:
        at.run(cell)
    assert "api" in at.widget(value="api")[1]["options"]
    assert at.widget(tooltip="minutes")[1]["value"] == "5"  # a screen reader says which
    _control(at, "minutes", "a while")
    assert "minutes stays" in at.texts()
    assert at.widget(value="5")  # what does not hold does not stand there
    _control(at, "minutes", "7")
    assert "minutes is 7" in at.texts()
    assert f"opslib open logs/search -t {TARGET} -p minutes=7" in at.texts()
    for cell in first[:2]:
        at.run(cell)  # the parameters' own cell puts back what it says
    at.run("form")
    assert float(at.run("mine", "minutes")) == 7
    for cell in first[first.index("form") + 1 :]:
        at.run(cell)
    assert _only().parameters["minutes"] == 7


def _control(at: Desk, name: str, value: Any) -> None:
    at.fill(value, value=str(json.loads(at.run("mine", name))))


@pytest.mark.slow
def test_what_follows_is_opened_and_a_note_is_kept_after_the_end(
    lab: PracticeLab, desk: Open
) -> None:
    at = desk("queues/dead-letters")
    with lab.broken("dead-letter-backlog"):
        at.run_all()
    record = _only()
    name, *_ = reading.details(record)["next"]
    assert at.widget(description="queues/redrive")  # the text leads there, without a target
    at.press(name)
    until(lambda: _scripts(at))  # it is opened, not only named
    opened = [p for p in at.path.parent.glob("*.ipynb") if p != at.path]
    (said,) = (nbformat.read(p, as_version=4)["metadata"]["opslib"]["sitting"] for p in opened)
    assert (said["name"], said["target"]) == (name, TARGET)
    at.fill("the cache was cold", placeholder="a note, kept with its time")
    at.press("Keep note")
    at.says("saw: the cache was cold")
    at.fill("it is warm", placeholder="a note, kept with its time")
    at.enter(placeholder="a note, kept with its time")
    at.says("saw: it is warm")
    kept = [n["text"] for n in reading.details(record)["notes"]]
    assert kept == ["the cache was cold", "it is warm"]
    assert verification.verify() == []


def _scripts(at: Desk) -> list[str]:
    at.hear()
    shown = [o for w in at.states() for o in w.get("outputs", ())]
    every = [o["data"].get("application/javascript", "") for o in shown]
    return [script for script in every if "docmanager:open" in script]


@pytest.mark.slow
def test_after_a_change_its_undo_is_a_click_away(desk: Open) -> None:
    at = desk("functions/rollback", watch_seconds="0", approved="now")
    at.run_all()
    assert at.widget(description="changes/undo")[1]["tooltip"].endswith(f"record={_only().id}")


@pytest.mark.slow
def test_a_check_once_more_tells_what_it_was_before_and_both_are_kept(
    lab: PracticeLab, desk: Open
) -> None:
    at = desk("queues/dead-letters")
    cell = next(id for id, code in at.cells.items() if "queues.check_dead_letters" in code)
    with lab.broken("dead-letter-backlog"):
        for each in [*at.cells][: [*at.cells].index(cell) + 1]:
            at.run(each)
    assert at.widget(_options_labels=["", "analysis", "eval-runbook", "all"])  # empty: all
    assert "Once more" in at.texts()
    assert "Before, at" not in at.texts()
    at.run(cell)  # what the words to click on ask JupyterLab for
    assert re.search(r"At [\d:]+ UTC: 2 ok.*Before, at [\d:]+ UTC: 1 critical, 1 ok; ", at.texts())
    at.run([*at.cells][-1])
    record = _only()
    told = [o["data"]["text/plain"] for run in _runs(record, cell) for o in run["outputs"]]
    assert [("critical" in text, "Before, at" in text) for text in told if text] == [
        (True, False),
        (False, False),
        (True, True),
    ]
    assert record.outcome == "ok"
    assert WIDGET not in text_of(record.path)


def _runs(record: Record, cell: str) -> list[Any]:
    every = cells.runs_of(nbformat.read(record.path, as_version=4))
    return [run for run in every if run["metadata"]["opslib"]["cell"] == cell]


@pytest.mark.slow
def test_a_cell_of_the_procedure_that_failed_is_unknown_until_it_is_run_again(desk: Open) -> None:
    at = desk("health/quick")
    *before, last = at.cells
    check = next(cell for cell in before if ".check_" in at.cells[cell])
    for cell in before[: before.index(check)]:
        at.run(cell)
    assert "no_such" in at.run(check, "no_such_name(ops)\nmore")
    at.run("mine", "1 / 0")  # which is nobody's question
    at.run(last)
    assert (_only().outcome, _only().status) == ("attention", "unknown")
    assert "unknown: no_such_name(ops): NameError" in _only().verdict
    assert "ZeroDivision" not in _only().verdict
    at.run(check)
    at.run(last)
    assert "no_such_name" not in str(reading.list_records()[0].verdict)


@pytest.mark.slow
def test_a_check_that_was_stopped_is_unknown_until_it_is_run_again(desk: Open) -> None:
    at = desk("health/quick")
    slow = (
        "from opslib.core.checks.checks import check\n@check('Is it well?')\ndef look(ops, long):"
    )
    slow += "\n    import time; print('looks'); time.sleep(long)\n    return opslib.core.Findings()"
    at.run("mine", f"import opslib\n{slow}")
    for cell in [*at.cells][: [*at.cells].index("form") + 2]:
        at.run(cell)
    at.send("stopped", "look(ops, 100)")
    at.wait(until="looks")
    at.stop()
    assert "stopped from outside" in at.wait()
    at.run([*at.cells][-1])
    assert (_only().outcome, _only().status) == ("attention", "unknown")
    assert "unknown: Is it well?: stopped before it was answered" in _only().verdict
    at.run("stopped", "look(ops, 0)")
    at.run([*at.cells][-1])
    assert reading.list_records()[0].outcome == "ok"


@pytest.mark.slow
def test_a_copy_of_a_sitting_that_lies_elsewhere_says_that_nothing_is_kept(
    lab: PracticeLab, records_folder: Path, tmp_path: Path
) -> None:
    opened = open_sitting("bluemoxon/deep-health", TARGET)
    at = Desk(dataclasses.replace(opened, path=opened.path.rename(tmp_path / "mine.ipynb")))
    try:
        cells = [*at.cells]
        told = "".join(map(at.run, cells[: cells.index("form") + 2]))
    finally:
        at.close()
    assert "Nothing that is looked at here is kept" in told
    assert f"Work in a sitting: opslib open bluemoxon/deep-health -t {TARGET}\n" in told
    assert reading.list_records() == []


@pytest.mark.slow
def test_one_window_is_set_for_the_whole_notebook(desk: Open) -> None:
    at = desk("metrics/dashboard")
    for cell in [*at.cells][: [*at.cells].index("form") + 1]:
        at.run(cell)
    at.press("3 h")
    assert at.run("mine", "hours, since, until") == "(3.0, '', '')"
    assert f"opslib open metrics/dashboard -t {TARGET} -p hours=3" in at.texts()
    assert "Run from here down" in at.texts()
    at.fill("2h", placeholder="2h ago, or 2026-11-22 14:05")
    at.fill("1h", placeholder="now")
    assert at.run("mine", "hours, since, until") == "(2.0, '2h', '1h')"


@pytest.mark.slow
def test_a_table_is_filtered_and_sorted_on_demand_and_nothing_of_it_is_kept(desk: Open) -> None:
    at = desk("queues/dead-letters")
    at.run("mine", "import pandas as pd; rows = [('beta', 2), ('alpha', 3), ('gamma', 1)]")
    for cell in [*at.cells][: [*at.cells].index("form") + 2]:
        at.run(cell)
    at.run("mine", "pd.DataFrame(rows * 3, columns=['who', 'many'])")
    assert "of 9 rows" not in at.texts()
    at.press("Filter and sort")
    at.fill("A A", placeholder="rows that hold …")
    at.fill(1, _model_name="DropdownModel", _options_labels=["as it is", "who", "many"])
    at.says("9 of 9 rows")
    at.fill("gamma", placeholder="rows that hold …")
    at.says("3 of 9 rows")
    at.leave()
    kept = text_of(_only().path)
    assert "gamma" in kept
    assert "of 9 rows" not in kept
    assert WIDGET not in kept


@pytest.mark.slow
def test_a_table_with_empty_cells_is_filtered_and_sorted_too() -> None:
    from opslib.desk import answers
    from opslib.desk.panels import column

    columns = {"n": "Int64", "text": "object", "at": UTC_TIME}
    table = frame([(1, "X y", None), (None, "z", None), (3, None, None)] * 2, columns)
    box = column([])
    answers._open(box, table)
    words, by, _, told = box.children[0].children
    by.value = "text"
    words.value = "x Y"
    assert "2 of 6 rows" in told.value


@pytest.mark.parametrize(
    ("values", "rising"),
    [
        ([2, 1, None], "102"),
        (["b", 3.5, {"a": 1}], "102"),  # as JSON is
        ([{"a": 1}, {"b": 2}, b"\xff"], "201"),  # jsonb alone, and bytea
    ],
)
def test_a_table_is_sorted_whatever_is_in_it_and_however_its_columns_are_called(
    values: list[Any], rising: str
) -> None:
    import pandas as pd

    from opslib.desk import answers
    from opslib.desk.panels import column

    box, rows = column([]), [(each, 1) for each in values]
    answers._open(box, pd.DataFrame(rows, columns=["id", "id"], dtype="object"))
    _, by, falling, _ = box.children[0].children
    by.index = 1
    assert "".join(re.findall(r"<tr><td[^>]*>(\d)<", box.children[1].children[0].value)) == rising
    falling.value = True
    assert "".join(re.findall(r"<tr><td[^>]*>(\d)<", box.children[1].children[0].value)) != rising


def test_lines_are_followed_in_a_box_until_it_is_stopped(desk: Open) -> None:
    at = desk("logs/follow", seconds="600", minutes="5")
    cell = next(id for id, code in at.cells.items() if "await logs.watch" in code)
    for each in [*at.cells][: [*at.cells].index(cell)]:
        at.run(each)
    at.send(cell)
    at.wait(until="Following")
    until(lambda: "REPORT" in _after_a_while(at))
    at.fill("no line has this", placeholder="lines that hold …")
    at.says("No line so far")
    at.fill(True, description="Pause")
    at.fill("REPORT", placeholder="lines that hold …")
    at.says("REPORT")  # paused, what came is searched
    at.press("Stop")
    assert "following api" in at.wait()
    at.run([*at.cells][-1])
    record = _only()
    assert record.outcome == "ok"
    (run,) = _runs(record, cell)
    shown = "".join(o["data"]["text/plain"] for o in run["outputs"])
    assert "max-height" in run["outputs"][0]["data"]["text/html"]  # the verdict stays near
    assert "REPORT" in shown  # all that came, whatever was looked at
    assert re.search(r"\d lines in \d+ s", shown)
    assert WIDGET not in text_of(record.path)


def _after_a_while(at: Desk) -> str:
    at.hear()
    return at.texts()


def test_headless_no_widget_is_made_or_imported(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/else.ipynb")
    project.forked = False  # what is imported is asked of a kernel that began with nothing
    look = "import sys\nprint([m for m in sys.modules if 'widgets' in m and 'opslib' not in m])"
    record = project.run("alone", "from opslib import connect\nops = connect(target)", look)
    kept = text_of(record.path)
    assert "[]\\n" in kept
    assert WIDGET not in kept


@pytest.mark.slow
def test_headless_a_plan_is_previewed_at_once(lab: PracticeLab, records_folder: Path) -> None:
    record = ran("functions/rollback", TARGET, {"watch_seconds": "0"})
    assert record.outcome == "previewed"
    assert WIDGET not in text_of(record.path)


def test_where_a_second_person_is_wanted_the_line_to_send_is_told(
    lab: PracticeLab, records_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ops = connect(TARGET)
    policy = dataclasses.replace(ops.target.policy, second_person=True)
    ops.target = dataclasses.replace(ops.target, policy=policy)
    plan = functions.plan_rollback(ops, "api")
    assert asyncio.run(approving.ask(ops, plan)) == ("", "")
    assert f"opslib run changes/approve -t {TARGET} -p plan={plan.id}" in capsys.readouterr().out


def test_a_plan_that_is_too_old_is_not_asked_about(
    lab: PracticeLab, records_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ops = connect(TARGET)
    plan = functions.plan_rollback(ops, "api")
    plan.made -= timedelta(minutes=ops.target.policy.plan_minutes)
    assert asyncio.run(approving.ask(ops, plan)) == ("", "")
    assert "too old to be applied: run its cell again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("session", "kept", "switch", "live"),
    [
        ("/a/b.ipynb", False, "", True),
        ("/a/b.ipynb", True, "", False),
        ("/a/b.ipynb", False, "0", False),
        ("", False, "", False),
        ("", True, "1", True),
    ],
)
def test_somebody_is_there_where_jupyter_says_so(
    monkeypatch: pytest.MonkeyPatch, session: str, kept: bool, switch: str, live: bool
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    monkeypatch.setenv(presence.SWITCH, switch)
    monkeypatch.setenv("OPSLIB_DESK", str(os.getpid()))
    assert presence.is_live(kept) == live


def test_what_a_kernel_with_somebody_starts_is_headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/a/b.ipynb")
    monkeypatch.setenv("OPSLIB_DESK", "1")
    assert not presence.is_live(False)


def test_an_error_of_ours_is_its_sentence_and_the_way_to_it_is_folded(project: Project) -> None:
    record = project.run(
        "wrong",
        "from opslib import NotFound, connect\nops = connect(target)",
        "raise NotFound('No <x>. Next')",
    )
    (cell,) = (
        c
        for c in nbformat.read(record.path, as_version=4)["cells"]
        if c["source"].startswith("raise")
    )
    folded, error = cell["outputs"]
    assert "<details><summary>the way to this error" in folded["data"]["text/html"]
    assert len(error["traceback"]) == 1
    assert error["traceback"][0].endswith("NotFound\x1b[0m: No <x>. Next")
    assert "No &lt;x&gt;" in record.page.read_text()
