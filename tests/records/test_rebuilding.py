"""An index that was lost is noticed, and made again from the files of the records."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opslib.core import OpsError
from opslib.records import files, index, reading, verification
from opslib.records.chain import database, rebuilding
from opslib.records.records import Record
from tests.projects import TARGET, Project
from tests.records.test_records import bucket as shared_bucket
from tests.records.test_seals import problems, said

__all__ = ["shared_bucket"]


@pytest.fixture(scope="module")
def kept_two(tmp_path_factory: pytest.TempPathFactory) -> Project:
    with pytest.MonkeyPatch.context() as patch:
        project = Project(tmp_path_factory.mktemp("kept"), patch)
        for each in "ab":
            project.run("short", f"print({each!r})")
    return project


@pytest.fixture
def two(kept_two: Project, project: Project) -> list[Record]:
    return project.keep_copy_of(kept_two)


def gone(file: Path) -> None:
    file.unlink()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def overwritten(file: Path) -> None:
    file.write_bytes(b"no database " * 1000)


def torn(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def dropped(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        for table in ("records", "chain", "entries"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()


LOSSES = [gone, emptied, overwritten, torn, dropped]


@pytest.mark.some(3)
@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_index_is_an_error_that_says_how_it_is_made_again(
    project: Project,
    two: list[Record],
    capsys: pytest.CaptureFixture[str],
    lose: Callable[..., None],
) -> None:
    lose(project.records / "index.sqlite")
    for command in ([], ["--json"], ["verify"], ["show", two[0].id], ["head"], ["page", two[0].id]):
        status, printed = said(capsys, *command)
        assert (status, "No records." in printed) == (1, False), command
        assert "opslib records index --rebuild" in printed
    with pytest.raises(OpsError, match="index --rebuild"):
        project.run("short")


@pytest.mark.some(3)
@pytest.mark.parametrize("lose", LOSSES)
def test_a_lost_index_is_made_again_in_the_order_of_the_files(
    project: Project,
    two: list[Record],
    capsys: pytest.CaptureFixture[str],
    lose: Callable[..., None],
) -> None:
    before = verification.head()
    lose(project.records / "index.sqlite")
    status, printed = said(capsys, "index", "--rebuild")
    assert (status, "2 records entered" in printed) == (0, True)
    assert reading.list_records() == two[::-1]
    status, printed = said(capsys, "verify")
    assert (status, "2 records, all as they were sealed." in printed) == (0, True)
    assert "Index rebuilt at " in printed
    assert "What was before is proved only as far as number 0 of the chain" in printed
    assert "the chain does not contain" in problems(before)
    status, printed = said(capsys, "index", "--rebuild")
    assert (status, "Nothing to do: every record has its row." in printed) == (0, True)
    project.run("short", "print('c')")
    assert problems() == ""


def test_a_damaged_index_is_kept_beside_the_new_one(project: Project, two: list[Record]) -> None:
    overwritten(project.records / "index.sqlite")
    aside = rebuilding.rebuild().set_aside
    assert (project.records / aside).read_bytes().startswith(b"no database")
    assert problems() == ""
    assert aside in verification.examine().notes[-1]


def test_a_locked_index_is_said_to_be_locked_and_is_not_made_again(
    project: Project, two: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    holder = connect(project.records / "index.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k | {"timeout": 0.1}))
    with pytest.raises(OpsError, match=r"be opened: database is locked\. Nothing was changed"):
        rebuilding.rebuild()
    holder.close()
    assert problems() == ""


def test_an_older_copy_of_the_index_gets_what_came_after_it(
    project: Project, two: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    older = (project.records / "index.sqlite").read_bytes()
    third = project.run("short", "print('c')")
    (project.records / "index.sqlite").write_bytes(older)
    status, printed = said(capsys)
    assert (status, "1 files of records have no row in the index" in printed) == (1, True)
    assert f"{third.id}: 2026/11/{third.id}.ipynb".split("2026")[0] in problems()
    assert rebuilding.rebuild().entered == [third.id]
    assert problems() == ""
    assert "only as far as number 2 of the chain" in verification.examine().notes[0]


def test_what_cannot_be_read_is_told_and_not_entered(
    project: Project, two: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    (project.records / "index.sqlite").unlink()
    two[0].path.write_text("{")
    copied = two[1].path.with_name("20261101T000000Z-aaaaaa.ipynb")
    shutil.copy(two[1].path, copied)
    status, printed = said(capsys, "index", "--rebuild", "--json")
    done = json.loads(printed)
    assert (status, done["entered"]) == (1, [two[1].id])
    assert set(done["left"]) == {
        path.relative_to(project.records).as_posix() for path in (two[0].path, copied)
    }
    assert done["left"][copied.relative_to(project.records).as_posix()].endswith(two[1].id)
    assert "has no row in the index" in problems()


def test_a_page_that_was_made_of_another_file_is_a_doubt(
    project: Project, two: list[Record]
) -> None:
    (project.records / "index.sqlite").unlink()
    two[0].path.write_text(two[0].path.read_text() + " ")
    assert rebuilding.rebuild().doubts == {
        two[0].id: "its page was made of another file, so one of the two was altered"
    }
    assert two[0].id in verification.examine().notes[0]


def test_rebuilds_at_the_same_time_enter_each_record_once(
    project: Project, two: list[Record]
) -> None:
    overwritten(project.records / "index.sqlite")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: rebuilding.rebuild(), range(4)))
    assert sorted(len(each.entered) for each in done) == [0, 0, 0, 2]
    assert len(reading.list_records()) == 2
    assert problems() == ""


@pytest.mark.slow
def test_a_run_under_way_when_the_index_is_made_again_ends_as_it_should(project: Project) -> None:
    here = str(project.records / "index.sqlite")
    record = project.run(
        "loses",
        f"import os, pathlib, subprocess, sys\nos.unlink({here!r})",
        "import time; time.sleep(1.5)  # so that what is on the disk is saved",
        "subprocess.run([sys.executable, '-m', 'opslib', 'records', 'index', '--rebuild'])",
    )
    assert record.outcome == "ok"
    assert problems() == ""


def test_a_run_that_was_killed_before_the_index_was_lost_is_closed(project: Project) -> None:
    done = project.run("short", "1")
    (project.records / "index.sqlite").unlink()
    file = json.loads(done.path.read_text())
    file["metadata"]["opslib"] |= {"ended": None, "outcome": "running"}
    done.path.write_text(json.dumps(file))
    done.page.unlink()
    assert rebuilding.rebuild().running == [done.id]
    assert reading.find(done.id).outcome == "running"  # perhaps it still is
    index.update(done.id, heartbeat="2026-11-01T00:00:00+00:00")
    assert reading.find(done.id).outcome == "interrupted"
    assert problems() == ""


@pytest.mark.slow
def test_the_first_run_of_all_needs_no_index(project: Project) -> None:
    project.procedure("hello", "print('hello')")
    processes = [project.start("run", "tests/hello", "-t", TARGET) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=300)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert problems() == ""


def test_an_index_of_before_gets_the_new_column_and_pages_can_be_sealed(
    records_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(Path(__file__).parents[1] / "pins" / "kept", records_folder)
    assert problems() == ""
    record = reading.list_records()[0]
    record.page.write_text("<p>Made before pages were sealed.</p>")
    assert "1 pages were made before pages were sealed" in verification.examine().notes[0]
    status, printed = said(capsys, "verify", str(record.page))
    assert (status, "nothing proves the page" in printed) == (1, True)
    assert said(capsys, "page", record.id)[0] == 0
    assert verification.examine().notes == []
    assert said(capsys, "verify", str(record.page))[0] == 0
    record.page.write_text("<p>All is well.</p>")
    assert "was altered" in problems()


@pytest.fixture
def bucket(shared_bucket: str) -> Iterator[str]:
    """Empty again afterwards: moto's servers of one process share what they hold."""
    from papermill.s3 import S3

    yield shared_bucket
    S3().s3.Bucket(shared_bucket).objects.all().delete()


