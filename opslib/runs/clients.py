"""papermill's notebook client and manager, with outputs that are capped and saves that are few."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from nbclient.exceptions import CellExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager

from opslib.records.facts import uptime
from opslib.records.outputs import Outputs
from opslib.runs.kernels import Kernel


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


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """Runs the cells, one after the other, until one fails, time is up, or it is told to stop."""

    def __init__(
        self, manager: Manager, kernel: Kernel, outputs: Outputs, deadline: float, **options: Any
    ) -> None:
        super().__init__(manager, km=kernel.manager, timeout_func=self._seconds_left, **options)
        self._kernel, self._outputs, self._deadline = kernel, outputs, deadline
        self._cell_timeout = options.get("timeout") or math.inf
        self.current = 0

    def _seconds_left(self, _: Any) -> float:
        return max(0.001, min(self._deadline - time.monotonic(), self._cell_timeout))

    def run(self, ready: Callable[[], None], goes_on: Callable[[int], bool]) -> None:
        """Wait for the kernel, then `ready`, then the cells, while it `goes_on` with the next.

        Raises CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError.
        """
        self.reset_execution_trackers()
        self.start_new_kernel_client()
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
        self.nb_man.cell_start(cell, index)
        try:
            self.execute_cell(cell, index)
        except BaseException as exc:
            self.nb_man.cell_exception(cell, cell_index=index, exception=exc)
            raise
        finally:
            self._outputs.finish(cell, index)
            self.nb_man.cell_complete(cell, cell_index=index)

    async def _check_raise_for_error(self, cell: Any, cell_index: int, exec_reply: Any) -> None:
        await super()._check_raise_for_error(cell, cell_index, exec_reply)
        asked = (exec_reply or {}).get("content", {}).get("payload", ())
        if any(each.get("source") == "ask_exit" for each in asked):  # IPython's exit and quit
            raise CellExecutionError("", "SystemExit", "exit")

    async def _async_check_alive(self) -> None:
        self.nb_man.save(changed=False)
        await super()._async_check_alive()

    def output(self, outs: list[Any], msg: Any, display_id: Any, cell_index: int) -> Any:
        out = super().output(outs, msg, display_id, cell_index)
        if out is not None and outs and outs[-1] is out:
            self._outputs.take(outs, cell_index)
        return out

    def clear_output(self, outs: list[Any], msg: Any, cell_index: int) -> None:
        super().clear_output(outs, msg, cell_index)
        self._outputs.forget(cell_index)

    def close(self) -> None:
        """End the kernel at once (a graceful end stalls for seconds at times) and let go of it."""
        self._kernel.kill(wait=True)
        if self.km is not None:
            self._cleanup_kernel()
        self._kernel.remove()
