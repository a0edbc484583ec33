"""What happens in a forked process until it is a kernel like any other."""

import locale
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing import forkserver

from opslib.core import journal
from opslib.runs import launched

_OPTIONS = ("--HistoryManager.enabled=False",)  # one file for all would be waited for


@dataclass(frozen=True)
class Start:
    """A kernel to be; sent to the forked process, where multiprocessing calls `_bootstrap`."""

    connection_file: str
    folder: str | None
    environment: dict[str, str]

    def _bootstrap(self, parent_sentinel: int) -> int:
        """Run the kernel until it ends; its exit status.

        `parent_sentinel` ends when the process of opslib does.
        """
        os.setsid()  # a group of its own: interrupted and ended with all that it started
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        threading.Thread(target=_end_with, args=(parent_sentinel,), daemon=True).start()
        pipe, said = forkserver.get_inherited_fds() or (-1, -1)
        if said >= 0:
            os.dup2(said, 1)
            os.dup2(said, 2)
        self._take_environment(pipe)
        if self.folder:
            os.chdir(self.folder)
        return _run(self.connection_file)

    def _take_environment(self, pipe: int) -> None:
        """What a new process reads of its environment when it starts was read by the one it was
        forked from.
        """
        os.environ.clear()
        os.environ.update(self.environment | {journal.FD: str(pipe)})
        paths = [path for path in self.environment.get("PYTHONPATH", "").split(os.pathsep) if path]
        sys.path[:] = [*paths, *(path for path in sys.path if path not in paths)]
        locale.setlocale(locale.LC_CTYPE, "")
        time.tzset()


def _end_with(sentinel: int) -> None:
    os.read(sentinel, 1)
    os.killpg(0, signal.SIGKILL)


def _run(connection_file: str) -> int:
    import matplotlib
    import numpy

    numpy.random.seed()  # the others seed themselves
    sys.argv = ["ipykernel_launcher", "-f", connection_file]
    app = launched.application(parent_handle=1)
    app.initialize([*sys.argv[1:], *_OPTIONS])
    matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]
    app.start()
    return 0
