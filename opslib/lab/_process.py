"""Starting, finding and ending the lab's server process. Its state is in the lab folder: lab.json, server.log."""

from __future__ import annotations

import fcntl
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opslib.core import errors
from opslib.core import paths as _paths
from opslib.core.errors import OpsError, Unfinished, UsageError, unknown_name
from opslib.lab import _credentials

_START_SECONDS = 90.0
_CALL_SECONDS = 120.0
_PING_SECONDS = 30.0  # a busy lab answers late; one that is gone is noticed at once
_started: list[subprocess.Popen[bytes]] = []  # kept so that one that we started and that ended is reaped


@dataclass(frozen=True)
class Lab:
    """A running lab."""

    url: str
    pid: int
    folder: Path
    seed: int
    clock_offset_hours: float
    targets: dict[str, dict[str, str]] = field(repr=False, hash=False)

    def aws_endpoint(self, target: str) -> str:
        """The endpoint for every AWS service of a target."""
        self._facts(target)
        return self.url

    def api_url(self, target: str) -> str:
        """The target's `api.url`, in the lab."""
        return f"{self.url}/_api/{target.removeprefix('lab/')}{urlsplit(self._facts(target)['api']).path}"

    def credentials(self, target: str, user: str = "operator") -> tuple[str, str]:
        """(access key id, secret access key) of a lab user in the target's account; valid nowhere else."""
        return _credentials.credentials(self._facts(target)["account"], user)

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """A request to the lab's control plane. Its errors are raised here as what they are there."""
        return _ask(self.url, method, path, given, _CALL_SECONDS)

    def _facts(self, target: str) -> dict[str, str]:
        key = target.removeprefix("lab/")
        if key not in self.targets:
            raise unknown_name("target", target, self.targets, " in the lab")
        return self.targets[key]


def up(seed: int = 7, clock_offset_hours: float = 0.0) -> Lab:
    """The running lab, started when there is none. A running one is taken as it is, with its own seed."""
    with suppress(OpsError):
        if (lab := find()) is not None:
            return lab
    _require_extra()
    folder = _paths.lab()
    with _locked(folder):
        return find() or _start(folder, seed, clock_offset_hours)


def _require_extra() -> None:
    """The lab is an extra that an installation for production leaves out. Raises UsageError."""
    if importlib.util.find_spec("moto") is None:
        raise UsageError(
            "The practice lab is not installed here. Install it: pip install '.[lab]', or name a target without 'lab/'."
        )


def find() -> Lab | None:
    """A running lab, verified by a ping that its own process answers; None when there is none."""
    folder = _paths.lab()
    facts = _announced(folder)
    if facts is None or not _answers(facts):
        return None
    known = ("url", "pid", "seed", "clock_offset_hours", "targets")
    return Lab(folder=folder, **{key: facts[key] for key in known})


def down() -> bool:
    """Ends the lab and removes its folder; True when there was something to end."""
    folder = _paths.lab()
    if not folder.exists():
        return False
    with _locked(folder):
        _end(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _start(folder: Path, seed: int, clock_offset_hours: float) -> Lab:
    _end(folder)  # what a killed lab left
    port = _wanted_port()
    command = [
        sys.executable, "-m", "opslib.lab.server", "--folder", str(folder), "--port", str(port), "--seed", str(seed),
        "--clock-offset-hours", str(clock_offset_hours),
    ]  # fmt: skip
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=_environment()
        )
    _started.append(process)
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if (lab := find()) is not None:
            return lab
        if process.poll() is not None:
            raise OpsError(f"The lab did not start: {_last_line(folder / 'server.log')} See {folder / 'server.log'}.")
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    raise Unfinished(f"The lab was not up after {_START_SECONDS:.0f} s. See {folder / 'server.log'}.")


def _environment() -> dict[str, str]:
    """Ours without any AWS setting, and with the opslib that runs now."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MOTO_"))}
    paths = [str(Path(__file__).resolve().parents[2]), kept.get("PYTHONPATH", "")]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _wanted_port() -> int:
    """`$OPSLIB_LAB_PORT` when it is free; 0 (any) when it is not set. OpsError when it is taken."""
    text = os.environ.get("OPSLIB_LAB_PORT", "")
    if not text:
        return 0
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise errors.UsageError(f"OPSLIB_LAB_PORT is {text!r}; give a port from 1 to 65535, or unset it.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as exc:
            raise OpsError(
                f"Port {text} on 127.0.0.1, wanted by OPSLIB_LAB_PORT, is taken ({exc.strerror}). "
                "Set OPSLIB_LAB_PORT to another port, or unset it for a free one."
            ) from exc
    return int(text)


def _announced(folder: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        facts: dict[str, Any] = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
        return facts
    return None


def _answers(facts: dict[str, Any]) -> bool:
    try:
        os.kill(facts["pid"], 0)
        answered = _ask(facts["url"], "GET", "ping", {}, _PING_SECONDS)
    except (OSError, OpsError):
        return False
    return bool(answered["pid"] == facts["pid"])


def _ask(url: str, method: str, path: str, given: dict[str, Any], seconds: float) -> Any:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=seconds)
    try:
        connection.request(method, f"/_lab/{path}", json.dumps(given), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise Unfinished(f"The lab at {url} did not answer {path}: {exc}. Look: opslib lab status.") from exc
    finally:
        connection.close()
    if response.status != 200:
        raise getattr(errors, answer["error"], OpsError)(answer["message"])
    return answer


def _end(folder: Path) -> None:
    """Ends what lab.json names, if it is still ours, and removes what it left outside the folder."""
    facts = _announced(folder)
    (folder / "lab.json").unlink(missing_ok=True)
    if facts is None:
        return
    pid, postgres = facts["pid"], Path(facts["postgres"])
    if _is_ours(pid, "opslib.lab.server"):
        os.kill(pid, signal.SIGTERM)
        if not _gone_within(pid, 10):
            os.killpg(pid, signal.SIGKILL)
            _gone_within(pid, 5)
    with suppress(OSError, ValueError):  # what a killed server left
        left = int((postgres / "data" / "postmaster.pid").read_text().split()[0])
        if _is_ours(left, str(postgres)):
            os.kill(left, signal.SIGQUIT)
            _gone_within(left, 5)
    shutil.rmtree(postgres, ignore_errors=True)


def _is_ours(pid: int, word: str) -> bool:
    """Whether a process with that pid runs and has the word in its command line (pids are used again)."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and word in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _gone_within(pid: int, seconds: float) -> bool:
    import psutil

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for process in _started:
            process.poll()
        try:
            if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:  # it ended between the two looks
            return True
        time.sleep(0.02)
    return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds lab.lock in the folder. The folder may be removed while we wait: then its new one is locked."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / "lab.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # the folder was removed at this moment
            continue
        except OSError as exc:
            raise OpsError(
                f"The lab cannot use its folder {folder}: {exc.strerror}. Set OPSLIB_LAB_DIR to one that it can write."
            ) from exc
        try:
            if _lock(lock):
                yield
                return
        finally:
            os.close(lock)
        time.sleep(0.05)
    raise Unfinished(f"Another command has held {folder / 'lab.lock'} for {_START_SECONDS:.0f} s. Try again.")


def _lock(lock: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(lock).st_nlink > 0  # else it was removed while we waited
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing."
