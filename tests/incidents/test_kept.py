"""Events lie beside the records: an index that is lost has its incidents again; pruning spares."""

from __future__ import annotations

import json
import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib.core import OpsError
from opslib.incidents import incidents
from opslib.records import verification
from opslib.records.chain import database, rebuilding, retention
from tests.incidents.test_events import OTHER, started
from tests.projects import Project
from tests.records.test_records import bucket
from tests.records.test_retention import later

__all__ = ["bucket", "later"]
YEAR = timedelta(days=365)


def lost() -> rebuilding.Rebuilt:
    """The index is lost, and made again."""
    index = database.file()
    assert index is not None
    index.unlink()
    return rebuilding.rebuild()


def files(project: Project) -> list[Path]:
    return sorted((project.records / "incidents").rglob("*.json"))


def said(incident: incidents.Incident) -> list[dict[str, Any]]:
    """Its events, whatever their numbers in a chain are."""
    return [vars(event) | {"number": 0} for event in incident.events]


def an_incident(project: Project) -> list[incidents.Incident]:
    """One that was ended, and one of another target that is open."""
    found = started(began="5m")
    project.run("looked", "1")
    incidents.note("it is the pool", "think", at="3m")
    incidents.write("end")
    started(target=OTHER)
    return [incidents.find(found.id), incidents.find(target=OTHER)]


def test_a_lost_index_has_its_incidents_again_as_they_were_said(project: Project) -> None:
    before = an_incident(project)
    done = lost()
    assert (done.events, len(done.entered), done.left, done.doubts) == (5, 1, {}, {})
    for was in before:
        now = incidents.find(was.id)
        assert said(now) == said(was)
        assert incidents.tied(now) == incidents.tied(was)
    assert verification.verify() == []
    assert "5 events of incidents, too" in " ".join(verification.examine().notes)
    assert rebuilding.rebuild().events == 0
    incidents.note("and so it goes on", incident=before[1].id)
    assert lost().events == 6
    assert started(another=True).id not in {each.id for each in before}


def test_an_event_that_was_altered_is_left_and_one_that_is_missing_is_told(
    project: Project,
) -> None:
    an_incident(project)
    start, *_, note, _ = sorted(
        (p for p in files(project) if "-1/" in p.as_posix()), key=lambda p: p.name
    )
    entry = json.loads(note.read_text())
    note.write_text(json.dumps(entry | {"said": entry["said"].replace("pool", "disk")}))
    done = lost()
    assert list(done.left) == [note.relative_to(project.records).as_posix()]
    assert "altered" in done.left[note.relative_to(project.records).as_posix()]
    assert not [e for i in incidents.every() for e in i.events if e.what == "note"]
    start.unlink()
    assert "the event before it is lost" in " ".join(lost().doubts.values())


@pytest.mark.slow
def test_in_s3_a_machine_that_is_lost_takes_no_event_with_it(project: Project, bucket: str) -> None:
    before = an_incident(project)
    shutil.rmtree(project.records)
    done = rebuilding.rebuild()
    assert (done.events, done.left, done.doubts) == (5, {}, {})
    for was in before:
        assert said(incidents.find(was.id)) == said(was)
    assert verification.verify() == []


def test_incidents_alone_make_a_lost_index_known(project: Project) -> None:
    started()
    assert incidents.every(only_open=True)
    index = database.file()
    assert index is not None
    index.unlink()
    with pytest.raises(OpsError, match="is lost"):
        started(another=True)
    rebuilding.rebuild()
    assert incidents.every(only_open=True)


def test_an_event_that_cannot_be_put_beside_is_kept_and_put_there_by_the_next(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = started()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr("opslib.records.files.write_atomically", full)
        incidents.note("still writes")
    assert [e.what for e in incidents.find(found.id).events] == ["start", "note"]
    assert len(files(project)) == 1
    incidents.note("and this")
    assert len(files(project)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("is_lost", [False, True], ids=["as it was", "made again"])
def test_pruning_spares_what_two_incidents_share_and_what_an_open_one_has(
    project: Project, later: None, is_lost: bool
) -> None:
    alone = project.run("quiet", "print(0)")
    time.sleep(1)  # an incident begins with its second
    first = started()
    ours = project.run("quiet", "print(1)")
    second = started(another=True)
    both = project.run("quiet", "print(2)")
    incidents.untie(both.id, first.id)  # it is the other one's
    incidents.write("end", first.id)
    still = project.run("quiet", "print(3)")  # the second is open
    if is_lost:
        lost()
    kept = files(project)
    found = retention.prune(YEAR, keep=0, apply=True)
    assert [record.id for record in found.go] == [alone.id]
    assert set(found.spared) == {ours.id, both.id, still.id}
    assert files(project) == kept
    assert verification.verify() == []
    incidents.write("end", second.id)
    assert retention.prune(YEAR, keep=0).go == []
    incidents.reopen("it is back", second.id)
    again = project.run("quiet", "print(4)")
    assert again.id in retention.prune(YEAR, keep=0).spared
    incidents.untie(again.id, second.id)
    assert {r.id for r in incidents.tied(incidents.find(second.id))} == {both.id, still.id}
