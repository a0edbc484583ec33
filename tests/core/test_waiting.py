"""Progress: one line that moves, of which a record keeps the last word."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import nbformat
import pytest

from opslib.core import Refused, waiting
from tests.projects import Project


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word of it is said."""
    monkeypatch.setattr(waiting, "pace", -1.0)


def test_what_ends_soon_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting.under_way() as tell:
        tell("1 of 1")
    assert capsys.readouterr() == ("", "")


def test_a_part_stands_beside_what_it_is_a_part_of(
    always: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with waiting.under_way() as tell:
        waiting.stays("1/2 Stop it")
        tell("step 1 of 2")
        states = iter(["stopping", "stopped"])
        waiting.poll(partial(next, states), "stopped".__eq__, 60, str, pause_seconds=0.01)
        tell("2 of 2 done")
    stays, moves = capsys.readouterr()
    said = moves.splitlines()
    assert stays == "1/2 Stop it\n"
    assert "step 1 of 2 · waiting: stopping (0 s)" in said
    assert said[-1] == "2 of 2 done (0 s)"


def test_reads_are_counted_and_what_a_thread_is_at_is_told(
    always: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def long() -> int:
        for _ in waiting.counted(range(3), "logs FilterLogEvents"):
            time.sleep(0.4)
        return 2

    with ThreadPoolExecutor() as pool:
        assert waiting.answers([pool.submit(long), pool.submit(int)]) == [2, 0]
    said = capsys.readouterr().err
    assert "1 of 2 read · logs FilterLogEvents: " in said
    assert said.splitlines()[-1].startswith("2 of 2 read (")


def test_the_first_error_is_raised_and_what_comes_after_begins_anew(always: None) -> None:
    def refuse() -> None:
        raise Refused("no")

    with ThreadPoolExecutor() as pool, pytest.raises(Refused, match="no"):
        waiting.answers([pool.submit(refuse)])
    with waiting.under_way() as tell:
        tell("anew")


def test_a_record_keeps_the_last_word_and_the_engine_hears_each(project: Project) -> None:
    look = (
        "from opslib.core import waiting\nwaiting.pace = -1.0\n"
        "with waiting.under_way() as tell:\n"
        "    waiting.stays('1/2 Stop it')\n    tell('step 1 of 2')\n    tell('2 of 2 done')"
    )
    record = project.run("long", "from opslib import connect\nops = connect(target)", look)
    cell = nbformat.read(record.path, as_version=4)["cells"][-1]
    (kept,) = (o["data"]["text/plain"] for o in cell["outputs"])
    assert kept == "1/2 Stop it\n2 of 2 done (0 s)"
