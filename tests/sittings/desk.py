"""A kernel worked in as JupyterLab works in one: a cell's id with each request, its file's name in
the environment.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import queue
import signal
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from opslib.records.sittings import presence
from opslib.sittings import Opened
from tests.waiting import until

LIMIT = 120  # seconds


class Desk:
    """A sitting that is open, its kernel running. `shown`: texts and errors of the last cell."""

    def __init__(self, opened: Opened) -> None:
        self.path, self.id = opened.path, opened.id
        self.shown = ""
        self._widgets: dict[str, dict[str, Any]] = {}  # state by comm, in the order of their making
        self._later: list[Any] = []  # messages that a cell's wait has not seen
        self._manager: Any = KernelManager()
        # Jupyter's server has not been anybody's kernel, as this process may have been.
        ours = {name: value for name, value in os.environ.items() if name != presence.MINE}
        environment = {**ours, "JPY_SESSION_NAME": str(opened.path)}
        self._manager.start_kernel(env=environment, cwd=str(opened.path.parent))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=LIMIT)

    @property
    def cells(self) -> dict[str, str]:
        """The code of the notebook by cell."""
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "code"}

    def open_second_page(self) -> None:
        """Of the same sitting; what is run from here on is run there."""
        self._client.session.session += "-second"

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
            message = self._later.pop(0) if self._later else self._message(LIMIT)
            content = message["content"]
            if message["parent_header"].get("msg_id") != self._asked:
                continue
            self.shown += content.get("text", "") + content.get("evalue", "")
            for kind in ("text/plain", "application/javascript"):
                self.shown += content.get("data", {}).get(kind, "")
            if content.get("execution_state") == "idle" or (until and until in self.shown):
                return self.shown

    def _message(self, seconds: float) -> Any:
        """The next; what a page knows of its widgets is known from it."""
        message = self._client.get_iopub_msg(timeout=seconds)
        kind, content = message["msg_type"], message["content"]
        told = content.get("data", {})
        if kind == "comm_open":
            self._widgets[content["comm_id"]] = dict(told.get("state", {}))
        elif kind == "comm_msg" and told.get("method") == "update":
            self._widgets[content["comm_id"]].update(told["state"])
        elif kind == "comm_close":
            self._widgets.pop(content["comm_id"], None)
        return message

    def widget(self, **said: Any) -> tuple[str, dict[str, Any]]:
        """The newest whose state says so: its comm, and its state."""
        found = [w for w in self._widgets.items() if said.items() <= w[1].items()]
        return found[-1]

    def states(self) -> list[dict[str, Any]]:
        return [*self._widgets.values()]

    def texts(self) -> str:
        """What lines of widgets say now."""
        made = (w for w in self._widgets.values() if w.get("_model_name") == "HTMLModel")
        return "\n".join(html.unescape(w["value"]) for w in made)

    def fill(self, value: Any, /, **said: Any) -> None:
        """Type into a widget, choose in it."""
        self._tell(said, {"method": "update", "state": {"value": value}, "buffer_paths": []})

    def press(self, words: str) -> None:
        click = {"method": "custom", "content": {"event": "click"}}
        self._tell({"description": words}, click)

    def enter(self, **said: Any) -> None:
        """The key, in a widget."""
        self._tell(said, {"method": "custom", "content": {"event": "submit"}})

    def _tell(self, said: dict[str, Any], data: Any) -> None:
        session, (comm, _) = self._client.session, self.widget(**said)
        message = session.msg("comm_msg", {"comm_id": comm, "data": data})
        self._client.shell_channel.send(message)
        self.hear()

    def hear(self) -> None:
        """What the kernel says by itself."""
        with contextlib.suppress(queue.Empty):
            while True:  # until silence: beside a cell that awaits, no kernel says that it is idle
                self._later.append(self._message(1.0))

    def says(self, words: str) -> None:
        """Wait until an output does."""

        def heard() -> bool:
            if words not in self.texts():
                self.hear()
            return words in self.texts()

        until(heard)

    def stop(self) -> None:
        self._manager.interrupt_kernel()

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


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
