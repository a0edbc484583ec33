"""Kernels forked from a process that has imported what they need while this one did the same.

The process is multiprocessing's fork server. It is started by this one, ends with it, and is of one
thread.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing import connection, resource_tracker
from multiprocessing.forkserver import ForkServer, read_signed

from opslib.runs.forked import Start

_server = ForkServer()
_ONE, _MANY = (
    ["opslib.runs.preloads.one"],
    ["opslib.runs.preloads.one", "opslib.runs.preloads.many"],
)
_server.set_forkserver_preload(_MANY)
_begun = threading.Event()


def available() -> bool:
    """Is a fork safe here? Elsewhere than on Linux, system libraries start threads of their own."""
    return sys.platform == "linux"


def prepare(*, many: bool) -> bool:
    """Begin to import what kernels need, while this process does something else; False where no
    fork is safe. For `many` it begins with more: what it takes is earned by the later ones.
    """
    if not available():
        return False
    _server.set_forkserver_preload(_MANY if many else _ONE)
    resource_tracker.ensure_running()  # which would unblock what is blocked here
    # Ctrl-C is for this process: one that imports would tell of it at length.
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        _server.ensure_running()
        _begun.set()
    except OSError:  # there can be no other process; each run will say so
        _begun.clear()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)
    return prepared()


def prepared() -> bool:
    """Was it begun?"""
    return _begun.is_set()


class Process:
    """A forked kernel, with what is used of subprocess.Popen.

    Raises OSError, EOFError when nothing could be forked.
    """

    stdin = stdout = stderr = None

    def __init__(self, start: Start, fds: Sequence[int]) -> None:
        self.returncode: int | None = None
        self._lock = threading.Lock()
        # The kernel ends when the end to write on is closed, if only by the end of this process.
        self._status, self._data = _server.connect_to_new_process(list(fds))
        try:
            with open(self._data, "wb", closefd=False) as file:
                file.write(pickle.dumps({}) + pickle.dumps(start))
            self.pid = read_signed(self._status)
        except BaseException:
            self._close()
            raise

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, as subprocess tells it. Raises TimeoutExpired."""
        with self._lock:
            if self.returncode is None:
                if not connection.wait([self._status], timeout):
                    raise subprocess.TimeoutExpired("kernel", timeout or 0)
                try:
                    self.returncode = read_signed(self._status)
                except EOFError:  # the server is gone, so nobody knows
                    self.returncode = 255
                self._close()
            return self.returncode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def _close(self) -> None:
        os.close(self._status)
        os.close(self._data)
