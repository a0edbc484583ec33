"""A sitting kept as a record by the kernel that it is worked in.

`connect` begins it, the kernel keeps cells as they are run, `conclude` seals it; the next cell then
begins another that continues it. The kernel's end seals it as what it was. Killed, it leaves a
draft, which is closed like that of any run whose process is gone.
"""

import atexit
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opslib.core import Connection, Finding, Json, OpsError, Plan, redaction
from opslib.core.checks.notes import Note
from opslib.core.journal import HERE, Ledger
from opslib.pages import pages
from opslib.records import facts, index, outcomes, sealing
from opslib.records.chain import late_notes
from opslib.records.interruptions import BEAT_SECONDS
from opslib.records.outcomes import DONE, Ending, Event
from opslib.records.records import ID
from opslib.records.sittings import cells, places
from opslib.records.sittings.hearing import Shown, asked, listen

_NO_CELL = ("", -1)
_ANOTHER = (
    "The cells before were run from another page: this one was opened again, or is a second one. "
    "What is run in either is kept; of what is written in them, what is saved last. Work in one, "
    "and close the other.\n"
)


class Sitting:
    """One a kernel. `listen` tells it of cells, in whatever thread sends."""

    def __init__(self, shell: Any, path: Path) -> None:
        self._shell, self._path = shell, path
        self._lock = threading.RLock()
        self._draft: sealing.Draft | None = None
        self._shown: Shown
        self._told: list[Event] = []
        self._numbers: dict[str, int] = {}  # of runs, by request
        self._during = _NO_CELL
        self._names: list[str] = []  # of the parameters
        self._asked: Sequence[str] = ()  # the procedure's cells
        self._connected: Event = {}
        self._ops: Connection | None = None
        self._found: dict[str, list[Finding]] = {}  # by the last run of each cell
        self._seen = 0  # findings before the cell that runs
        self._concluded = ""  # the request in which a verdict was given
        self._before = ""  # the record that the next one continues
        self._trouble = ""
        self._listening, self._page = False, ""
        self._over, self._waiting = threading.Event(), threading.Event()
        self._file = cells.Saved(path)

    def begin(self, target: str) -> None:
        """`connect` runs. What is under way goes on, unless it is of another target."""
        with self._lock:
            if self._draft and self._draft.facts["target"] == target:
                self._draft.facts["parameters"] = self._parameters()
                return
            if self._draft:
                self._seal(concluded=False)
            try:
                self._open(target)
            except (OpsError, OSError) as exc:
                self._trouble = str(exc)
                print(f"This sitting is not kept: {exc} You can look; no plan will be applied.")
                return
            self._take_up_cells(earlier=not self._listening)
            if not self._listening:
                self._listening = True
                listen(self._shell.kernel.session, self)
                atexit.register(self.leaves)
                threading.Thread(target=self._keep, name="opslib-sitting", daemon=True).start()

    def joins(self, ops: Connection) -> None:
        """The connection is made: its findings are the record's."""
        self._ops = ops

    def hears(self, event: Event) -> None:
        """An event of the connection's journal."""
        with self._lock:
            if event["event"] == "connected":
                self._connected = event
            if event["event"] == "parameter" and self._draft:
                self._draft.facts["parameters"] = self._parameters()
            if event["event"] == "verdict" and self._ops:
                self._concluded = self._request()[0]
                self._judged(self._ops)
            self._tell(event)

    def note(self, note: Note) -> str:
        """What was typed while no cell runs, perhaps after the end. Raises OpsError."""
        with self._lock:
            if not (self._draft or self._before):
                raise OpsError(f"This sitting is not kept. {self._trouble}")
            if self._draft is None:
                return late_notes.add(self._before, note)
            self._tell({**vars(note), "event": "note"})
            return str(note)

    @contextmanager
    def recorded(self, ops: Connection, plan: Plan) -> Iterator[None]:
        """A change is part of the sitting's record. Raises OpsError, before, when there is none."""
        if self._draft is None:
            raise OpsError(f"This sitting is not kept, so nothing was changed. {self._trouble}")
        ops.journal.ledger = Ledger(self._draft.ledger)
        try:
            yield
        finally:
            ops.journal.ledger = None

    def begins(self, by: tuple[str, str, str], code: str, count: int) -> str:
        """What is to be said below the cell, before it is run. `by`: what was `asked`."""
        with self._lock:
            request, page, cell = by
            said = _ANOTHER * (page != self._page)
            self._page = page
            if self._draft is None and not (self._trouble or self._over.is_set()):
                self._open(self._connected["target"])
                said += f"{self._before} is sealed; from here on this is record {self.id}.\n"
            if self._draft is not None:
                self._run(request, cell, code, count=count, started=facts.moment())
                self._forget(self._found.pop(cell, ()))
                self._seen = len(self._ops.findings) if self._ops else 0
                self._save(at_once=True)
            return said

    def shows(self, request: str, message: Any) -> None:
        with self._lock:
            pressed = message["msg_type"] == "update_display_data" and self._numbers
            number = self._numbers.get(request, 0 if pressed else None)  # display_id says of what
            if number is not None:
                self._shown.take(number, message)
                self._waiting.set()

    def ends(self, request: str) -> str:
        """What is to be said below the cell, now that it has ended."""
        with self._lock:
            if (number := self._numbers.get(request)) is None or self._draft is None:
                return ""
            run = self._shown.nb["cells"][number]
            (said := run["metadata"]["opslib"])["ended"] = facts.moment()
            self._draft.outputs.finish(run, number)
            if self._ops and (cell := said["cell"]):
                if cell in self._asked and not self._ops.findings[self._seen :]:
                    self._ops.findings += cells.unanswered(run)
                self._found[cell] = [*self._ops.findings[self._seen :]]
            self._during = _NO_CELL
            self._waiting.set()
            if self._concluded != request:
                return ""
            page = self._draft.path.with_suffix(".html")
            kept = f"Kept and sealed as record {page.stem}: {page}"
            return f"{self._seal(concluded=True) or kept}\n"

    def fails(self, exc: Exception) -> None:
        """Say it once, where JupyterLab logs; a plan is not applied any more."""
        if not self._trouble:
            self._trouble = f"{type(exc).__name__}: {exc}"
            print(f"This sitting is not kept any more: {self._trouble}", file=sys.__stderr__)

    def leaves(self) -> None:
        """The kernel ends: what there is is sealed as what it was."""
        self._over.set()
        with self._lock:
            if self._draft is not None and os.environ.get(places.MINE) == str(os.getpid()):
                self._seal(concluded=False)

    @property
    def id(self) -> str:
        return str(self._draft.facts["id"]) if self._draft else ""

    def _open(self, target: str) -> None:
        """Begin a record. Raises OpsError, OSError: it cannot be kept."""
        from nbformat import v4

        notebook = self._file.notebook() or v4.new_notebook()
        opened: Json = notebook["metadata"].pop("opslib", {}).get("sitting", {})
        name = str(opened.get("name") or self._path.stem)
        procedure, stem = str(opened.get("procedure") or name), self._path.stem
        first = bool(ID.fullmatch(stem)) and not index.rows(id=stem)
        self._before = self._before or ("" if first or not ID.fullmatch(stem) else stem)
        self._names, self._asked = [*(opened.get("parameters") or {})], opened.get("cells") or ()
        given = self._parameters()
        said = facts.at_start(name, procedure, target, given, stem if first else "")
        said |= {
            "sitting": {"id": stem, "file": f"{places.FOLDER}/{self._path.name}"},
            "continues": self._before,
        }
        draft = sealing.opened({**notebook, "cells": []}, said)
        self._draft, self._shown, self._trouble = draft, Shown(draft.outputs), ""
        self._told, self._numbers, self._concluded = [], {}, ""
        os.environ |= {HERE: f"{name} {procedure}", places.MINE: str(os.getpid())}
        if self._connected:
            self._tell(self._connected)
        if first and (note := opened.get("note")):
            self._tell({**note, "event": "note"})

    def _parameters(self) -> Json:
        """As they are now, whoever set them: the values at the last `connect` count."""
        known = self._shell.user_ns
        given = {name: known[name] for name in self._names if name in known}
        redaction.register_typed(given)
        return dict(json.loads(json.dumps(given, default=str)))

    def _take_up_cells(self, *, earlier: bool) -> None:
        """The cell that runs now, and those that ran before anything listened."""
        *before, now = self._shell.history_manager.input_hist_raw
        count = len(before)
        if earlier:
            by_code = {cell["source"].strip(): str(cell["id"]) for cell in self._file.cells()}
            for number, code in enumerate(before):
                if code.strip():
                    self._run(f"before-{number}", by_code.get(code.strip(), ""), code, count=number)
        request, self._page, cell = self._request()
        self._run(request, cell, now, count=count, started=facts.moment())

    def _request(self) -> tuple[str, str, str]:
        return asked(self._shell.kernel.get_parent("shell") or {})

    def _run(self, request: str, cell: str, code: str, **said: Any) -> None:
        runs = self._shown.nb["cells"]
        like = next((each for each in self._file.cells() if each["id"] == cell), None)
        self._numbers[request], self._during = len(runs), (cell, len(runs))
        runs.append(cells.new_run(len(runs), cell, like, code, **said))
        self._tell({"event": cells.RUN})

    def _forget(self, found: Any) -> None:
        """What a cell found counts until it is run again; its outputs stay."""
        if self._ops and (gone := {id(finding) for finding in found}):
            self._ops.findings[:] = [f for f in self._ops.findings if id(f) not in gone]

    def _judged(self, ops: Connection) -> None:
        """The findings of the record are those that the verdict is about."""
        here = any(event["event"] == "step" for event in self._told)
        counted = [f for f in ops.findings if f.verifies or here or not ops.changed]
        self._told = [event for event in self._told if event["event"] != "findings"]
        self._tell({"event": "findings", "findings": [asdict(f) for f in counted]})

    def _tell(self, event: Event) -> None:
        if self._draft is None:
            return
        event = json.loads(json.dumps({**event, "during": self._during}, default=str))
        self._told.append(event)
        outcomes.write_down(self._draft.journal, event)
        self._waiting.set()

    def _save(self, *, at_once: bool = False) -> bool:
        """Whether something waits for a later save."""
        if self._draft is None:
            return False
        self._draft.notebook["cells"] = cells.laid_out(self._file.cells(), self._shown.nb["cells"])
        told = cells.latest(self._told)
        return self._draft.save_soon(told, changed=True, at_once=at_once)

    def _keep(self) -> None:
        """Save what has changed, and give a sign of life now and then."""
        pages.prepare()  # what the end needs
        beat = time.monotonic()
        while not self._over.wait(1.0):
            if self._waiting.wait(BEAT_SECONDS):
                self._waiting.clear()
                with self._lock:
                    if not self._over.is_set() and self._save():
                        self._waiting.set()
            if self.id and time.monotonic() - beat > BEAT_SECONDS:
                beat = time.monotonic()
                with contextlib.suppress(OpsError):
                    index.update(self.id, heartbeat=facts.moment())

    def _seal(self, *, concluded: bool) -> str:
        """Close the record; what went wrong with what was kept."""
        draft, self._draft = self._draft, None
        if draft is None:
            return ""
        here, said = os.environ.get(HERE, "").split(), draft.facts
        draft.conclude(Ending(DONE), cells.latest(self._told), here)
        if not concluded:
            shown = self._shown.nb["cells"][-1]["outputs"]
            failed = [f"{o['ename']}: {o['evalue']}" for o in shown if "ename" in o]
            if said["outcome"] == "ok":
                said["outcome"] = "failed" if failed else "interrupted"
            said["verdict"] = f"Left without conclude. {[*failed, said['verdict']][0]}"
            said["exit_status"] = outcomes.exit_status(said["outcome"], said["status"])
        if self._trouble:
            said["incomplete"] = f"Not all of the sitting was kept: {self._trouble}"
        draft.notebook["cells"] = cells.laid_out(self._file.cells(), self._shown.nb["cells"])
        self._before = draft.facts["id"]
        return sealing.keep(draft)
