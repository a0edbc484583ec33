"""The door: where nobody works it says what to type; where somebody does it searches and opens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opslib.catalogue import contents, procedures, seen
from opslib.desk.doors import door

REAL = "bluemoxon-production"


@pytest.fixture
def seeking(records_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The door as widgets. What it shows is asked of the widgets, as a browser does."""
    monkeypatch.setenv("OPSLIB_WIDGETS", "1")
    from opslib.desk.seeking import Seeking

    return Seeking


def _all(widget: Any) -> list[Any]:
    return [widget, *(each for child in getattr(widget, "children", ()) for each in _all(child))]


def _buttons(shown: Any) -> dict[str, Any]:
    """What can be clicked on, by its words."""
    hidden = {id(b) for w in _all(shown) if w.layout.display == "none" for b in _all(w)}
    every = (w for w in _all(shown) if type(w).__name__ == "Button" and id(w) not in hidden)
    return {button.description: button for button in every}


def _field(shown: Any, kind: str) -> Any:
    return next(each for each in _all(shown) if type(each).__name__ == kind)


def test_where_nobody_works_it_is_lines_to_type_and_imports_no_widgets() -> None:
    code = (
        "import sys; from opslib.desk.doors import door; shown = door()._repr_mimebundle_(); "
        "print(sorted(shown), 'ipywidgets' in sys.modules, shown['text/plain'])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("['text/html', 'text/plain'] False opslib find")


@pytest.mark.parametrize(
    ("name", "overruled", "kind"), [("x.ipynb", "", True), ("", "1", True), ("x.ipynb", "0", False)]
)
def test_widgets_are_shown_in_jupyterlab_or_as_told(
    name: str, overruled: str, kind: bool, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", name)
    monkeypatch.setenv("OPSLIB_WIDGETS", overruled)
    shown = door()._repr_mimebundle_()
    assert ("application/vnd.jupyter.widget-view+json" in shown) == kind
    assert {"text/plain", "text/html"} <= shown.keys()


def test_hits_come_as_one_types_and_a_click_opens_a_sitting(
    seeking: Any, records_folder: Path
) -> None:
    shown = seeking().shown
    _field(shown, "Text").value = "messages in the dead let"
    assert "Dead-letter queues, by cause" in _buttons(shown)
    assert "I do not know yet: a first look" in _buttons(shown)
    _buttons(shown)["security"].click()
    assert "Dead-letter queues, by cause" not in _buttons(shown)
    assert "Who did that, and was it one of us" in _buttons(shown)
    _buttons(shown)["I do not know yet: a first look"].click()
    (opened,) = (records_folder / "sittings").glob("*.ipynb")
    said = json.loads(opened.read_text())["metadata"]["opslib"]["sitting"]
    assert said["name"] == "reports/triage"
    assert said["target"] == _field(shown, "Dropdown").value


def test_a_click_that_is_heard_late_opens_what_was_clicked_on(
    seeking: Any, records_folder: Path
) -> None:
    shown = seeking().shown
    _field(shown, "Text").value = "messages in the dead let"
    clicked = _buttons(shown)["Dead-letter queues, by cause"]
    _field(shown, "Text").value = "silence an alarm"
    clicked.click()
    (opened,) = (records_folder / "sittings").glob("*.ipynb")
    said = json.loads(opened.read_text())["metadata"]["opslib"]["sitting"]
    assert said["name"].endswith("/dead-letters")


def test_production_is_marked_and_the_target_remembered_as_it_was(seeking: Any) -> None:
    shown = seeking().shown
    picker = _field(shown, "Dropdown")
    assert picker.value.startswith("lab/")
    picker.value = REAL
    assert any("PRODUCTION" in each.value for each in _all(shown) if type(each).__name__ == "HTML")
    assert _field(seeking().shown, "Dropdown").value.startswith("lab/")  # looked at, not opened
    _buttons(shown)["I do not know yet: a first look"].click()
    assert _field(seeking().shown, "Dropdown").value == REAL


def test_what_has_to_be_said_is_asked_for_before_anything_is_opened(
    seeking: Any, records_folder: Path
) -> None:
    shown = seeking().shown
    _field(shown, "Dropdown").value = REAL
    _field(shown, "Text").value = "silence an alarm"
    _buttons(shown)["Silence an alarm for a while, or lift it"].click()
    assert not [*(records_folder / "sittings").glob("*.ipynb")]
    asked = {each.description: each for each in _all(shown) if type(each).__name__ == "Text"}
    asked["alarm"].value, asked["reason"].value = "bluemoxon-production-api-errors", "being mended"
    _buttons(shown)["Open alarms/silence"].click()
    (opened,) = (records_folder / "sittings").glob("*.ipynb")
    assert "being mended" in opened.read_text()


def test_each_procedure_is_in_a_group_and_each_pattern_helps() -> None:
    known = procedures.list_procedures()
    groups = seen.grouped(known)
    assert {p.name for group in groups for p in group.procedures} == {p.name for p in known}
    assert all(group.procedures for group in groups)
    written = json.loads(contents.door())["cells"]
    assert [cell["cell_type"] for cell in written[:3]] == ["markdown", "code", "markdown"]
    # below what it runs: to run all would scroll to the end of the tables
    assert 'linker-command="notebook:run-all-above">Search<' in "".join(written[2]["source"])
    assert all(f"### {group.title}\n" in written[3]["source"] for group in groups)
