"""A kernel worked in as JupyterLab works in one: a cell's id with each request, its file's name in
the environment.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from opslib.sittings import Opened

LIMIT = 120  # seconds


class Desk:
    """A sitting that is open, its kernel running. `shown`: texts and errors of the last cell."""

    def __init__(self, opened: Opened) -> None:
        self.path = opened.path
        self.shown = ""
        self._manager: Any = KernelManager()
        environment = {**os.environ, "JPY_SESSION_NAME": str(opened.path)}
        self._manager.start_kernel(env=environment, cwd=str(opened.path.parent))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=LIMIT)

    @property
    def cells(self) -> dict[str, str]:
        """The code of the notebook by cell."""
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "code"}

    def run(self, cell: str, code: str | None = None) -> str:
        """Run a cell, as it is or with other code; what it showed."""
        self.send(cell, code)
        return self.wait()

    def send(self, cell: str, code: str | None = None) -> None:
        content = {
            "code": self.cells[cell] if code is None else code,
            "silent": False,
            "store_history": True,
            "stop_on_error": True,
            "user_expressions": {},
            "allow_stdin": False,
        }
        session = self._client.session
        message = session.msg("execute_request", content, metadata={"cellId": cell})
        self._client.shell_channel.send(message)
        self._asked = message["header"]["msg_id"]

    def wait(self, until: str = "") -> str:
        """For the cell's end, or until it showed that."""
        self.shown = ""
        while True:
            message = self._client.get_iopub_msg(timeout=LIMIT)
            content = message["content"]
            if message["parent_header"].get("msg_id") != self._asked:
                continue
            self.shown += content.get("text", "") + content.get("evalue", "")
            self.shown += content.get("data", {}).get("text/plain", "")
            if content.get("execution_state") == "idle" or (until and until in self.shown):
                return self.shown

    def run_all(self) -> None:
        for cell in self.cells:
            self.run(cell)

    def kill(self) -> None:
        self._manager.provisioner.process.send_signal(signal.SIGKILL)
        self._manager.provisioner.process.wait()
        self.close()

    def leave(self) -> None:
        """As JupyterLab does when a kernel is shut down."""
        self._manager.shutdown_kernel()
        self.close()

    def close(self) -> None:
        self._client.stop_channels()
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.context.destroy(linger=0)


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    ends = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.1)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
