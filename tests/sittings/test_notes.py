"""Notes: of a run, of a sitting, and added to a record that is sealed."""

from __future__ import annotations

import pytest

from opslib import UsageError, note
from opslib.core import journal
from opslib.records import reading, verification
from tests.projects import TARGET, Project


@pytest.mark.slow
def test_a_run_keeps_the_note_of_who_runs_it(project: Project) -> None:
    project.procedure("looked", "# Operator's note below", "1")
    said = project.command("run", "tests/looked", "-t", TARGET, "--note", "users see 503")
    assert said.returncode == 0, said.stderr
    (record,) = reading.list_records()
    assert [n["text"] for n in reading.details(record)["notes"]] == ["users see 503"]
    assert "users see 503" in record.page.read_text()


def test_a_note_is_added_to_a_sealed_record_and_chained(project: Project) -> None:
    record = project.run("looked", "1")
    before = record.path.read_bytes()
    told = ("note", "it was the cache", "--kind", "ruled out", "--record", record.id[:20])
    said = project.command(*told)
    assert said.returncode == 0, said.stderr
    assert f"Kept with record {record.id}" in said.stdout
    (kept,) = reading.details(record)["notes"]
    assert (kept["kind"], kept["text"]) == ("ruled out", "it was the cache")
    assert record.path.read_bytes() == before
    assert verification.verify() == []


def test_a_note_that_nothing_keeps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "current", None)
    with pytest.raises(UsageError, match="Connect first"):
        note("I saw it")
    monkeypatch.setattr(journal, "current", journal.Journal())
    with pytest.raises(UsageError, match="Unknown kind of note 'guess'"):
        note("I saw it", kind="guess")
    with pytest.raises(UsageError, match="empty"):
        note(" ")
    assert "saw: <b>503</b>" in repr(note("<b>503</b>"))
    assert "<b>" not in note("<b>503</b>")._repr_html_()
