"""run-due handed to the machine's own scheduler: shown first, and taken away without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from opslib.core import Refused
from opslib.schedules import installing
from tests.projects import Project

CRONTAB = """#!/bin/sh
if [ "$1" != -l ]; then cat > "$HOME/tab"
elif [ -e "$HOME/tab" ]; then cat "$HOME/tab"
else echo "no crontab for us" >&2; exit 1; fi
"""
SYSTEMCTL = '#!/bin/sh\necho "$@" >> "$HOME/asked"\n'


@pytest.fixture
def home(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a crontab and a systemctl of its own."""
    home = project.home / "50% home"
    for name, text in (("crontab", CRONTAB), ("systemctl", SYSTEMCTL)):
        program = home / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OPSLIB_RECORDS", str(home / "records"))
    return home


@pytest.mark.slow
def test_a_line_of_crontab_is_written_once_and_taken_away(home: Path, project: Project) -> None:
    shown = project.command("schedule", "install", "--with", "cron")
    assert "Nothing was changed" in shown.stderr
    assert not (home / "tab").exists()
    (home / "tab").write_text("0 1 * * * backup\n")
    for every in ("5", "10"):
        done = project.command("schedule", "install", "--with", "cron", "--every", every, "--apply")
        assert done.returncode == 0, done.stderr
    backup, mark, line = (home / "tab").read_text().splitlines()
    assert backup == "0 1 * * * backup"
    assert mark == f"# opslib schedule of {project.home}"
    assert line.startswith(f"*/10 * * * * cd {project.home} && env ")
    assert f"'OPSLIB_RECORDS={home}/records'".replace("%", "\\%") in line
    assert line.endswith("-m opslib schedule run-due")
    project.command("schedule", "uninstall", "--with", "cron", "--apply")
    assert (home / "tab").read_text() == "0 1 * * * backup\n"


def test_the_line_runs_what_is_due(home: Path, project: Project) -> None:
    line = str(installing.planned("cron", 5)).splitlines()[1].removeprefix("*/5 * * * * ")
    ran = subprocess.run(  # as cron does
        ["sh", "-c", line.replace("\\%", "%")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "Nothing was due.\n"), ran.stderr
    assert (home / "records" / "index.sqlite").exists()


@pytest.mark.slow
def test_a_timer_is_written_and_taken_away(home: Path, project: Project) -> None:
    done = project.command("schedule", "install", "--with", "systemd", "--apply")
    assert done.returncode == 0, done.stderr
    units = sorted((home / ".config" / "systemd" / "user").iterdir())
    assert [unit.suffix for unit in units] == [".service", ".timer"]
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--user", "--man=no", *map(str, units)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "opslib" not in checked.stderr
    project.command("schedule", "uninstall", "--with", "systemd", "--apply")
    assert not any(unit.exists() for unit in units)
    timer = units[1].name
    assert (home / "asked").read_text().splitlines() == [
        "--user daemon-reload",
        f"--user enable --now {timer}",
        f"--user disable --now {timer}",
        "--user daemon-reload",
    ]


def test_no_password_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_INDEX", "postgresql://ops:sesame@db/index")
    for kind in installing.KINDS:
        with pytest.raises(Refused, match="holds a password, which is not written"):
            installing.planned(kind, 5)
