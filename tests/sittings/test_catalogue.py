"""In JupyterLab nobody changes a procedure; what is worked in can be saved."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tornado.web import HTTPError

from opslib.core import paths
from opslib.records import records
from opslib.records.sittings import cells
from opslib.records.sittings.hearing import WIDGET
from opslib.sittings.contents import Contents

NAME = "notebooks/tests/looked-at.ipynb"


def _manager(home: Path, **more: Any) -> Contents:
    (home / "notebooks" / "tests").mkdir(parents=True)
    (home / "records" / "sittings").mkdir(parents=True)
    cell = {"cell_type": "code", "id": "one", "metadata": {}, "source": "1", "outputs": []}
    whole = {"cells": [cell | {"execution_count": None}], "metadata": {}}
    text = json.dumps(whole | {"nbformat": 4, "nbformat_minor": 5})
    (home / NAME).write_text(text)
    (home / "records" / "sittings" / "x.ipynb").write_text(text)
    return Contents(root_dir=str(home), **more)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    return tmp_path


def test_the_catalogue_is_shown_and_not_changed(home: Path) -> None:
    manager: Any = _manager(home)
    before = (home / NAME).read_text()
    model = asyncio.run(manager.get(NAME))
    assert model["writable"] is False
    changes: list[Any] = [
        lambda: manager.save(model, NAME),
        lambda: manager.save(model, "notebooks/tests/new.ipynb"),
        lambda: manager.save(model, "records/../notebooks/tests/new.ipynb"),
        lambda: manager.delete_file(NAME),
        lambda: manager.rename_file(NAME, "mine.ipynb"),
        lambda: manager.rename_file("records/sittings/x.ipynb", "notebooks/x.ipynb"),
        lambda: manager.copy(NAME, "notebooks/tests"),
    ]
    for change in changes:
        with pytest.raises(HTTPError) as refused:
            asyncio.run(change())
        assert refused.value.status_code in (403, 404)
    assert "opslib open NAME -t TARGET" in refused.value.log_message
    assert (home / NAME).read_text() == before
    assert sorted(path.name for path in paths.notebooks().rglob("*.ipynb")) == ["looked-at.ipynb"]


def test_a_record_is_shown_and_stays_as_it_was_sealed(home: Path) -> None:
    manager: Any = _manager(home)
    sealed = home / "records" / records.place("20260101T000000Z-aaaaaa")
    sealed.parent.mkdir(parents=True)
    sealed.write_text((home / NAME).read_text())
    before, path = sealed.read_text(), sealed.relative_to(home).as_posix()
    model = asyncio.run(manager.get(path))
    assert model["writable"] is False  # so JupyterLab does not save it by itself
    changes: list[Any] = [
        lambda: manager.save(model, path),
        lambda: manager.save(model, "records/incidents/inc-1/events/1.json"),
        lambda: manager.delete_file("records/2026"),
        lambda: manager.rename_file("records", "old"),
        lambda: manager.rename_file(path, "mine.ipynb"),
    ]
    for change in changes:
        with pytest.raises(HTTPError, match="opslib open NAME -t TARGET"):
            asyncio.run(change())
    assert sealed.read_text() == before
    assert asyncio.run(manager.list_checkpoints(path)) == []
    asyncio.run(manager.copy(path, ""))  # and there it can be written on
    assert asyncio.run(manager.get(sealed.name))["writable"]
    written_on = home / "records" / "incidents" / "inc-1" / "post-mortem.ipynb"
    written_on.parent.mkdir(parents=True)
    asyncio.run(manager.save(model, written_on.relative_to(home).as_posix()))


def test_a_sitting_is_saved(home: Path) -> None:
    manager = _manager(home)
    model = asyncio.run(manager.get("records/sittings/x.ipynb"))
    assert model["writable"]
    model["content"]["cells"][0]["source"] = "2"
    shown = {"application/javascript": "only", WIDGET: "while", "text/html": "it stays"}
    out = {"output_type": "display_data", "metadata": {}, "data": shown}
    model["content"]["cells"][0]["outputs"] = [out]
    asyncio.run(manager.save(model, "records/sittings/x.ipynb"))
    kept = (home / "records" / "sittings" / "x.ipynb").read_text()
    assert '"2"' in kept
    assert "it stays" in kept
    assert not [word for word in ("only", "while", WIDGET) if word in kept]


def test_a_sitting_shows_what_was_run_while_its_page_was_away(home: Path) -> None:
    manager: Any = _manager(home)
    sitting, id = home / "records" / "sittings" / "x.ipynb", "20260101T000000Z-aaaaaa"
    sitting.rename(sitting.with_stem(id))
    asked = f"records/sittings/{id}.ipynb"
    (cell,) = asyncio.run(manager.get(asked))["content"]["cells"]
    for number, code in enumerate(["1", "1", "2"]):
        run = cells.new_run(number, "one", cell, code, count=number + 1)
        run["outputs"] = [nbformat.v4.new_output("stream", text=f"one in four, run {number}")]
        record = home / "records" / records.place(id)
        record.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=[run]), record)
        (shown,) = asyncio.run(manager.get(asked))["content"]["cells"]
        said = [each["text"] for each in shown["outputs"]]
        assert said == ([] if code == "2" else [f"one in four, run {number}"])
        assert sitting.with_stem(id).read_text().count("four") == 0


def test_who_writes_procedures_saves_them_without_outputs(home: Path) -> None:
    manager = _manager(home, editable=True)
    model = asyncio.run(manager.get(NAME))
    cell = model["content"]["cells"][0]
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "an account"}]
    cell["execution_count"] = 3
    asyncio.run(manager.save(model, NAME))
    assert "an account" not in (home / NAME).read_text()
