"""papermill's notebook client and manager, with outputs that are capped and saves that are few."""

import contextlib
import json
import math
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from nbclient.client import CellExecutionComplete
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import output_from_msg
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager

from opslib.core.text import plain
from opslib.records.facts import uptime
from opslib.records.outputs import Capped, Outputs, size
from opslib.runs.kernels import Kernel

_QUIET_SECONDS = 10
_WIDGETS = 1_000_000  # bytes of their state


def _stream(text: str) -> Any:
    header = {"msg_type": "stream"}
    return {"header": header, "content": {"name": "stderr", "text": text}}


class Manager(NotebookExecutionManager):  # type: ignore[misc]
    """papermill's state of cells.

    It would save the whole notebook several times a cell; `keep` saves now and then.
    """

    def __init__(self, nb: Any, keep: Callable[[bool], None], progress_bar: Any) -> None:
        super().__init__(nb, progress_bar=progress_bar)
        self._keep, self._ticks = keep, uptime()

    def save(self, *, changed: bool = True, **_: Any) -> None:
        """What has changed, or what was held back."""
        self._keep(changed)

    autosave_cell = save

    def notebook_complete(self, **_: Any) -> None:
        """The end, without papermill's belief that cells which never ran are completed."""
        self.end_time = self.now()
        self.nb.metadata["papermill"] |= {
            "end_time": self.end_time.isoformat(),
            "duration": round(uptime() - self._ticks, 3),
        }
        self.complete_pbar()
        self.cleanup_pbar()


class _Channels(AsyncKernelClient):
    """Ready with the kernel's first answer. jupyter_client's own then listens for what else is
    said until a fifth of a second is silent.
    """

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Raises RuntimeError: the kernel died, or did not answer in so many seconds."""
        ends = time.monotonic() + (timeout or math.inf)
        while True:
            self.kernel_info()
            with contextlib.suppress(Empty):
                reply = await self.shell_channel.get_msg(timeout=1)
                await self.iopub_channel.get_msg(timeout=0.2)  # it is heard there, too
                return self._handle_kernel_info_reply(reply)
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > ends:
                raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")


class Client(Capped, PapermillNotebookClient):  # type: ignore[misc]
    """Runs the cells, one after the other, until one fails, time is up, or it is told to stop."""

    def __init__(
        self,
        manager: Manager,
        kernel: Kernel,
        outputs: Outputs,
        deadline: float,
        printed: Callable[[str], None],
        **options: Any,
    ) -> None:
        """`printed` gets what a cell tagged `live` prints, as it comes."""
        kernel.manager.client_factory = _Channels
        super().__init__(manager, km=kernel.manager, timeout_func=self._seconds_left, **options)
        self._kernel, self.capped, self._deadline = kernel, outputs, deadline
        self._cell_timeout = options.get("timeout") or math.inf
        self.current, self._printed = 0, printed
        self._replied = ""  # the request that the kernel has answered

    def _seconds_left(self, _: Any) -> float:
        return max(0.001, min(self._deadline - time.monotonic(), self._cell_timeout))

    def run(self, ready: Callable[[], None], goes_on: Callable[[int], bool]) -> None:
        """Wait for the kernel, then `ready`, then the cells, while it `goes_on` with the next.

        Raises CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError.
        """
        self.reset_execution_trackers()
        self.start_new_kernel_client()
        self._hear_replies()
        ready()
        info = self.wait_for_reply(self.kc.kernel_info())
        self.nb.metadata["language_info"] = info["content"]["language_info"]
        try:
            for index, cell in enumerate(self.nb.cells):
                if not goes_on(index):
                    break
                self._run_cell(cell, index)
        finally:
            self.set_widgets_metadata()

    def _run_cell(self, cell: Any, index: int) -> None:
        self.current = index
        # Outputs that are still on their way when the cell has ended are waited for: for as long as
        # they come, and no longer than the run may take.
        self.iopub_timeout = max(1, math.ceil(self._seconds_left(cell)))
        self.nb_man.cell_start(cell, index)
        try:
            self.execute_cell(cell, index)
        except BaseException as exc:
            self.nb_man.cell_exception(cell, cell_index=index, exception=exc)
            raise
        finally:
            self.capped.finish(cell, index)
            self.nb_man.cell_complete(cell, cell_index=index)

    async def _check_raise_for_error(self, cell: Any, cell_index: int, exec_reply: Any) -> None:
        await super()._check_raise_for_error(cell, cell_index, exec_reply)
        asked = (exec_reply or {}).get("content", {}).get("payload", ())
        if any(each.get("source") == "ask_exit" for each in asked):  # IPython's exit and quit
            raise CellExecutionError("", "SystemExit", "exit")

    async def _async_check_alive(self) -> None:
        self.nb_man.save(changed=False)
        await super()._async_check_alive()

    def tell(self, said: str) -> None:
        """Keep what the kernel's process said itself, before it died, with the current cell."""
        cell = self.nb.cells[self.current]
        if said and cell.cell_type == "code":
            cell.outputs.append(output_from_msg(_stream(f"… its process said: {plain(said)}\n")))

    def _hear_replies(self) -> None:
        channel = self.kc.shell_channel
        get = channel.get_msg

        async def heard(*given: Any, **options: Any) -> Any:
            message = await get(*given, **options)
            self._replied = message["parent_header"].get("msg_id", "")
            return message

        channel.get_msg = heard

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: Any, cell_index: int) -> None:
        """Take outputs until the kernel says that there are no more.

        When it never does, since messages were lost on the way, they end some quiet seconds after
        its reply, and a line says so.
        """
        while True:
            try:
                message = await self.kc.iopub_channel.get_msg(timeout=_QUIET_SECONDS)
            except Empty:
                if self._replied != parent_msg_id:
                    continue
                text = "… outputs may be missing here: the kernel told more than could be heard.\n"
                cell["outputs"].append(output_from_msg(_stream(text)))
                return
            if message["parent_header"].get("msg_id") == parent_msg_id:
                try:
                    self.process_message(message, cell, cell_index)
                except CellExecutionComplete:
                    return

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        said = msg["content"]
        if said.get("name") == "stdout" and "live" in cell.metadata.get("tags", ()):
            self._printed(said["text"])
        return super().process_message(msg, cell, cell_index)

    def set_widgets_metadata(self) -> None:
        """The state of widgets, unless there is very much of it."""
        super().set_widgets_metadata()
        if size(json.dumps(self.nb.metadata.get("widgets", {}), default=str)) > _WIDGETS:
            del self.nb.metadata["widgets"]

    def close(self) -> None:
        """End the kernel at once (a graceful end stalls for seconds at times) and let go of it."""
        self._kernel.kill(wait=True)
        if self.km is not None:
            self._cleanup_kernel()
        self._kernel.remove()
