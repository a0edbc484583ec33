"""The facts of a run: who, when, of what, with which code; as the record's file and its row hold
them.
"""

import contextlib
import getpass
import os
import platform
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Self

from opslib.catalogue.parameters import defaults
from opslib.core import LAB, Json, paths
from opslib.records import records

_VERSIONS = ("opslib", "papermill", "ipykernel", "boto3", "botocore", "pandas")


def moment() -> str:
    """Now, as kept: ISO, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def ended(started: str, ticks: float) -> str:
    """Now, as kept, by the time since a run's start: a clock that was set since counts for nothing.

    `ticks`: what `uptime` said at its start.
    """
    passed = timedelta(seconds=uptime() - ticks)
    return (datetime.fromisoformat(started) + passed).isoformat(timespec="milliseconds")


def uptime() -> float:
    """Seconds on a clock that nobody sets; where there is one, it also counts a machine's sleep."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def parameters(nb: Any) -> Json:
    """What a notebook runs with: the defaults of its parameters cell, and what was given."""
    return defaults(nb) | dict(nb["metadata"].get("papermill", {}).get("parameters", {}))


def procedure(path: Any) -> str:
    """`<chapter>/<name>` of a notebook in notebooks/, else the file's name without its ending."""
    if not isinstance(path, str) or "://" in path or "{" in path:
        return "notebook"
    file, catalogue = Path(path).resolve(), paths.notebooks().resolve()
    if file.is_relative_to(catalogue):
        return file.relative_to(catalogue).with_suffix("").as_posix()
    return file.stem


def at_start(name: str, procedure: str, target: str, parameters: Json, id: str = "") -> Json:
    """What is known before the kernel is."""
    return {
        "id": id or records.new_id(),
        "name": name,
        "procedure": procedure,
        "target": target,
        "system": target.removeprefix(LAB).rpartition("-")[0],
        "lab": target.startswith(LAB),
        "who": who(),
        "host": socket.gethostname(),
        "started": moment(),
        "ended": None,
        "parameters": parameters,
        "outcome": records.RUNNING,
    }


def of_the_code() -> Json:
    """The git commit, whether anything differed from it, and the versions of what matters."""
    return {"git": _git(paths.project_root()), "versions": _versions()}


@cache
def _versions() -> dict[str, str]:
    """Of what this process has loaded."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {"python": platform.python_version()}
    for package in _VERSIONS:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def _git(folder: Path) -> Json | None:
    """None where there is no git, or no repository."""
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch"]
    try:
        said = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = said.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def who() -> str:
    """The user of this process; in a container one without a name is known by its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def lease() -> Json:
    """Which process runs it, so that another can tell when it is gone."""
    return process() | {"heartbeat": moment()}


def process() -> Json:
    """This process, told apart from a later one with its pid."""
    pid = os.getpid()
    return {"host": host(), "pid": pid, "pid_started": process_started(pid)}


def host() -> str:
    """This machine; a container counts as one of its own."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{socket.gethostname()}/{space}"


def process_started(pid: int) -> str | None:
    """When a process started, in the machine's own ticks; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def is_gone(held: Json) -> bool:
    """Of what a process of this machine holds: is it not there any more?"""
    return bool(held["host"] == host() and process_started(held["pid"]) != held["pid_started"])


DEFAULT_SECONDS = 3600.0


@dataclass(frozen=True)
class Request:
    """What is to be run.

    `tell` gets (cell, cells, section title) as cells start, and (0, 0, line) for a line; `printed`
    what cells that are tagged `live` print, not yet masked.
    """

    id: str
    name: str
    procedure: str
    target: str
    kernel: str
    parameters: Json
    timeout_seconds: float
    folder: Path | None = None  # the kernel's
    output: str | None = None  # papermill's own copy
    note: str = ""  # of who runs it
    forked: bool = False  # one of many, so its kernel is forked where that is safe
    entered: bool = False  # its row is in the index already
    more: Json = field(default_factory=dict)  # for its record
    tell: Callable[[int, int, str], None] = lambda cell, cells, text: None
    printed: Callable[[str], None] = lambda text: None
    options: Json = field(default_factory=dict)

    @classmethod
    def of(cls, nb: Any, kernel: str, options: Json, **told: Any) -> Self:
        """From what papermill gives an engine; `run` knows more."""
        given, name = parameters(nb), procedure(options.get("input_path"))
        limit = nb.metadata.get("opslib", {}).get("timeout_seconds", DEFAULT_SECONDS)
        said = {
            "id": records.new_id(),
            "name": name,
            "procedure": name,
            "target": str(given.get("target", "")),
            "timeout_seconds": limit,
            "output": options.get("output_path"),
        }
        return cls(
            kernel=kernel,
            parameters=given,
            options=options,
            **(said | {k: v for k, v in told.items() if v is not None}),
        )
