"""The lab's life: started, found, shared, ended without a trace,
and cleaned up after an accident.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from opslib import lab
from opslib.core.errors import OpsError, UsageError
from opslib.lab import commands
from opslib.lab.valkey import PROGRAMS

_TARGET = """
title: Practice {0}
system: practice
environment: {0}
production: false
account: "333333333333"
region: us-west-2
api: {{url: "https://{0}.example.com/api/v1", token_secret: practice/token}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with two targets that have nothing in them; its lab is ended afterwards."""
    folder = tmp_path / "parameters" / "targets"
    folder.mkdir(parents=True)
    for environment in ("one", "two"):
        (folder / f"practice-{environment}.yaml").write_text(_TARGET.format(environment))
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    monkeypatch.setenv("OPSLIB_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.delenv("OPSLIB_LAB_PORT", raising=False)
    yield tmp_path
    lab.down()


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait(for_what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not for_what():
        assert time.monotonic() < end
        time.sleep(0.05)


def processes(home: Path) -> list[int]:
    """The server and its PostgreSQL."""
    facts = json.loads((home / "lab" / "lab.json").read_text())
    return [
        facts["pid"],
        int((Path(facts["postgres"]) / "data" / "postmaster.pid").read_text().split()[0]),
    ]


def other_folders(home: Path) -> list[Path]:
    """What the lab made outside its folder."""
    folder = Path(json.loads((home / "lab" / "lab.json").read_text())["postgres"])
    return [] if folder.is_relative_to(home) else [folder]


@pytest.mark.slow
def test_up_starts_one_and_find_finds_it(home: Path) -> None:
    assert lab.find() is None
    assert lab.status() == {}
    started = lab.up()
    assert lab.up() == started
    assert lab.find() == started
    assert started.api_url("lab/practice-one") == f"{started.url}/_api/practice-one/api/v1"
    assert started.aws_endpoint("practice-one") == started.url
    assert started.credentials("lab/practice-one") != started.credentials(
        "lab/practice-one", "reviewer"
    )
    with pytest.raises(UsageError, match="Did you mean 'lab/practice-one'"):
        started.credentials("lab/practice-onne")


def test_down_leaves_nothing(home: Path) -> None:
    lab.up()
    pids, folders = processes(home), other_folders(home)
    assert lab.down() is True
    assert not [pid for pid in pids if alive(pid)]
    assert not [folder for folder in [home / "lab", *folders] if folder.exists()]
    assert lab.down() is False


@pytest.mark.slow
def test_two_at_once_share_one_lab(home: Path) -> None:
    code = "from opslib import lab; print(lab.up().pid)"

    def start(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout

    with ThreadPoolExecutor(3) as pool:
        pids = list(pool.map(start, range(3)))
    assert len(set(pids)) == 1
    assert alive(int(pids[0]))  # all who started it are gone by now


@pytest.mark.slow
def test_the_state_survives_the_command_that_made_it(home: Path) -> None:
    lab.up().ask("POST", "deny", target="practice-one", operation="s3:ListBuckets")
    code = "from opslib import lab; print(lab.status()['denied'])"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "{'lab/practice-one': ['s3:ListBuckets']}" in shown
    lab.reset()
    assert lab.status()["denied"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["server", "both"])
def test_a_killed_lab_is_not_found_and_its_remains_are_cleaned_up(home: Path, victim: str) -> None:
    first = lab.up()
    pids, folders = processes(home), other_folders(home)
    for pid in pids if victim == "both" else pids[:1]:
        os.kill(pid, signal.SIGKILL)
    assert lab.find() is None
    assert lab.status() == {}
    assert lab.up().pid != first.pid
    assert not [pid for pid in pids if alive(pid)]
    assert not [folder for folder in folders if folder.exists()]


@pytest.mark.slow
def test_the_cache_of_a_killed_lab_ends_with_what_it_left(home: Path) -> None:
    with (home / "parameters" / "targets" / "practice-one.yaml").open("a") as file:
        file.write("cache: {secret: practice/cache}\n")
    server = lab.up().pid
    lab.state("practice-one")  # seeds it
    [cache] = [p for p in psutil.Process(server).children() if p.name() in PROGRAMS]
    os.kill(server, signal.SIGKILL)
    assert cache.is_running()
    lab.down()
    wait(lambda: not alive(cache.pid))


@pytest.mark.slow
def test_another_process_with_the_same_pid_is_left_alone(home: Path) -> None:
    lab.up()
    lab.down()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        (home / "lab").mkdir()
        facts = {
            "url": "http://127.0.0.1:1",
            "pid": other.pid,
            "seed": 7,
            "clock_offset_hours": 0.0,
            "targets": {},
            "postgres": str(home / "elsewhere"),
        }
        (home / "lab" / "lab.json").write_text(json.dumps(facts))
        (home / "elsewhere" / "data").mkdir(parents=True)
        (home / "elsewhere" / "data" / "postmaster.pid").write_text(f"{other.pid}\n")
        assert lab.find() is None
        lab.down()
        assert other.poll() is None
        other.kill()


@pytest.mark.slow
def test_a_lab_whose_folder_was_removed_ends_itself(home: Path) -> None:
    lab.up()
    pids, folders = processes(home), other_folders(home)
    (home / "lab" / "lab.json").unlink()
    wait(lambda: not any(map(alive, pids)))
    assert not [folder for folder in folders if folder.exists()]


@pytest.mark.slow
def test_a_taken_port_is_said_with_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("OPSLIB_LAB_PORT", str(port))
        with pytest.raises(
            OpsError, match=f"Port {port} on 127.0.0.1.* is taken.*Set OPSLIB_LAB_PORT to another"
        ):
            lab.up()
    assert lab.find() is None
    assert lab.up().url == f"http://127.0.0.1:{port}"


def test_a_port_that_is_none_is_a_usage_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_LAB_PORT", "many")
    with pytest.raises(UsageError, match="from 1 to 65535"):
        lab.up()


def test_a_lab_that_cannot_start_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_LAB_DIR", str(home / "file" / "lab"))
    (home / "file").write_text("")
    with pytest.raises(OpsError, match=r"file/lab.*OPSLIB_LAB_DIR"):
        lab.up()


@pytest.mark.slow
def test_a_broken_target_does_not_keep_the_others_away(home: Path) -> None:
    (home / "parameters" / "targets" / "practice-bad.yaml").write_text("title: [")
    lab.up()
    assert lab.status()["targets"] == ["lab/practice-one", "lab/practice-two"]
    assert "practice-bad.yaml" in lab.status()["skipped"]["practice-bad"]
    with pytest.raises(UsageError, match="not in the lab"):
        lab.state("lab/practice-bad")


@pytest.mark.slow
def test_the_variables_of_aws_do_not_reach_the_lab(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "999999999999")
    lab.up()
    assert lab.status()["targets"] == ["lab/practice-one", "lab/practice-two"]


@pytest.mark.slow
def test_the_commands_show_what_runs_and_end_it(home: Path) -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(commands.lab, arguments, catch_exceptions=False).stdout

    assert "No lab is running. Start it: opslib lab up" in run("status")
    assert "lab/practice-one, lab/practice-two" in run("up")
    assert json.loads(run("status", "--json"))["running"] is True
    with pytest.raises(UsageError, match="runs with seed 7, not 8"):
        run("up", "--seed", "8")
    assert json.loads(run("drills", "--json")) == []
    with pytest.raises(UsageError, match="Unknown drill 'any'"):
        run("break", "any")
    assert "Nothing was broken." in run("mend")
    assert "The lab is gone." in run("down")
    assert json.loads(run("status", "--json")) == {"running": False}


def test_without_its_extra_the_lab_says_how_to_install_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="not installed here"):
        lab.up()
