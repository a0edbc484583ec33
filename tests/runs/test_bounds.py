"""Whatever a cell prints or shows, the run goes on, and its record stays of a size to be read."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from nbformat import from_dict, v4

from opslib.records import outputs, sealing
from opslib.records.outputs import SPILL, Outputs
from tests.projects import JOURNAL, TARGET, Project

LIMIT = 20_000_000
SECRET = "Corr3ct-h0rse-battery"


def stream(text: str) -> Any:
    return v4.new_output("stream", name="stdout", text=text)


def shown(**data: str) -> Any:
    return v4.new_output("display_data", {k.replace("_", "/", 1): v for k, v in data.items()})


PICTURE = base64.b64encode(os.urandom(1_000_000)).decode()
FLOODS = {
    "many small ones": [shown(text_plain="x")] * 5_000,
    "lines": [stream("line of a log\n" * 5_000)] * 300,
    "one long line": [stream("x" * 1_000_000)] * 20,
    "pictures": [shown(image_png=PICTURE)] * 60,
    "one large picture": [shown(image_png="A" * 12_000_000)],
    "no picture at all": [shown(image_png="not base64 " * 1_000_000)],
    "tables": [shown(text_html="<table>" * 20_000, text_plain="t" * 90_000)] * 100,
    "control characters": [stream("\x00\x1b" * 100_000)] * 20,
    "emoji": [stream("\U0001f600" * 100_000)] * 20,
    "errors": [v4.new_output("error", ename="E", evalue="e" * 10**6, traceback=["t" * 10**5] * 99)]
    * 20,
    "metadata": [v4.new_output("display_data", {}, metadata={"m": "x" * 100_000})] * 400,
}


@pytest.mark.some(11)
@pytest.mark.parametrize("flood", FLOODS)
def test_a_record_is_bounded_whatever_is_shown(flood: str, tmp_path: Path) -> None:
    kept = Outputs(tmp_path / "x.spill")
    cells = [v4.new_code_cell("") for _ in range(2)]
    for index, cell in enumerate(cells):
        for out in FLOODS[flood]:
            cell.outputs.append(from_dict(dict(out)))
            kept.take(cell.outputs, index)
        kept.finish(cell, index)
    text = json.dumps(v4.new_notebook(cells=cells), ensure_ascii=False)
    assert len(text.encode(errors="replace")) < LIMIT
    kept.save(everything=True)
    assert sum(map(len, (part for parts in kept._beside.values() for part in parts))) <= SPILL
    named = {place for place in (tmp_path / "x.spill").glob("*") if f"x.spill/{place.name}" in text}
    assert named == set((tmp_path / "x.spill").glob("*"))
    assert "not kept" in text or "x.spill/" in text or len(text) > 1000


@pytest.mark.slow
def test_a_file_that_could_not_be_written_is_told_not_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_RECORDS", str(tmp_path))
    cell = v4.new_code_cell("")
    facts = {"id": "20260101T000000Z-abcdef", "parameters": {}}
    draft = sealing.Draft(v4.new_notebook(cells=[cell]), facts)
    cell.outputs.append(stream("a line\n" * 100_000))
    draft.outputs.take(cell.outputs, 0)
    draft.outputs.finish(cell, 0)
    draft.begin()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs, "write_atomically", full)
    assert isinstance(draft.finish(), OSError)
    said = draft.notebook["cells"][0]["outputs"][-1]["text"]
    assert "not kept: " in said
    assert ".spill/" not in said
    assert draft.facts["spilled"] == []


@pytest.mark.slow
def test_three_thousand_cleared_outputs_end_no_run(project: Project) -> None:
    code = (
        "from IPython.display import clear_output\n"
        "for i in range(3000):\n    clear_output()\n    print(i)"
    )
    record = project.run("clear", code, "print('after')")
    assert record.outcome == "ok", record.verdict
    assert project.text(record) == "2999\nafter\n"


@pytest.mark.slow
def test_an_answer_of_thirty_megabytes_ends_no_run(project: Project) -> None:
    record = project.run("big", "print('x' * 30_000_000)", "print('after')")
    assert record.outcome == "ok", record.verdict
    assert project.text(record).endswith("after\n")
    assert "more were not kept" in project.text(record)
    assert sum(path.stat().st_size for path in project.files()) < LIMIT


@pytest.mark.some(2)
@pytest.mark.parametrize("forked", [False, True])
def test_a_subprocess_speaks_in_the_record_and_masked(
    project: Project,
    forked: bool,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, ipykernel does not listen
    project.forked = forked
    code = (
        f"{JOURNAL}\nfrom opslib.core import redaction\n"
        f"journal.write('secret', value={SECRET!r}, label='db')\n"
        "import os, sys, time\n"
        "os.system('echo said $((40+2)) ' + " + repr(SECRET) + ")\n"
        "os.system('echo told >&2')\n"
        "time.sleep(0.3)"
    )
    record = project.run("speaks", code)
    assert "said 42" in project.text(record)
    assert "told" in project.text(record)
    assert SECRET not in record.path.read_text()
    console = "".join(capfd.readouterr())
    assert "said 42" not in console
    assert SECRET not in console


@pytest.mark.slow
def test_a_subprocess_does_not_break_json(project: Project) -> None:
    project.procedure("speaks", "import os\nos.system('echo {; echo } >&2')")
    done = project.command("run", "tests/speaks", "-t", TARGET, "--json")
    assert json.loads(done.stdout)["outcome"] == "ok"


def test_what_a_dying_kernel_said_is_in_the_record(project: Project) -> None:
    code = "import os\nos.write(2, b'out of luck\\n')\nimport time; time.sleep(0.5); os._exit(3)"
    record = project.run("dies", code)
    assert record.outcome == "kernel died"
    assert "out of luck" in project.text(record)
