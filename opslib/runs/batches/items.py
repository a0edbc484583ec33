"""One run of a batch: a procedure on a target, prepared, with the ids that its records may have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from opslib.catalogue.procedures import Procedure
from opslib.core import Json, OpsError, cut
from opslib.records import facts, index, reading, sealing
from opslib.records.facts import Request
from opslib.records.outcomes import Ending
from opslib.records.records import Record

Tell = Callable[[int, int, str], None]
Progress = Callable[[str, str], Tell]


@dataclass(frozen=True)
class Item:
    """`parameters` are checked. `id` is its record's; chosen before, so that nobody who runs it a
    second time makes a second record.
    """

    id: str
    name: str
    procedure: Procedure
    target: str
    parameters: Json
    note: str = ""
    timeout_seconds: float | None = None

    def run(self, **more: Any) -> Record:
        """Its record, however it ended. Raises OpsError when none could be kept."""
        from papermill.utils import nb_kernel_name

        from opslib.runs.executions import Execution

        path, notebook = self.procedure.path, self._notebook()
        told = {"id": self.id, "name": self.name, "folder": path.parent, "note": self.note}
        told |= {"timeout_seconds": self.timeout_seconds} | more
        request = Request.of(notebook, nb_kernel_name(notebook), {"input_path": str(path)}, **told)
        try:
            Execution(notebook, request).run()
        except (KeyboardInterrupt, RuntimeError, TimeoutError):
            if not index.is_sealed(request.id):  # the record tells better how the run ended
                raise
        return reading.find(request.id)

    def at_start(self) -> Json:
        """What its record says before it is run."""
        return facts.at_start(self.name, self.procedure.name, self.target, self.parameters, self.id)

    def not_run(self, why: str) -> Record:
        """Its record all the same: failed, with the reason. Raises OpsError when it is not kept."""
        draft = sealing.opened(self._notebook(), self.at_start())
        ending = Ending("failed", f"It was not run: {why}")
        draft.conclude(ending, [])
        if trouble := sealing.keep(draft):
            raise OpsError(trouble)
        return reading.find(self.id)

    def _notebook(self) -> Any:
        notebook = filled(self.procedure, self.parameters)
        if self.note:
            put_note(notebook, self.note)
        return notebook


# Who runs a batch: the items' records, in their order; `Progress` makes what hears of a name on a
# target. Ctrl-C, and a scheduler's SIGTERM, stop every run and keep its record.
Executor = Callable[[Sequence[Item], Progress], list[Record]]


def ended(tell: Tell, record: Record) -> Record:
    """Of several runs each says how it ended when it has, not when all have."""
    tell(0, 0, cut(f"ended, {record.outcome}: {record.verdict}", 300))
    return record


def filled(procedure: Procedure, parameters: Json) -> Any:
    """Its notebook with parameters put in."""
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    return parameterize_notebook(load_notebook_node(str(procedure.path)), parameters)


def put_note(notebook: Any, text: str) -> None:
    """Where a procedure leaves room for the operator's note, else below its title."""
    cells = notebook["cells"]
    blank = (each for each in cells if each["source"].startswith("*Operator's note"))
    cell = next(blank, None) or next(c for c in cells if c["cell_type"] == "markdown")
    head = "" if cell["source"].startswith("*Operator's note") else f"{cell['source']}\n\n"
    cell["source"] = f"{head}**Note**: {text}"
