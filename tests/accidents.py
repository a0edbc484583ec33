"""A change of many steps, each a file with a line in it, and ways to end it before its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from opslib.core.actions.actions import action
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from tests.projects import Project

COUNT = 40
ROOT = Path(__file__).resolve().parent.parent
CELL = """
from opslib import apply, connect
from tests import accidents
ops = connect(target)
apply(ops, accidents.plan_files(ops, folder, pause), "now")
"""
PARAMETERS = 'folder: str = ""  # where\npause: float = 0.05  # seconds a step'


@action("test-put", "write {text} to {path}")
def Put(ops: Connection, path: str, text: str | None, pause: float = 0, lost: str = "") -> str:
    """Write a file (None: remove it). `lost`: the answer is lost, "done" or "not done"."""
    at = Path(path)
    time.sleep(pause / 2)
    if lost != "not done":
        if text is None:
            at.unlink()
        else:
            whole = at.parent.with_name(f"{at.name}.new")  # a kill leaves no half of a step
            whole.write_text((at.read_text() if at.exists() else "") + text)
            whole.replace(at)
    if lost:
        raise Lost("nothing came back.")
    time.sleep(pause / 2)
    return str(text)


@action("test-seen", "read {path}")
def Seen(ops: Connection, path: str) -> str:
    """What a file holds, or "absent"."""
    at = Path(path)
    return at.read_text() if at.exists() else "absent"


def step(folder: Path, number: int, pause: float = 0, lost: str = "", seen: bool = True) -> Step:
    path = str(folder / f"{number:02d}")
    return Step(
        f"File {number}",
        Put(path, f"{number}", pause, lost),
        "absent",
        f"{number}",
        [Put(path, None, pause)],
        Seen(path) if seen else None,
        f"file{number}",
    )


@planner
def plan_files(ops: Connection, folder: str, pause: float = 0) -> Planned:
    made = [step(Path(folder), number, pause or 0.02) for number in range(1, COUNT + 1)]
    return Planned("make files", made)


@planner
def plan_steps(ops: Connection, *steps: Step) -> Planned:
    return Planned("make these files", steps)


def made(folder: Path) -> int:
    """How many steps were done, whoever says what."""
    return len([*folder.iterdir()])


def wait_for(folder: Path, count: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while made(folder) < count:
        assert time.monotonic() < end, f"{made(folder)} of {count} steps were done"
        time.sleep(0.01)


def kernel_of(process: subprocess.Popen[str]) -> int:
    [kernel] = [
        child.pid
        for child in psutil.Process(process.pid).children(recursive=True)
        if os.getsid(child.pid) == child.pid  # a session of its own
    ]
    return kernel


def papermill(project: Project, folder: Path) -> subprocess.Popen[str]:
    """Plain papermill, without our engine, running the change."""
    source = project.procedure("many", CELL, parameters=PARAMETERS)
    given = [str(source), str(project.home / "out.ipynb"), "-p", "folder", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", "papermill", *given],
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )


def opslib(project: Project, folder: Path) -> subprocess.Popen[str]:
    project.procedure("many", CELL, parameters=PARAMETERS, effect="change")
    target = "lab/bluemoxon-staging"
    return project.start("run", "tests/many", "-t", target, "-p", f"folder={folder}")


def end(pid: int, number: int = signal.SIGKILL) -> None:
    """A signal, and wait until the process is gone."""
    os.kill(pid, number)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end_both(process: subprocess.Popen[str]) -> None:
    """Engine and kernel at once, as when the machine goes down."""
    for pid in (kernel_of(process), process.pid):
        os.kill(pid, signal.SIGKILL)