@pytest.mark.slow
def test_in_s3_a_lost_index_is_noticed_and_made_again_and_pages_are_covered(
    project: Project, bucket: str
) -> None:
    from papermill.s3 import S3

    record = project.run("talks", "print('line\\n' * 100_000)")
    kept = S3().s3.Bucket(bucket)
    shutil.rmtree(project.records)
    with pytest.raises(OpsError, match=rf"is lost: .*s3://{bucket}/records"):
        reading.list_records()
    assert rebuilding.rebuild().entered == [record.id]
    assert problems() == ""
    beside = f"records/2026/{record.path.parent.name}/{record.id}"
    kept.Object(f"{beside}.spill/cell-09.txt").put(Body=b"planted")
    kept.Object(f"{beside}.html").put(Body=b"<p>All is well.</p>")
    kept.Object("records/elsewhere/x.html").put(Body=b"<p>All is well.</p>")
    found = problems()
    assert "cell-09.txt was added" in found
    assert f"{record.id}.html was altered" in found
    assert "elsewhere/x.html was added" in found


def test_a_month_behind_a_link_is_looked_into_and_other_links_are_named(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "records", tmp_path / "elsewhere"
    for folder in (place / "2026", elsewhere):
        folder.mkdir(parents=True)
    (elsewhere / "x.html").write_text("")
    os.symlink(elsewhere, place / "2026" / "11")
    os.symlink(tmp_path, place / "2026" / "back")
    os.symlink(place, place / "2027")
    assert files.names(place) == ["2026/11/x.html", "2026/back"]


@pytest.fixture(autouse=True)
def fresh_engines() -> Iterator[None]:
    yield
    database._engine.cache_clear()
