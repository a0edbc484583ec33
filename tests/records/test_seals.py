"""The seal covers what is attached: pages, spilled files, and the chain against a head outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from opslib.cli import commands
from opslib.core import OpsError, UsageError
from opslib.pages import pages
from opslib.records import files, index, reading, sealing, verification
from opslib.records.chain import attached
from opslib.records.records import Record
from tests.projects import TARGET, Project
from tests.records.test_records import make


@pytest.fixture(scope="module")
def kept_two(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that keeps two records with pages, the second with a spilled file."""
    with pytest.MonkeyPatch.context() as patch:
        project = Project(tmp_path_factory.mktemp("kept"), patch)
        project.run("short", "print('a')")
        project.run("talks", "print('line\\n' * 100_000)")
    return project


@pytest.fixture
def two(kept_two: Project, project: Project) -> list[Record]:
    """A copy of the two that is this test's own."""
    return project.keep_copy_of(kept_two)


def change(project: Project, *statements: str) -> None:
    with sqlite3.connect(project.records / "index.sqlite") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def problems(*heads: str) -> str:
    return "\n".join(f"{each.id}: {each.problem}" for each in verification.verify(heads))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status of `opslib records …`, and all that it prints."""
    with pytest.raises(SystemExit) as ended:
        commands.main(["records", *arguments])
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out + shown.err


@pytest.mark.slow
def test_records_with_pages_and_spills_verify(two: list[Record]) -> None:
    assert problems() == ""
    assert (two[1].path.with_suffix(".spill") / "cell-04.txt").exists()


def test_the_page_shows_the_hash_and_the_number_of_its_record(two: list[Record]) -> None:
    text = two[1].page.read_text()
    assert f"number 2 of the chain, sha256 of the record {files.sha256(two[1].path)}" in text
    assert '<p class="note">Not sealed.</p>' not in text


def spill(record: Record) -> Path:
    return record.path.with_suffix(".spill")


def altered(record: Record) -> None:
    record.page.write_text(record.page.read_text().replace("ok", "failed"))


def planted(place: Callable[[Record], Path]) -> Callable[[Record], None]:
    def plant(record: Record) -> None:
        place(record).parent.mkdir(parents=True, exist_ok=True)
        place(record).write_text("<p>All is well.</p>")

    return plant


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (altered, "its page .* was altered; make it again: opslib records page"),
        (lambda r: r.page.unlink(), "its page .* is missing"),
        (planted(lambda r: spill(r) / "cell-09.txt"), "cell-09.txt was added: the record does not"),
        (planted(lambda r: r.path.with_name("20261101T000000Z-aaaaaa.html")), "was added: no rec"),
        (planted(lambda r: r.path.with_name("20261101T000000Z-summary.html")), "was added: no rec"),
        (planted(lambda r: r.path.parents[2] / "elsewhere" / "deep" / "x.ipynb"), "was added: no"),
        (planted(lambda r: r.path.parents[2] / ".hidden.html"), "was added: no record names it"),
        (lambda r: shutil.rmtree(spill(r)), "cell-04.txt beside it is missing"),
        (
            lambda r: shutil.copy(r.path, r.path.with_name("20261101T000000Z-aaaaaa.ipynb")),
            "20261101T000000Z-aaaaaa.ipynb has no row in the index",
        ),
    ],
)
def test_what_was_altered_removed_or_added_beside_a_record_is_found(
    two: list[Record], harm: Callable[[Record], Any], found: str
) -> None:
    harm(two[1])
    assert re.search(found, problems())


def test_a_page_given_to_a_record_that_was_sealed_without_one_is_found(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = files.write_atomically

    def full(path: Path, *args: Any, **more: Any) -> None:
        if path.suffix == ".html":
            raise OSError(28, "full")
        write(path, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_atomically", full)
        record = project.run("short", "1")
    assert not record.page.exists()
    assert problems() == ""
    record.page.write_text("<p>All is well.</p>")
    assert "was added: it was sealed without one" in problems()
    sealing.make(record)
    assert problems() == ""


def test_swapped_files_and_rows_are_found(project: Project, two: list[Record]) -> None:
    first, second = two[0].path.read_bytes(), two[1].path.read_bytes()
    two[0].path.write_bytes(second)
    two[1].path.write_bytes(first)
    assert problems().count("was altered") >= 2
    two[0].path.write_bytes(first)
    two[1].path.write_bytes(second)
    a, b = (each.id for each in two)
    change(
        project,
        "UPDATE records SET id = 'x' WHERE seq = 1",
        f"UPDATE records SET id = '{a}' WHERE id = '{b}'",
        f"UPDATE records SET id = '{b}' WHERE id = 'x'",
    )
    assert f"{a}: its row in the index was altered" in problems()
    assert f"{b}: its row in the index was altered" in problems()


def test_a_row_that_is_chained_and_says_something_else_than_its_file_is_found(
    project: Project,
) -> None:
    record = project.run("short", "1")
    [row] = index.rows()
    row |= {"verdict": "All is well."}
    digest = index.row_hash(row)
    change(
        project,
        f"UPDATE records SET verdict = 'All is well.', hash = '{digest}'",
        f"UPDATE chain SET hash = '{digest}'",
    )
    assert problems() == f"{record.id}: its row and its file differ in verdict"


@pytest.mark.parametrize(
    "moved",
    [
        "UPDATE chain SET seq = 1, hash = (SELECT hash FROM records WHERE seq = 1)",
        "UPDATE chain SET seq = 9",
        "UPDATE chain SET hash = 'x'",
        "DELETE FROM chain",
    ],
)
def test_a_moved_head_is_found_and_put_back(
    project: Project, two: list[Record], moved: str
) -> None:
    change(project, moved)
    assert "(last): " in problems()
    from opslib.records.chain import rebuilding

    done = rebuilding.rebuild()
    assert (bool(done.head_before), done.entered) == (True, [])
    assert problems() == ""
    assert (
        f"the head of the chain was {done.head_before} and is its last row again"
        in verification.examine().notes[0]
    )


def unseal(project: Project, outcome: str) -> None:
    """The last row, as if it had never been sealed, and the head with it."""
    change(
        project,
        "UPDATE chain SET seq = 1, hash = (SELECT hash FROM records WHERE seq = 1)",
        f"UPDATE records SET seq = NULL, hash = NULL, previous = NULL, outcome = '{outcome}', "
        "pid = 1, pid_started = 'long ago' WHERE seq = 2",
    )


def test_a_last_row_that_was_unsealed_is_found(project: Project, two: list[Record]) -> None:
    unseal(project, "ok")
    assert f"{two[1].id}: its row is not sealed, though it ended (ok)" in problems()


def test_a_last_row_that_was_unsealed_and_is_sealed_again_is_told(
    project: Project, two: list[Record]
) -> None:
    unseal(project, "running")
    two[1].path.write_text(two[1].path.read_text().replace("All cells", "No cells"))
    assert reading.find(two[1].id).outcome == "ok"  # sealed again by what comes first
    assert f"{two[1].id}: it had been sealed, was found open, and was sealed again" in problems()


def test_a_run_killed_between_its_end_and_its_seal_is_sealed_late_and_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> bool:
        raise OpsError("gone")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(index, "seal", dies)
        with pytest.raises(OpsError, match="could not be sealed: gone"):
            project.run("short", "1")
    assert "Not sealed." in reading.list_records()[0].page.read_text()
    change(project, "UPDATE records SET pid_started = 'long ago'")
    with monkeypatch.context() as patched:  # who closes it is killed as well
        patched.setattr(index, "enter", killed)
        with pytest.raises(KeyboardInterrupt):
            verification.verify()
    change(project, "UPDATE records SET pid_started = 'long ago'")
    assert problems() == ""
    assert "its own process was gone" in verification.examine().notes[0]
    assert "Not sealed." not in reading.list_records()[0].page.read_text()


def test_a_head_kept_elsewhere_finds_a_removed_tail_and_an_older_copy(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run("short", "print('a')")
    first = verification.head()
    older = (project.records / "index.sqlite").read_bytes()
    record = project.run("short", "print('b')")
    status, printed = said(capsys, "head")
    kept = printed.strip()
    assert (status, kept.partition(":")[0]) == (0, "2")
    assert json.loads(said(capsys, "head", "--json")[1])["head"] == kept
    heads = project.home / "heads.txt"
    heads.write_text(f"# of November\n{first}  # Monday\n{kept}\n")
    assert said(capsys, "verify", "--head", str(heads), "--head", first)[0] == 0
    (project.records / "index.sqlite").write_bytes(older)
    record.path.unlink()
    record.page.unlink()
    status, printed = said(capsys, "verify")
    assert (status, f"head: {first}" in printed) == (0, True)
    status, printed = said(capsys, "verify", "--head", str(heads))
    assert status == 1
    assert f"the chain does not contain {kept}: its number 2 is not there" in " ".join(
        printed.split()
    )


@pytest.mark.parametrize("given", ["3", "3:abc", "0:" + "a" * 64, "nowhere.txt"])
def test_what_is_no_head_is_refused(two: list[Record], given: str) -> None:
    with pytest.raises(UsageError, match=r"no head of a chain|neither a head"):
        verification.verify([given])


def test_a_file_of_heads_without_one_compares_nothing_and_is_refused(
    project: Project, two: list[Record]
) -> None:
    (project.home / "empty").write_text("# none yet\n")
    with pytest.raises(UsageError, match="holds no head"):
        verification.verify([str(project.home / "empty")])


def test_a_page_made_again_by_another_opslib_is_chained(
    project: Project, two: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, sealed = verification.head(), project.home / "attached.html"
    shutil.copy(two[0].page, sealed)
    sealing.make(two[0])
    assert verification.head() == before
    render = pages.render
    monkeypatch.setattr(
        "opslib.records.sealing.render", lambda *given: render(*given) + "<!-- newer -->"
    )
    sealing.make(two[0])
    assert verification.head().startswith("3:")
    assert problems(before) == ""
    assert attached.check(sealed).problem == ""
    assert attached.check(two[0].page).what == "page, made again"
    shutil.copy(sealed, two[0].page)
    assert "its page" in problems()


def test_no_page_is_made_of_an_altered_record(two: list[Record]) -> None:
    two[0].path.write_text(two[0].path.read_text() + " ")
    with pytest.raises(OpsError, match="is not what was sealed, so no page is made of it"):
        sealing.make(two[0])


def test_a_file_from_a_post_mortem_is_checked_alone(
    project: Project, two: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    page, notebook = project.home / "incident.html", project.home / "incident.ipynb"
    shutil.copy(two[0].page, page)
    shutil.copy(two[1].path, notebook)
    status, printed = said(capsys, "verify", str(page), str(notebook))
    assert status == 0
    assert f"the page of record {two[0].id}, as it was sealed as number 1" in printed
    assert f"the notebook of record {two[1].id}, as it was sealed as number 2" in printed
    page.write_text(page.read_text().replace("ok", "failed"))
    [found] = json.loads(said(capsys, "verify", str(page), "--json")[1])
    assert (found["id"], found["number"]) == (two[0].id, 1)
    assert "was altered" in found["problem"]
    page.write_text("<p>All is well.</p>")
    assert said(capsys, "verify", str(page))[0] == 1
    assert said(capsys, "verify", str(project.home / "nowhere.html"))[0] == 2
    change(project, "UPDATE records SET verdict = 'x' WHERE seq = 1")
    assert "the chain itself is broken" in said(capsys, "verify", str(notebook))[1]


@pytest.mark.slow
def test_a_run_that_is_killed_has_a_sealed_page(project: Project) -> None:
    project.procedure("waits", "import time\nprint('so far')\ntime.sleep(60)")
    process = project.start("run", "tests/waits", "-t", TARGET)
    for _ in range(600):
        if [row for row in index.rows() if row["outcome"] == "running"]:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    [record] = reading.list_records()
    assert record.outcome == "interrupted"
    assert problems() == ""
    record.page.write_text("<p>All is well.</p>")
    assert "was altered" in problems()


def test_records_verify_while_others_are_sealed(project: Project) -> None:
    make(project, 0)
    with ThreadPoolExecutor(4) as pool:
        making = [pool.submit(make, project, minute) for minute in range(1, 40)]
        found = [verification.verify() for _ in range(8)]
    assert [each.result().outcome for each in making] == ["ok"] * 39
    assert [each for problems in found for each in problems if "chain" in each.problem] == []
    assert problems() == ""
