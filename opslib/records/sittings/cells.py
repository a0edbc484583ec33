"""The cells of a sitting's record: each as often as it was run, between the text of its notebook.

A run is a code cell whose metadata says `opslib`: run (its number), cell (the notebook's id of
it), started, ended.
"""

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opslib.core import Finding, paths
from opslib.records import records, sealing
from opslib.records.outcomes import Event

RUN = "run"  # the event of a cell that is begun
_STOPPED = ("KeyboardInterrupt", "CancelledError", "Refused")
_LATEST = ("findings", "refused")  # of a cell that is run again only the last answer counts


def new_run(number: int, cell: str, like: Any, code: str, **said: Any) -> Any:
    """A run of a cell of that id that has begun; `like`: the cell as it was saved, if it was.

    `said`: when it was started, None where nobody saw it; its execution_count.
    """
    from nbformat import v4

    kept = {k: v for k, v in (like["metadata"] if like else {}).items() if k != "execution"}
    run = v4.new_code_cell(code, execution_count=said.get("count"))
    about = {"run": number, "cell": cell, "started": said.get("started"), "ended": None}
    run["metadata"] = type(run["metadata"])(kept | {"opslib": about})
    run["id"] = f"{cell[:50] or 'cell'}-run-{number}"
    return run


def runs_of(notebook: Any) -> list[Any]:
    """The runs in a record, in the order in which they were begun."""
    runs = [cell for cell in notebook["cells"] if "run" in cell["metadata"].get("opslib", {})]
    return sorted(runs, key=lambda run: run["metadata"]["opslib"]["run"])


def laid_out(cells: Sequence[Any], runs: Sequence[Any]) -> list[Any]:
    """The notebook's cells in its order, a code cell once for each time that it was run.

    One that was not run has no outputs. A run whose cell is not there any more, or was typed in a
    console, stands after what was run before it.
    """
    known = {cell["id"] for cell in cells if cell["cell_type"] == "code"}
    placed: dict[str, list[Any]] = defaultdict(list)
    last = ""
    for run in runs:
        own = run["metadata"]["opslib"]["cell"]
        last = own if own in known else last
        placed[last].append(run)
    made = [*_timed(placed[""])]
    for cell in cells:
        if cell["cell_type"] != "code":
            made.append(cell)
        elif cell["id"] in placed:
            made += _timed(placed[cell["id"]])
        elif cell["source"].strip():
            made.append({**cell, "outputs": [], "execution_count": None})
    return made


def _timed(runs: Sequence[Any]) -> list[Any]:
    """A line before each of several that says when it was run."""
    from nbformat import v4

    if len(runs) < 2:
        return [*runs]
    made: list[Any] = []
    for run in runs:
        said = run["metadata"]["opslib"]
        line = v4.new_markdown_cell(f"*Run at {(said['started'] or 'an unknown time')[11:19]} UTC*")
        line["id"], line["metadata"] = f"{run['id']}-when", {"opslib": {"when": said["run"]}}
        made += [line, run]
    return made


def unanswered(run: Any) -> list[Finding]:
    """What a cell was to say and did not, so that nobody concludes without it. That it was stopped
    its check tells, that it was refused its plan.
    """
    asked, _, _ = run["source"].partition("\n")
    failed = [o for o in run["outputs"] if o.get("ename", _STOPPED[0]) not in _STOPPED]
    return [Finding("unknown", asked, f"{o['ename']}: {o['evalue']}") for o in failed]


class Saved:
    """The notebook as it was last saved, read again when it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._when, self._cells = 0.0, list[Any]()

    def notebook(self) -> Any:
        """None when it is gone or half written."""
        with contextlib.suppress(OSError, ValueError):
            return sealing.read(self.path)
        return None

    def cells(self) -> list[Any]:
        """As last read, when it cannot be read now."""
        with contextlib.suppress(OSError):
            when = self.path.stat().st_mtime
            if when != self._when and (said := self.notebook()):
                self._when, self._cells = when, list(said["cells"])
        return list(self._cells)


def refreshed(notebook: Any, draft: Path, file: str) -> None:
    """Give a record that another process closes the text that was saved after the record was.

    `file`: the sitting's notebook, in the records folder.
    """
    path = paths.records() / file
    with contextlib.suppress(OSError):
        if path.stat().st_mtime > draft.stat().st_mtime and (said := Saved(path).notebook()):
            notebook["cells"] = laid_out(said["cells"], runs_of(notebook))


def put_back(cells: Sequence[Any], id: str) -> None:
    """What a sitting's record keeps of cells that show nothing: the page was away meanwhile."""
    record = paths.records() / records.place(id)
    if not record.is_file():
        return
    runs = {run["metadata"]["opslib"]["cell"]: run for run in runs_of(sealing.read(record))}
    for cell in cells:
        run = runs.get(cell["id"])
        if run and not cell["outputs"] and cell["source"] == run["source"]:
            cell |= {name: run[name] for name in ("outputs", "execution_count")}


def latest(told: Sequence[Event]) -> list[Event]:
    """The events that count: of a cell that was run again, the answers of its last run.

    `during` of an event: the cell and the number of the run that it was told in.
    """
    runs = [event["during"] for event in told if event.get("event") == RUN]
    last = {cell: number for cell, number in runs if cell}
    return [
        {name: value for name, value in event.items() if name != "during"}
        for event in told
        if event.get("event") != RUN and not (_is_of_before(event, last))
    ]


def _is_of_before(event: Event, last: dict[str, int]) -> bool:
    cell, number = event.get("during") or ("", 0)
    return event.get("event") in _LATEST and last.get(cell, number) != number
