"""One run of one notebook, from a kernel that starts to a record that is sealed."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError

from opslib.core.errors import OpsError
from opslib.pages import pages
from opslib.records import facts, outcomes
from opslib.records.drafts import Draft
from opslib.records.facts import Request
from opslib.records.interruptions import BEAT_SECONDS
from opslib.records.outcomes import Ending
from opslib.runs.clients import Client, Manager
from opslib.runs.kernels import Kernel
from opslib.runs.pipes import JournalPipe

_GRACE_SECONDS = 5.0  # for a cell to end after it was interrupted
_active: set[Execution] = set()


class Execution:
    """Use once: `run`."""

    def __init__(self, nb: Any, request: Request) -> None:
        self.nb, self.request = nb, request
        self.draft = Draft(request.id)
        self.facts = facts.at_start(request)
        self._section = pages.title(nb) or request.name
        self._stopped = threading.Event()
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="opslib-record")

    def run(self) -> Any:
        """The executed, masked notebook. Raises what ended the run, unless it was a cell's error; OpsError."""
        self._kernel = Kernel(self.request.kernel, forked=self.request.forked)
        try:
            self._copy(
                self.draft.begin(self.nb, self.facts)
            )  # a place that cannot be written is found now
        except BaseException:
            self._kernel.remove()
            self.draft.discard()
            raise
        self._pipe = JournalPipe(self.draft.journal, lambda line: self.request.tell(0, 0, line))
        progress_bar = self.request.options.get("progress_bar", False)
        self._manager = Manager(self.nb, self._save, self._cell_starts, progress_bar)
        _active.add(self)
        previous = _catch_signals(self)
        try:
            ending, error = self._execute()
        finally:
            _restore_signals(previous)
            _active.discard(self)
            self._over.set()
            self._pool.shutdown()
        self._finish(ending)
        if error is not None:
            raise error
        return self.nb

    @property
    def stopped(self) -> bool:
        """Was it told to end?"""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Interrupt the cell that runs, and run no other. What does not listen is ended a few seconds later."""
        again = self._stopped.is_set()
        self._stopped.set()
        if again:
            self._kernel.kill()
            return
        self._kernel.interrupt()
        timer = threading.Timer(_GRACE_SECONDS, self._kernel.kill)
        timer.daemon = True
        timer.start()

    def _execute(self) -> tuple[Ending, BaseException | None]:
        """Start the kernel, run the cells, end the kernel; how it went, and the error to raise for it."""
        client = self._client()
        self._manager.notebook_start()
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self._manager.notebook_complete)
            at_the_end.callback(self._pipe.finish)
            at_the_end.callback(client.close)
            try:
                started = self._start(client)
                client.run(ready=started.result, stopped=self._stopped.is_set)
            except OpsError:  # the index does not take the run, so no cell was run
                self.draft.discard()
                raise
            except (KeyboardInterrupt, Exception) as exc:  # noqa: BLE001 - each is how this run ended; raised again
                return self._ended_by(exc, client), exc
            return self._ended(client)

    def _client(self) -> Client:
        options = {
            k: v
            for k, v in self.request.options.items()
            if k in ("log_output", "stdout_file", "stderr_file")
        }
        return Client(
            self._manager,
            self._kernel,
            self.draft.outputs,
            deadline=time.monotonic() + self.request.timeout_seconds,
            timeout=self.request.options.get("execution_timeout"),
            startup_timeout=self.request.options.get("start_timeout", 60),
            **options,
        )

    def _start(self, client: Client) -> Future[None]:
        """Start the kernel; while it comes up, the run is entered in the index."""
        folder = {"cwd": str(self.request.folder)} if self.request.folder else {}
        end = self._pipe.write_end
        client.start_new_kernel(pass_fds=(end,), env=self._kernel.environment(end), **folder)
        self._pipe.start()
        return self._pool.submit(self._enter)

    def _enter(self) -> None:
        from opslib.records.index import insert

        self.facts.update(facts.of_the_code())
        insert(facts.row(self.facts) | facts.lease())
        self._pool.submit(self._beat)

    def _beat(self) -> None:
        """A sign of life in the index now and then, for those who cannot look at this machine."""
        from opslib.pages import pages  # what the end needs is imported while cells run
        from opslib.records.index import update

        pages.prepare()
        while not self._over.wait(BEAT_SECONDS):
            with contextlib.suppress(OpsError):
                update(self.request.id, heartbeat=facts.moment())

    def _cell_starts(self, index: int) -> None:
        self._section = pages.section(self.nb, index) or self._section
        self.request.tell(index + 1, len(self.nb.cells), self._section)

    def _save(self, changed: bool) -> None:
        """Called as cells start, print and end. What a kernel had masked is known before its output is saved."""
        self._pipe.pump()
        self.draft.save_soon(self.nb, self.facts | self._pipe.events.as_metadata(), changed=changed)

    def _ended(self, client: Client) -> tuple[Ending, BaseException | None]:
        """The cells came to an end by themselves: all of them, or one failed."""
        if self._stopped.is_set():
            return Ending(
                "interrupted", f"Interrupted in {self._where(client)}."
            ), KeyboardInterrupt()
        error = client.failed
        if error is None:
            return Ending(outcomes.DONE), None
        if error.ename == "Refused":
            return Ending("refused", error.evalue), None
        if error.ename == "SystemExit":
            message = f"The kernel was told to exit in {self._where(client)}; that is not success."
            return Ending("failed", message), RuntimeError(message)
        return Ending(
            "failed", f"Failed in {self._where(client)}: {error.ename}: {error.evalue}"
        ), None

    def _ended_by(self, exc: BaseException, client: Client) -> Ending:
        where = self._where(client)
        if self._stopped.is_set() or isinstance(exc, KeyboardInterrupt):
            return Ending("interrupted", f"Interrupted in {where}.")
        if isinstance(exc, CellTimeoutError):
            return Ending(
                "timed out",
                f"Stopped in {where}: time was up ({self.request.timeout_seconds:g} s a run).",
            )
        if isinstance(exc, (DeadKernelError, RuntimeError)):
            return Ending("kernel died", f"The kernel died in {where}: {self._kernel.death()}.")
        return Ending("failed", f"{type(exc).__name__}: {exc}")

    def _where(self, client: Client) -> str:
        return f"cell {client.current + 1} of {len(self.nb.cells)} ({self._section})"

    def _finish(self, ending: Ending) -> None:
        """Keep the record whole and sealed, and papermill's copy. Raises OpsError that says what was kept."""
        from opslib.records import sealing

        self.facts |= self._pipe.events.as_metadata() | outcomes.conclude(ending, self._pipe.events)
        here = (self.request.name, self.request.procedure)
        self.facts["next"] = [name for name in self.facts["next"] if name not in here]
        self.facts["ended"] = facts.moment()
        self.nb, trouble = sealing.keep(self.draft, self.nb, self.facts)
        self._copy(self.nb)
        if trouble:
            raise OpsError(trouble)

    def _copy(self, masked: Any) -> None:
        """papermill's own output, where it asks for one. Raises what papermill would."""
        if self.request.output:
            from papermill.iorw import write_ipynb

            write_ipynb(masked, self.request.output)


def _catch_signals(execution: Execution) -> dict[int, Any]:
    """Ctrl-C, and a scheduler's SIGTERM, stop the run instead of this process; only the main thread can hear them."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {
        n: signal.signal(n, lambda *_: execution.stop()) for n in (signal.SIGINT, signal.SIGTERM)
    }


def _restore_signals(previous: dict[int, Any]) -> None:
    for number, handler in previous.items():
        signal.signal(number, handler)


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """A scheduler's SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def stop_all() -> None:
    """Stop every run of this process that was not told to: for one that runs several in threads."""
    for execution in list(_active):
        if not execution.stopped:
            execution.stop()
