"""A kernel for one run: reached through files in a private folder, told of our journal, ended at
once.
"""

import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from opslib.core import OpsError, journal, removal
from opslib.records import facts, files
from opslib.records.interruptions import kernel_folders, mark_of
from opslib.runs.pipes import Pipe

_LAST_WORDS = 4_000  # bytes
_MESSAGES = 20  # on their way from a kernel
_AGAIN_MS = 10  # its sockets are there a moment after it is started
_NATIVE = ("", "python", "python3")


class Kernel:
    """A kernel manager of jupyter_client with what our runs need.

    `kill` and `remove` must be called.
    """

    def __init__(self, name: str, *, forked: bool = False) -> None:
        from jupyter_client.manager import AsyncKernelManager

        # A short path: the path of a socket has a limit of about 100 characters.
        self._mark = mark_of(os.getpid(), facts.process_started(os.getpid()))
        self._folder = _private_folder(self._mark)
        self.words = LastWords()
        self.manager: Any = AsyncKernelManager(
            kernel_name=name or "python3",
            transport="ipc",  # over TCP, ipykernel prints a warning into every record
            connection_file=str(self._folder / "kernel.json"),
            ip=str(self._folder / "socket"),
        )
        # Few: what is printed waits in the kernel, and then its printing does.
        self.manager.context.rcvhwm = _MESSAGES
        self.manager.context.reconnect_ivl = _AGAIN_MS
        if name in _NATIVE:
            spec = self.manager._kernel_spec = _this_python()
            if forked:
                from opslib.runs.provisioners import ForkProvisioner

                self.manager.provisioner = ForkProvisioner(kernel_spec=spec, parent=self.manager)

    def environment(self, journal_end: int) -> dict[str, str]:
        """Ours, with the journal's pipe.

        Compiled modules may be kept: without, each start is seconds slower.
        """
        ours = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {"PYDEVD_DISABLE_FILE_VALIDATION": "1"} | ours | {journal.FD: str(journal_end)}

    @property
    def _process(self) -> Any:
        return getattr(self.manager.provisioner, "process", None)

    def interrupt(self) -> None:
        """What Ctrl-C does: the cell that runs ends with KeyboardInterrupt."""
        self._signal(signal.SIGINT)

    def kill(self, *, wait: bool = False) -> None:
        """End it, and everything it started in its process group, now.

        What cells printed has arrived.
        """
        self._signal(signal.SIGKILL)
        if wait and self._process is not None:
            self._process.wait()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                try:
                    os.killpg(self.manager.provisioner.pgid, number)
                except ProcessLookupError:  # forked, and not yet in a group of its own
                    self._process.send_signal(number)

    def death(self) -> str:
        """How the process ended, in words."""
        if self._process is None:
            return "it is gone"
        try:
            code = self._process.wait(timeout=2)
        except Exception:  # noqa: BLE001 - a timeout, or a process that was collected elsewhere
            return "it does not answer"
        if code >= 0:
            return f"it ended with status {code}"
        why = ", perhaps out of memory" if -code == signal.SIGKILL else ""
        return f"signal {-code}, {signal.Signals(-code).name}{why}"

    def remove(self) -> None:
        """Its private folder."""
        self.words.close()
        removal.remove(self._folder, self._mark)


class LastWords(Pipe):
    """What a process itself writes on its stdout and stderr, where nobody else captures it: the
    end of it is kept, nothing reaches the console.
    """

    def __init__(self) -> None:
        super().__init__("opslib-words")
        self._end = b""

    def _follow(self) -> None:
        with open(self._read, "rb", buffering=0) as file:
            while part := file.read(1 << 16):
                self._end = (self._end + part)[-_LAST_WORDS:]

    def said(self) -> str:
        """The end of it; waits a moment for what a process that has ended still said."""
        self._thread.join(1)
        return self._end.decode(errors="replace").strip()


def _private_folder(token: str) -> Path:
    place = kernel_folders()
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"opslib-{os.getpid()}-", dir=place))
        removal.mark(folder, token)
        return folder
    except OSError as exc:
        raise OpsError(
            f"A kernel needs a small folder in {place}: {files.reason(exc)}. Nothing was run."
        ) from exc


def _this_python() -> Any:
    """The kernel is the Python that runs opslib, whatever kernel specs a user has under the same
    name.
    """
    from jupyter_client.kernelspec import KernelSpec

    program = str(Path(__file__).with_name("launched.py"))
    argv = [sys.executable, program, "-f", "{connection_file}"]
    return KernelSpec(argv=argv, language="python", display_name="Python 3", metadata={})
