"""Starting, finding and ending the lab's server process. Its state is in the lab folder.

Lab.json, server.log.
"""

import fcntl
import http.client
import importlib.util
import json
import os
import re
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

from opslib.core import errors, paths
from opslib.core.errors import OpsError, Unfinished, UsageError, unknown_name
from opslib.lab import folders, valkey
from opslib.lab.aws import credentials

_START_SECONDS = 90.0
_CALL_SECONDS = 120.0
_PING_SECONDS = 30.0  # a busy lab answers late; one that is gone is noticed at once
_SERVER = ["-m", "opslib.lab.server"]
# What lab.json holds, and what it holds of each target.
_FACTS: dict[str, tuple[type, ...]] = {
    "url": (str,),
    "pid": (int,),
    "seed": (int,),
    "clock_offset_hours": (int, float),
    "targets": (dict,),
}
_URL = re.compile(r"http://127\.0\.0\.1:\d{1,5}")
_TARGET_FACTS = ("account", "region", "api")
_started: list[
    subprocess.Popen[bytes]
] = []  # kept so that one that we started and that ended is reaped


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
        path = urlsplit(self._facts(target)["api"]).path
        return f"{self.url}/_api/{target.removeprefix('lab/')}{path}"

    def credentials(self, target: str, user: str = "operator") -> tuple[str, str]:
        """(access key id, secret access key) of a lab user in the target's account.

        Valid nowhere else.
        """
        return credentials.credentials(self._facts(target)["account"], user)

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """A request to the lab's control plane. Its errors are raised here as what they are
        there.
        """
        return _ask(self.url, method, path, given, _CALL_SECONDS)

    def _facts(self, target: str) -> dict[str, str]:
        key = target.removeprefix("lab/")
        if key not in self.targets:
            said = unknown_name("target", target, map("lab/{}".format, self.targets), " in the lab")
            raise UsageError(f"{said} New: opslib lab reset; left out: see opslib lab status.")
        return self.targets[key]


def up(seed: int = 7, clock_offset_hours: float = 0.0) -> Lab:
    """The running lab, started when there is none.

    A running one is taken as it is, with its own seed.
    """
    with suppress(OpsError):
        if (lab := find()) is not None:
            return lab
    _require_extra()
    folder = _folder()
    with _locked(folder):
        return find() or _start(folder, seed, clock_offset_hours)


def _require_extra() -> None:
    """The lab is an extra that an installation for production leaves out. Raises UsageError."""
    if importlib.util.find_spec("moto") is None:
        raise UsageError(
            "The practice lab is not installed here. Install it: pip install '.[lab]', or name a "
            "target without 'lab/'."
        )


def find() -> Lab | None:
    """A running lab, verified by a ping that its own process answers; None when there is none."""
    folder = _folder()
    facts = _announced(folder)
    if facts is None or not _answers(facts):
        return None
    known = ("url", "pid", "seed", "clock_offset_hours", "targets")
    return Lab(folder=folder, **{key: facts[key] for key in known})


def down() -> bool:
    """Ends the lab and removes its folder; True when there was something to end.

    A folder that no lab made is left as it is.
    """
    folder = _folder()
    if folders.token_of(folder) is None:
        return False
    with _locked(folder):
        _end(folder)
        folders.remove_files(folder)
    return True


def _start(folder: Path, seed: int, clock_offset_hours: float) -> Lab:
    _end(folder)  # what a killed lab left
    folders.renew(folder)
    port = _wanted_port()
    command = [sys.executable, *_SERVER, "--folder", str(folder), "--port", str(port)]
    command += ["--seed", str(seed), "--clock-offset-hours", str(clock_offset_hours)]
    with open(folder / "server.log", "wb", opener=folders.no_links) as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_environment(),
        )
    _started.append(process)
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if (lab := find()) is not None:
            return lab
        if process.poll() is not None:
            raise OpsError(
                f"The lab did not start: {_last_line(folder / 'server.log')} See "
                f"{folder / 'server.log'}."
            )
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    raise Unfinished(
        f"The lab was not up after {_START_SECONDS:.0f} s. See {folder / 'server.log'}."
    )


def _environment() -> dict[str, str]:
    """Ours without what sends calls and connections elsewhere,
    and with the opslib that runs now.
    """
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "MOTO_", "PG")) and not key.lower().endswith("_proxy")
    }
    folders = [str(Path(__file__).resolve().parents[2]), kept.get("PYTHONPATH", "")]
    none = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**kept, **none, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


def _wanted_port() -> int:
    """`$OPSLIB_LAB_PORT` when it is free; 0 (any) when it is not set. OpsError when it is taken."""
    text = os.environ.get("OPSLIB_LAB_PORT", "")
    if not text:
        return 0
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise errors.UsageError(
            f"OPSLIB_LAB_PORT is {text!r}; give a port from 1 to 65535, or unset it."
        )
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


