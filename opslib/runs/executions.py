"""One run of one notebook, from a kernel that starts to a record that is sealed."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from opslib.core import OpsError, cut, journal
from opslib.core.checks import notes
from opslib.core.waiting import handling
from opslib.pages import pages
from opslib.records import facts, index, outcomes, records, sealing
from opslib.records.facts import Request
from opslib.records.interruptions import BEAT_SECONDS
from opslib.records.outcomes import Ending
from opslib.runs.clients import Client, Manager
from opslib.runs.kernels import Kernel
from opslib.runs.pipes import JournalPipe

_GRACE_SECONDS = 5.0  # for a cell to end after it was interrupted
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, a scheduler, a closed terminal
_active: set[Execution] = set()


class Execution:
    """Use once: `run`."""

    def __init__(self, nb: Any, request: Request) -> None:
        self.nb, self.request = nb, request
        known = facts.at_start(
            request.name, request.procedure, request.target, request.parameters, request.id
        )
        self.draft = sealing.Draft(nb, known | request.more)
        self._section = pages.title(nb) or request.name
        self.stopped = threading.Event()  # it was told to end
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="opslib-record")

    def run(self) -> Any:
        """The executed, masked notebook.

        Raises what ended the run, unless it was a cell's error; OpsError.
        """
        self._kernel = Kernel(self.request.kernel, forked=self.request.forked)
        try:
            # A place that cannot be written is found now.
            self._copy(self.draft.begin())
        except BaseException:
            self._kernel.remove()
            self.draft.discard()
            raise
        self._pipe = JournalPipe(self.draft.journal, lambda line: self._tell(0, 0, line))
        if self.request.note:
            self._pipe.put({"event": "note", **vars(notes.noted(self.request.note))})
        progress_bar = self.request.options.get("progress_bar", False)
        self._manager = Manager(self.nb, self._save, progress_bar)
        _active.add(self)
        try:
            # They stop the run instead of this process.
            with handling(lambda *_: self.stop(), *_STOPS):
                ending, error = self._execute()
        finally:
            _active.discard(self)
            self._over.set()
            self._pool.shutdown()
        self._finish(ending)
        if not isinstance(error, CellExecutionError | None):
            raise error
        if error and error.ename == "SystemExit":  # which papermill takes for success
            raise RuntimeError(ending.why)
        return self.draft.notebook  # papermill raises what failed in a cell

    def stop(self) -> None:
        """Interrupt the cell that runs, and run no other.

        What does not listen is ended a few seconds later.
        """
        if self.stopped.is_set():
            self._kernel.kill()
            return
        self.stopped.set()
        self._kernel.interrupt()
        timer = threading.Timer(_GRACE_SECONDS, self._kernel.kill)
        timer.daemon = True
        timer.start()

    def _execute(self) -> tuple[Ending, BaseException | None]:
        """Start the kernel, run the cells, end the kernel; how it went, and the error to raise for
        it.
        """
        options = self.request.options
        passed = options.keys() & {"log_output", "stdout_file", "stderr_file"}
        client = Client(
            self._manager,
            self._kernel,
            self.draft.outputs,
            deadline=time.monotonic() + self.request.timeout_seconds,
            printed=self._print,
            timeout=options.get("execution_timeout"),
            startup_timeout=options.get("start_timeout", 60),
            **{name: options[name] for name in passed},
        )
        self._manager.notebook_start()
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self._manager.notebook_complete)
            at_the_end.callback(self._pipe.finish)
            at_the_end.callback(client.close)
            error: BaseException | None = None
            try:
                entered = self._start(client)
                client.run(ready=lambda: self._begun(entered), goes_on=self._goes_on)
            except OpsError:  # the index does not take the run, so no cell was run
                self.draft.discard()
                raise
            except (KeyboardInterrupt, Exception) as exc:  # noqa: BLE001 - how this run ended
                error = exc
            if self.stopped.is_set():
                error = KeyboardInterrupt()
            return self._ending(error, client), error

    def _start(self, client: Client) -> Future[None]:
        """Start the kernel; while it comes up, the run is entered in the index."""
        folder = {"cwd": str(self.request.folder)} if self.request.folder else {}
        end = self._pipe.write_end
        words = self._kernel.words
        env = self._kernel.environment(end) | {
            journal.STEPS: str(self.draft.ledger.absolute()),
            journal.HERE: f"{self.request.name} {self.request.procedure}",
        }
        client.start_new_kernel(
            pass_fds=(end, words.write_end),
            env=env,
            stdout=words.write_end,
            stderr=words.write_end,
            **folder,
        )
        words.start()
        self._pipe.start()
        return self._pool.submit(self._enter)

    def _begun(self, entered: Future[None]) -> None:
        """Raises OpsError when the index does not take the run."""
        entered.result()
        self._pool.submit(self._beat)

    def _enter(self) -> None:
        self.draft.facts |= facts.of_the_code()
        row = records.row(self.draft.facts) | facts.lease()
        if not self.request.entered:
            index.insert(row)
        elif not index.update(row["id"], only_if=facts.process(), **row):
            raise OpsError(f"Record {row['id']} was closed before it was begun. Nothing was run.")

    def _beat(self) -> None:
        """A sign of life in the index now and then, for those who cannot look at this machine."""
        pages.prepare()  # what the end needs is imported while cells run
        while not self._over.wait(BEAT_SECONDS):
            with contextlib.suppress(OpsError):
                index.update(self.request.id, heartbeat=facts.moment())

    def _goes_on(self, index: int) -> bool:
        """With this cell, which is told; not when the run was stopped."""
        if self.stopped.is_set():
            return False
        self._section = pages.section(self.nb, index) or self._section
        self._tell(index + 1, len(self.nb.cells), self._section)
        return True

    def _tell(self, *said: Any) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone; the run is not
            self.request.tell(*said)

    def _print(self, text: str) -> None:
        self._pipe.pump()  # what is a secret is known before a line is shown
        with contextlib.suppress(OSError):
            self.request.printed(text)

    def _save(self, changed: bool) -> None:
        """As cells start, print and end. What a kernel had masked is known before it is saved."""
        self._pipe.pump()
        self.draft.save_soon(self._pipe.told, changed=changed)

    def _ending(self, error: BaseException | None, client: Client) -> Ending:
        """How it ended, by the error that ended it: none when all cells ran."""
        where = f"cell {client.current + 1} of {len(self.nb.cells)} ({self._section})"
        match error:
            case None:
                return Ending(outcomes.DONE)
            case KeyboardInterrupt():
                return Ending("interrupted", f"Interrupted in {where}.")
            case CellExecutionError(ename="Refused", evalue=why):
                return Ending("refused", why)
            case CellExecutionError(ename="SystemExit"):
                why = f"The kernel was told to exit in {where}; that is not success."
                return Ending("failed", why)
            case CellExecutionError(ename=name, evalue=why):
                return Ending("failed", f"Failed in {where}: {name}: {why}")
            case CellTimeoutError():
                limit = f"time was up ({self.request.timeout_seconds:g} s a run)"
                return Ending("timed out", f"Stopped in {where}: {limit}.")
            case DeadKernelError() | RuntimeError():
                client.tell(said := self._kernel.words.said())
                why = cut(said.rpartition("\n")[2], 200)
                why = f"{self._kernel.death()}{why and f': {why}'}"
                return Ending("kernel died", f"The kernel died in {where}: {why}.")
        return Ending("failed", f"{type(error).__name__}: {error}")

    def _finish(self, ending: Ending) -> None:
        """Keep the record whole and sealed, and papermill's copy.

        Raises OpsError that says what was kept.
        """
        here = (self.request.name, self.request.procedure)
        self.draft.conclude(ending, self._pipe.told, here)
        trouble = sealing.keep(self.draft)
        self._copy(self.draft.notebook)
        if trouble:
            raise OpsError(trouble)

    def _copy(self, masked: Any) -> None:
        """papermill's own output, where it asks for one. Raises what papermill would."""
        if self.request.output:
            from papermill.iorw import write_ipynb

            write_ipynb(masked, self.request.output)


def stop_all(ids: Collection[str] | None = None) -> None:
    """Stop every run of this process, or those, that was not told to: for one that runs several in
    threads.
    """
    for execution in list(_active):
        if not execution.stopped.is_set() and (ids is None or execution.request.id in ids):
            execution.stop()
