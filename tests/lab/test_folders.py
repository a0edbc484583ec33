"""Nothing is removed or ended that the lab did not make and mark as its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from opslib import lab
from opslib.core.errors import OpsError
from opslib.lab import commands, folders


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project without targets; its lab is ended afterwards."""
    (tmp_path / "parameters" / "targets").mkdir(parents=True)
    monkeypatch.setenv("OPSLIB_HOME", str(tmp_path))
    monkeypatch.setenv("OPSLIB_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.delenv("OPSLIB_LAB_PORT", raising=False)
    yield tmp_path
    lab.down()


@pytest.fixture
def decoy(tmp_path: Path) -> Path:
    """A folder of somebody else, with something in it."""
    folder = tmp_path / "decoy"
    (folder / "data").mkdir(parents=True)
    (folder / "precious").write_text("mine")
    return folder


def forged(**facts: Any) -> str:
    known = {"pid": 999999999, "url": "http://127.0.0.1:9", "seed": 1, "clock_offset_hours": 0}
    return json.dumps({**known, "targets": {}, **facts})


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def run(*arguments: str) -> str:
    return CliRunner().invoke(commands.lab, arguments, catch_exceptions=False).stdout


@pytest.mark.slow
@pytest.mark.parametrize("marked", [False, True])
def test_a_forged_state_file_removes_nothing(home: Path, decoy: Path, marked: bool) -> None:
    before = contents(decoy)
    for act in (lab.down, lab.up, lab.down):
        (home / "lab").mkdir(exist_ok=True)
        if marked:
            folders.claim(home / "lab")
        (home / "lab" / "lab.json").write_text(forged(postgres=str(decoy), folder=str(decoy)))
        act()
        assert contents(decoy) == before


@pytest.mark.slow
def test_a_forged_pid_ends_no_process(home: Path, decoy: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    server = [*sleep, "-m", "opslib.lab.server", "--folder", str(home / "another")]
    postgres = [*sleep, "-D", str(decoy / "data")]
    with subprocess.Popen(server) as other, subprocess.Popen(postgres) as database:
        (decoy / "data" / "postmaster.pid").write_text(f"{database.pid}\n")
        (home / "lab").mkdir()
        folders.claim(home / "lab")
        for pid in (other.pid, database.pid, os.getpid(), 1, 0, -1, 2**40):
            (home / "lab" / "lab.json").write_text(forged(pid=pid, postgres=str(decoy)))
            assert lab.find() is None
            lab.down()
            (home / "lab").mkdir()
            folders.claim(home / "lab")
        assert (other.poll(), database.poll()) == (None, None)
        other.kill()
        database.kill()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "[1]", "null", "7", '"lab"', "{", "\x00", '{"pid": 1}', forged(targets=[])],
)
def test_garbage_in_the_state_file_is_no_lab(home: Path, text: str) -> None:
    (home / "lab").mkdir()
    folders.claim(home / "lab")
    (home / "lab" / "lab.json").write_text(text)
    assert lab.find() is None
    assert "No lab is running" in run("status")
    run("down")
    assert not (home / "lab").exists()


@pytest.mark.slow
def test_a_lab_starts_where_only_garbage_of_its_own_name_lies(home: Path) -> None:
    (home / "lab").mkdir()
    (home / "lab" / "lab.json").write_text("[]")
    assert lab.up() == lab.find()


def test_a_folder_in_use_is_no_place_for_a_lab(
    home: Path, decoy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_LAB_DIR", str(decoy))
    before = contents(decoy)
    with pytest.raises(OpsError, match=r"holds .data., which no lab put there"):
        lab.up()
    assert lab.down() is False
    assert contents(decoy) == before


@pytest.mark.parametrize(("name", "to"), [("lab", ""), ("lab/lab.lock", "precious")])
def test_a_symbolic_link_is_refused(home: Path, decoy: Path, name: str, to: str) -> None:
    before = contents(decoy)
    if name != "lab":
        (home / "lab").mkdir()
        folders.claim(home / "lab")
    (home / name).symlink_to(decoy / to)
    with pytest.raises(OpsError, match=f"its folder {home}/lab"):
        lab.up()
    assert contents(decoy) == before
    (home / name).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lab.json", "lab.json.part", "server.log", "postgres"])
def test_what_a_symbolic_link_leads_to_stays(home: Path, decoy: Path, name: str) -> None:
    before = contents(decoy)
    (home / "lab").mkdir()
    folders.claim(home / "lab")
    (home / "lab" / name).symlink_to(decoy / ("" if name == "postgres" else "precious"))
    with suppress(OpsError, OSError):
        lab.up()
    lab.down()
    assert contents(decoy) == before


def test_a_marker_of_another_lab_does_not_count(home: Path, decoy: Path) -> None:
    (home / "lab").mkdir()
    folders.claim(home / "lab")
    folders.make(home / "lab" / "postgres", "0" * 32)
    (home / "lab" / "postgres" / "precious").write_text("mine")
    before = contents(home / "lab" / "postgres")
    lab.down()
    assert contents(home / "lab" / "postgres") == before


@pytest.mark.slow
def test_what_somebody_put_into_the_folder_stays(home: Path) -> None:
    lab.up()
    (home / "lab" / "notes").write_text("mine")
    assert lab.down() is True
    assert contents(home / "lab") == {"notes": "mine"}


@pytest.mark.slow
def test_the_operators_own_settings_do_not_reach_the_lab(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config").write_text("[broken")
    for name, value in {
        "AWS_CONFIG_FILE": str(home / "config"),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "PGSSLMODE": "verify-full",
        "PGSERVICE": "not-there",
        "PGCLIENTENCODING": "SQL_ASCII",
        "PGOPTIONS": "-c default_transaction_read_only=on",
    }.items():
        monkeypatch.setenv(name, value)
    lab.up()
    lab.reset()
    assert lab.status()["postgres"]["databases"] == []