def _folder() -> Path:
    return Path(os.path.abspath(paths.lab()))


def _announced(folder: Path) -> dict[str, Any] | None:
    """What the lab says of itself in its folder; None when no lab wrote it."""
    if folders.token_of(folder) is None:
        return None
    with suppress(OSError, ValueError):
        facts = json.loads((folder / "lab.json").read_text(encoding="utf-8"))
        return facts if _is_whole(facts) else None
    return None


def _is_whole(facts: Any) -> bool:
    """Whether all is there that a lab writes, in its form."""
    if not isinstance(facts, dict):
        return False
    if any(type(facts.get(key)) not in kinds for key, kinds in _FACTS.items()):
        return False
    if not 1 < facts["pid"] < 2**31 or not _URL.fullmatch(facts["url"]):
        return False
    return all(
        isinstance(each, dict) and all(isinstance(each.get(key), str) for key in _TARGET_FACTS)
        for each in facts["targets"].values()
    )


def _answers(facts: dict[str, Any]) -> bool:
    try:
        os.kill(facts["pid"], 0)
        answered = _ask(facts["url"], "GET", "ping", {}, _PING_SECONDS)
    except (OSError, OpsError):
        return False
    return isinstance(answered, dict) and answered.get("pid") == facts["pid"]


def _ask(url: str, method: str, path: str, given: dict[str, Any], seconds: float) -> Any:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=seconds)
    try:
        connection.request(
            method, f"/_lab/{path}", json.dumps(given), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise Unfinished(
            f"The lab at {url} did not answer {path}: {exc}. Look: opslib lab status."
        ) from exc
    finally:
        connection.close()
    if response.status != 200:
        raise _said(url, path, answer)
    return answer


def _said(url: str, path: str, answer: Any) -> OpsError:
    """The error that the lab answered; another server's answer is none of its own."""
    told = answer if isinstance(answer, dict) else {}
    kind = getattr(errors, str(told.get("error")), None)
    if isinstance(kind, type) and issubclass(kind, OpsError) and "message" in told:
        return kind(told["message"])
    return OpsError(
        f"What answers at {url} is no lab: {path} was refused. Look: opslib lab status."
    )


def _end(folder: Path) -> None:
    """Ends the server and the PostgreSQL of this folder's lab and removes what they left.

    What runs is found by the pids that files name, but only a process whose own command line says
    that it serves this very folder is ended, and only folders marked with its token are removed.
    """
    token = folders.token_of(folder)
    facts = _announced(folder)
    if token is None:
        return
    folders.remove(folder, token, "lab.json")
    if facts is not None:
        _terminate(facts["pid"], [*_SERVER, "--folder", str(folder)], signal.SIGTERM)
        if _gone_within(facts["pid"], 1):
            valkey.end_left(facts["pid"])
    for home in (folder / folders.POSTGRES, folders.outside(token)):
        if folders.token_of(home) == token:
            for data in sorted(
                home.iterdir()
            ):  # the server and its standbys, when theirs was killed
                _terminate(_postmaster(data), ["-D", str(data)], signal.SIGQUIT)
            folders.remove(home, token)


def _postmaster(data: Path) -> int:
    """The pid that a PostgreSQL server wrote into its data folder; 0 when there is none."""
    with suppress(OSError, ValueError):
        return int((data / "postmaster.pid").read_text(encoding="ascii").split(maxsplit=1)[0])
    return 0


def _terminate(pid: int, words: list[str], how: signal.Signals) -> None:
    """Ends a process with that pid and these words in its command line, first in good order.

    Pids are used again: every other process is left alone.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if pid <= 1 or not _contains(process.cmdline(), words):
            return
        process.send_signal(how)
        if not _gone_within(pid, 10):
            process.kill()
            _gone_within(pid, 5)
    except (psutil.Error, OverflowError, ValueError):
        return


def _contains(line: list[str], words: list[str]) -> bool:
    return any(line[at : at + len(words)] == words for at in range(len(line)))


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
    """Holds lab.lock in the folder. The folder may be removed while we wait.

    Then its new one is locked.
    """
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folders.require_ours(folder)
            lock = folders.no_links(str(folder / folders.LOCK), os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:  # the folder was removed at this moment
            continue
        except OSError as exc:
            raise OpsError(
                f"The lab cannot use its folder {folder}: {exc.strerror}. Set OPSLIB_LAB_DIR to "
                "one that it can write."
            ) from exc
        try:
            if _lock(lock):
                folders.claim(folder)
                yield
                return
        finally:
            os.close(lock)
        time.sleep(0.05)
    raise Unfinished(
        f"Another command has held {folder / 'lab.lock'} for {_START_SECONDS:.0f} s. Try again."
    )


def _lock(lock: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(lock).st_nlink > 0  # else it was removed while we waited
    return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing."
