"""A batch by workers that are processes of their own: nothing is lost, nothing doubled."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import psutil
import pytest

from opslib.cli import runs as shown
from opslib.core import OpsError, UsageError
from opslib.records import facts, index, reading, records, sealing, verification
from opslib.runs import runs
from opslib.runs.batches import taking
from opslib.runs.batches.items import Item
from tests.clusters import Cluster
from tests.projects import Project
from tests.records.test_records import bucket, postgres
from tests.waiting import SECONDS, until

__all__ = ["bucket", "postgres"]
pytest.importorskip("distributed")
TARGETS = [f"lab/bluemoxon-{name}" for name in ("a", "b", "c", "d", "e", "f")]
BEGINS = """import os, pathlib, time
home = pathlib.Path({home!r})
with (home / f"began-{{target.rpartition('-')[2]}}").open("a") as file:
    file.write(f"{{os.getpid()}} ")
print("so far")"""
WAITS = """while not (home / "go").exists():
    time.sleep(0.1)"""


@pytest.fixture
def shared(
    project: Project, bucket: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """Six targets and a procedure that waits; records in S3, their index in PostgreSQL."""
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    monkeypatch.setenv("OPSLIB_INDEX", postgres)
    folder = project.home / "parameters" / "targets"
    one = (folder / "bluemoxon-staging.yaml").read_text()
    for path in folder.glob("*.yaml"):
        path.unlink()
    for target in TARGETS:
        name = target.removeprefix("lab/")
        described = one.replace("staging", name.rpartition("-")[2])
        (folder / f"{name}.yaml").write_text(described)
    project.procedure("looks", BEGINS.format(home=str(project.home)), WAITS)
    return project


@pytest.fixture
def cluster(shared: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.end()


def elsewhere(home: Path) -> dict[str, str]:
    """A checkout of its own, as another machine has."""
    there = home.with_name(f"{home.name}-elsewhere")
    shutil.copytree(home, there, ignore=shutil.ignore_patterns("records"))
    return {"OPSLIB_HOME": str(there)}


def begun(project: Project) -> dict[str, list[str]]:
    return {file.name[-1]: file.read_text().split() for file in project.home.glob("began-*")}


def ask(project: Project, cluster: Cluster, *more: str) -> subprocess.Popen[str]:
    words = ("run", "tests/looks", "-t", "lab/*", "--executor", cluster.address)
    return project.start(*words, *more)


@pytest.mark.slow
def test_a_killed_worker_loses_no_report_and_doubles_none(
    shared: Project, cluster: Cluster
) -> None:
    workers = [cluster.worker(), cluster.worker(elsewhere(shared.home))]
    cluster.wait_for(2)
    asked = ask(shared, cluster)
    until(lambda: len(begun(shared)) == 4)
    kernels = {str(child.pid) for child in psutil.Process(workers[0].pid).children(recursive=True)}
    workers[0].send_signal(signal.SIGKILL)
    until(lambda: sum(map(len, begun(shared).values())) >= 4)
    (shared.home / "go").touch()
    said, told = asked.communicate(timeout=SECONDS)
    assert asked.returncode == 0, told

    kept = reading.list_records()
    good = {record.target: record for record in kept if record.outcome == "ok"}
    cut_off = [record for record in kept if record.outcome != "ok"]
    assert sorted(good) == TARGETS
    assert len(kept) == len(TARGETS) + 2
    assert {record.outcome for record in cut_off} == {"interrupted"}
    lost = {target for target in TARGETS if kernels & {*begun(shared)[target[-1]]}}
    assert {record.target for record in cut_off} == lost
    for record in cut_off:
        again = reading.details(good[record.target])["batch"]
        assert again["instead_of"] == [record.id]
        assert f"again:   {record.id} was cut off" in shown.as_text(good[record.target])
        assert f"{record.target}: again, for its worker is gone: {record.id} says" in told
    assert "6 targets: 6 ok." in said
    page = Path(said.splitlines()[-1].removeprefix("summary: ")).read_text()
    assert all(page.count(record.page.name) for record in good.values())
    assert not any(record.page.name in page for record in cut_off)
    assert verification.verify() == []


@pytest.mark.slow
def test_ctrl_c_stops_what_runs_and_says_how_far_it_came(shared: Project, cluster: Cluster) -> None:
    cluster.worker()
    cluster.wait_for(1)
    asked = ask(shared, cluster)
    until(lambda: len(begun(shared)) == 2)
    asked.send_signal(signal.SIGINT)
    _, told = asked.communicate(timeout=SECONDS)
    assert asked.returncode == 130
    said = "Of 6 runs 0 ended and are kept, 2 interrupted, 4 not begun."
    assert told.splitlines()[-1] == f"opslib: interrupted: {said}"
    assert [record.outcome for record in reading.list_records()] == ["interrupted"] * 2
    assert verification.verify() == []


@pytest.mark.slow
def test_a_worker_of_another_checkout_takes_no_part(shared: Project, cluster: Cluster) -> None:
    there = elsewhere(shared.home)
    other = Path(there["OPSLIB_HOME"]) / "parameters" / "targets" / "bluemoxon-c.yaml"
    other.write_text(other.read_text().replace("us-west-2", "us-west-1"))
    (shared.home / "go").touch()
    cluster.worker(there)
    cluster.wait_for(1)
    asked = ask(shared, cluster)
    _, told = asked.communicate(timeout=SECONDS)
    assert asked.returncode == 1
    assert "can take part: worker tcp://127.0.0.1:" in told
    assert "has another parameters/: a target's file or a runbook differs. Nothing was" in told
    assert reading.list_records() == []

    cluster.worker()
    cluster.wait_for(2)
    asked = ask(shared, cluster)
    said, told = asked.communicate(timeout=SECONDS)
    assert asked.returncode == 0, told
    assert "left out: worker tcp://127.0.0.1:" in told
    assert "6 targets: 6 ok." in said
    assert not (Path(there["OPSLIB_HOME"]) / "records").exists()


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_said_with_what_was_done(
    shared: Project, cluster: Cluster
) -> None:
    cluster.worker()
    cluster.wait_for(1)
    asked = ask(shared, cluster)
    until(lambda: len(begun(shared)) == 2)
    cluster.scheduler.kill()
    _, told = asked.communicate(timeout=SECONDS)
    assert asked.returncode == 1
    assert re.search(r"dask://\S+ is lost: .* Of 6 runs 0 ended and are kept, .*4 not begun", told)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "more", "error", "said"),
    [
        ("dask://127.0.0.1:1", {}, OpsError, "The Dask scheduler at dask://127.0.0.1:1 does not"),
        ("dask://127.0.0.1", {}, UsageError, "give local, dask://HOST:PORT or dask.tls://HOST"),
        ("spark://x:1", {}, UsageError, "give local, dask://HOST:PORT or dask.tls://HOST:PORT"),
        (
            "dask://127.0.0.1:1",
            {"parameters": {"api_key": "correct-horse"}},
            UsageError,
            "api_key is a secret, and none is sent to workers",
        ),
        ("dask://127.0.0.1:1", {"apply": True}, UsageError, "A change is applied from here, not"),
    ],
)
def test_what_cannot_be_is_refused_before_anything(
    shared: Project,
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    more: dict[str, Any],
    error: type[OpsError],
    said: str,
) -> None:
    monkeypatch.setattr("opslib.runs.batches.dask._ANSWER_SECONDS", 1.0)  # nobody is there
    declared = 'api_key: str = ""  # a key\napproved: str = ""  # the plan'
    shared.procedure("does", "1", parameters=declared, effect="change")
    with pytest.raises(error, match=said) as refused:
        runs.run_many(["tests/does"], TARGETS, progress=silent, executor=executor, **more)
    assert isinstance(refused.value, UsageError) == (error is UsageError)
    assert reading.list_records() == []


def test_records_and_index_have_to_be_where_workers_reach_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.procedure("looks", "1")
    target = "lab/bluemoxon-staging"
    where: dict[str, Any] = {"progress": silent, "executor": "dask://127.0.0.1:1"}
    with pytest.raises(UsageError, match=r"Set OPSLIB_RECORDS=s3://BUCKET/PREFIX and OPSLIB_INDEX"):
        runs.run_many(["tests/looks"], [target], **where)
    monkeypatch.setattr("opslib.runs.batches.executors.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"not installed here: pip install 'opslib\[dask\]'"):
        runs.run_many(["tests/looks"], [target], **where)


def silent(*_: Any) -> Any:
    return lambda *_: None


def item(project: Project) -> tuple[Item, list[str]]:
    ids = records.new_ids(3)
    procedure, wanted = runs.prepare("tests/looks", TARGETS[0], {}, apply=False)
    return Item(ids[0], "tests/looks", procedure, TARGETS[0], wanted), ids


@pytest.mark.slow
def test_an_item_that_is_handed_out_twice_is_run_once(shared: Project) -> None:
    (shared.home / "go").touch()
    one, ids = item(shared)
    assert taking.take(one, ids, {}, silent()) == ids[0]
    assert taking.take(one, ids, {}, silent()) == ids[0]
    assert [record.id for record in reading.list_records()] == [ids[0]]
    assert len(begun(shared)["a"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("begun", [True, False], ids=["in the middle", "before it was begun"])
def test_what_a_lost_machine_had_is_taken_when_its_lease_is_over_and_not_before(
    shared: Project, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    (shared.home / "go").touch()
    one, ids = item(shared)
    with monkeypatch.context() as there:
        there.setattr(facts, "host", lambda: "machine-b/1")
        said = facts.at_start(one.name, one.procedure.name, one.target, one.parameters, ids[0])
        index.reserve(records.row(said))
        if begun:
            sealing.Draft(nbformat.read(one.procedure.path, 4), said).begin()
            index.update(ids[0], verdict=None)
            shutil.rmtree(shared.records)  # that is on the other machine's disk; S3 has it
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            index.update(ids[0], heartbeat="2026-01-01T00:00:00.000+00:00")

    monkeypatch.setattr(taking, "time", SimpleNamespace(sleep=sleep))
    assert taking.take(one, ids, {}, silent()) == ids[1 if begun else 0]
    assert len(waited) == 4
    kept = {record.id: record.outcome for record in reading.list_records()}
    assert kept == ({ids[0]: "interrupted", ids[1]: "ok"} if begun else {ids[0]: "ok"})
    assert verification.verify() == []
