"""Old records' files go by a policy, and the chain stays whole and says so."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib.core import Refused, UsageError
from opslib.records import copies, index, reading
from opslib.records.chain import attached, rebuilding, retention
from opslib.records.records import Record
from opslib.records.texts import words
from tests.projects import JOURNAL, TARGET, Project
from tests.records.test_records import bucket
from tests.records.test_seals import problems, said

__all__ = ["bucket"]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As seen when two years have passed."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Clock:
            return cls.fromtimestamp((datetime.now(tz) + timedelta(days=730)).timestamp(), tz)

    monkeypatch.setattr(retention, "datetime", Clock)


YEAR = timedelta(days=365)


def three(project: Project) -> list[Record]:
    """The first with a spilled file, the last the newest."""
    return [project.run("quiet", f"print('line\\n' * {n})") for n in (100_000, 2, 3)]


@pytest.mark.slow
def test_old_files_go_and_the_chain_stays_whole(
    project: Project, later: None, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, newest = three(project)
    before, attachment = project.files(), project.home / "page.html"
    attachment.write_bytes(first.page.read_bytes())
    status, shown = said(capsys, "prune", "--older-than", "365d")
    assert status == 0
    assert "To be removed: 2 records, 5 files." in shown
    assert "spared: 1 record: one of the newest of its procedure on its target" in shown
    assert project.files() == before
    status, shown = said(capsys, "prune", "--older-than", "365d", "--apply")
    assert "Removed: 2 records, 5 files." in shown
    assert {path.stem for path in project.files() if path.suffix in (".ipynb", ".html")} == {
        newest.id
    }
    assert not first.path.with_suffix(".spill").exists()
    status, shown = said(capsys, "verify")
    assert status == 0
    assert "3 records, all as they were sealed." in shown
    assert "The files of 2 records were removed at" in shown
    assert "(older than 365 days, the newest 1 of each kept)" in shown
    assert attached.check(attachment).problem == ""
    with pytest.raises(UsageError, match="not kept any longer: opslib records prune removed it"):
        reading.details(second)
    assert [hit.record for hit in words.search(["quiet"]).found] == [newest]
    assert rebuilding.rebuild().searchable == 0
    assert retention.prune(YEAR, apply=True).go == []


@pytest.mark.slow
def test_records_of_incidents_and_what_is_young_are_spared(project: Project, later: None) -> None:
    first, second, _ = three(project)
    noon = {"event": "start", "target": "lab/other-staging", "ties": [second.id]}
    index.enter("incident", "inc-1", said=json.dumps(noon))
    spared = retention.prune(YEAR, keep=0).spared
    assert spared == {second.id: "an incident, or another entry of the chain, names it"}
    start = first.started.isoformat()
    index.enter("incident", "inc-2", said=json.dumps(noon | {"target": TARGET, "happened": start}))
    assert set(retention.prune(YEAR, keep=0).spared) == {r.id for r in reading.list_records()}
    with pytest.raises(Refused, match=r"7 days at least.*Nothing was removed"):
        retention.prune(timedelta(days=6), apply=True)


def test_sittings_with_changes_are_spared(project: Project, later: None) -> None:
    step = "journal.write('step', number=1, title='x', state='applied')"
    plan = "journal.write('plan', plan={'id': 'p', 'steps': [{'title': 'x'}]})"
    record = project.run("sits", JOURNAL, plan, "journal.write('applying', plan='p')", step)
    assert record.plan == "p"
    assert [r.id for r in retention.prune(YEAR, keep=0).go] == [record.id]
    was = copies.said
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "said", lambda name: was(name) | {"sitting": {"file": "x"}})
        assert retention.prune(YEAR, keep=0).spared == {record.id: "a sitting with changes"}


@pytest.mark.slow
def test_what_is_not_as_it_was_sealed_and_what_we_did_not_make_is_left(
    project: Project, later: None
) -> None:
    first, second, _ = three(project)
    second.path.write_text(second.path.read_text() + " ")
    stranger = first.path.with_suffix(".spill") / "mine.txt"
    stranger.write_text("somebody's")
    done = retention.prune(YEAR, keep=0, apply=True)
    assert second.id not in {each.id for each in done.go}
    assert second.path.exists()
    assert stranger.read_text() == "somebody's"
    assert not first.path.exists()
    assert f"{second.id}: its file" in problems()


@pytest.mark.slow
def test_a_removal_that_broke_off_is_no_loss_and_is_gone_on_with(
    project: Project, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = three(project)
    remove = copies.remove
    done: list[Path] = []

    def once(path: Path) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(path)
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(copies, "remove", once)
        with pytest.raises(KeyboardInterrupt):
            retention.prune(YEAR, keep=0, apply=True)
    assert problems() == ""
    retention.prune(YEAR, keep=0, apply=True)
    assert not first.path.exists()
    assert problems() == ""


@pytest.mark.slow
def test_records_in_s3_go_there(project: Project, bucket: str, later: None) -> None:
    from papermill.s3 import S3

    three(project)
    retention.prune(YEAR, apply=True)
    assert len([*S3().s3.Bucket(bucket).objects.all()]) == 2
    assert problems() == ""
