"""A run is a function of procedure, target and parameters, and returns its record."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import Any

from opslib.catalogue import parameters as declared
from opslib.catalogue import runbooks
from opslib.catalogue.procedures import Procedure
from opslib.core import Json, UsageError, unknown_name
from opslib.core.connections import targets
from opslib.core.connections.targets import Target
from opslib.pages import pages
from opslib.records import reading, records
from opslib.records.facts import Request
from opslib.records.records import Record
from opslib.runs import choices, forks

Tell = Callable[[int, int, str], None]
_AT_A_TIME = 16  # they wait for the network most of the time


def prepare(
    name: str,
    target: str,
    given: Mapping[str, Any],
    *,
    apply: bool,
    load: Callable[[str], Target] = targets.load,
    beside: bool = False,
) -> tuple[Procedure, Json]:
    """The procedure of a name and the parameters to run it with, all checked. Raises UsageError.

    `load` reads the target's file. `beside` other targets a broken file is for the run to tell.
    """
    procedure, preset, _ = runbooks.find(name)
    if "target" in given:
        raise UsageError(f"The target is given with -t {target}, not as a parameter.")
    wanted = {**preset, **given, "target": target}
    try:
        described = load(target)
    except UsageError:
        if not beside:
            raise
    else:
        wanted |= choices.choose(procedure, described, {**preset, **given})
    if apply:
        if not procedure.changes:
            raise UsageError(
                f"{name} changes nothing, so there is nothing to apply. Run it without --apply."
            )
        if wanted.get("approved"):
            raise UsageError(
                "--apply plans and applies in one run; -p approved=… applies a plan. "
                "Give one of them."
            )
        wanted["approved"] = "now"
    return procedure, declared.coerce(procedure.parameters, wanted, procedure.name)


def run(
    name: str,
    target: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    apply: bool = False,
    timeout_seconds: float | None = None,
    tell: Tell | None = None,
    forked: bool = False,
) -> Record:
    """Run a procedure or a runbook entry on a target; its record, however it ended.

    Values given as text are read as the parameter's type. `apply` plans and applies in one run,
    where that is allowed. `forked`: this is one of many (`run_many`), so its kernel is forked.
    Raises UsageError before anything is started, and OpsError when no record could be kept.
    """
    prepared = prepare(name, target, parameters or {}, apply=apply)
    return _run(name, *prepared, timeout_seconds=timeout_seconds, tell=tell, forked=forked)


def _run(name: str, procedure: Procedure, wanted: Json, **more: Any) -> Record:
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook
    from papermill.utils import nb_kernel_name

    from opslib.records import index
    from opslib.runs.executions import Execution

    path = procedure.path
    notebook = parameterize_notebook(load_notebook_node(str(path)), wanted)
    if more.get("note"):
        put_note(notebook, more["note"])
    told = {"id": records.new_id(), "name": name, "folder": path.parent} | more
    request = Request.of(notebook, nb_kernel_name(notebook), {"input_path": str(path)}, **told)
    try:
        Execution(notebook, request).run()
    except (KeyboardInterrupt, RuntimeError, TimeoutError):
        if not index.is_sealed(request.id):  # the record tells better how the run ended
            raise
    return reading.find(request.id)


def put_note(notebook: Any, text: str) -> None:
    """Where a procedure leaves room for the operator's note, else below its title."""
    cells = notebook["cells"]
    blank = (each for each in cells if each["source"].startswith("*Operator's note"))
    cell = next(blank, None) or next(c for c in cells if c["cell_type"] == "markdown")
    head = "" if cell["source"].startswith("*Operator's note") else f"{cell['source']}\n\n"
    cell["source"] = f"{head}**Note**: {text}"


def run_many(
    names: Sequence[str],
    on: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    apply: bool = False,
    note: str = "",
    timeout_seconds: float | None = None,
    progress: Callable[[str, str], Tell],
    printed: Callable[[str], None] | None = None,
) -> list[Record]:
    """`run` each procedure on each target, 16 at the same time; their records in order.

    A parameter goes to every procedure that has it. `progress` makes the `tell` of a procedure on
    a target; `printed` gets what a live cell prints, where only one runs.
    All names and parameters are checked before the first run starts: raises UsageError.
    Of several targets one whose file is broken is a run that failed.
    Ctrl-C, and a scheduler's SIGTERM, stop every run and keep its record.
    """
    wanted = [(name, target) for name in dict.fromkeys(names) for target in dict.fromkeys(on)]
    given = _shared(wanted, parameters or {})
    load = cache(targets.load)
    beside = len(set(on)) > 1
    prepared = {
        run: prepare(*run, given[run[0]], apply=apply, load=load, beside=beside) for run in wanted
    }
    forked = len(wanted) > 1 and forks.available()
    if forked:
        forks.prepare()
        pages.prepare()  # once, not in each thread

    def one(name: str, target: str) -> Record:
        return _run(
            name,
            *prepared[name, target],
            timeout_seconds=timeout_seconds,
            tell=progress(name, target),
            printed=printed if len(wanted) == 1 else None,
            forked=forked,
            note=note,
        )

    if len(wanted) == 1:
        return [one(*wanted[0])]
    from opslib.runs import executions

    with (
        executions.handling(signal.default_int_handler, signal.SIGTERM, signal.SIGHUP),
        ThreadPoolExecutor(max_workers=_AT_A_TIME) as pool,
    ):
        started = [pool.submit(one, *each) for each in wanted]
        try:
            return [future.result() for future in started]
        except KeyboardInterrupt:
            for future in started:
                future.cancel()
            while wait(started, timeout=0.5).not_done:  # one about to start is caught later
                executions.stop_all()
            raise


def _shared(wanted: Collection[tuple[str, str]], given: Mapping[str, Any]) -> dict[str, Json]:
    """Of the parameters given for several procedures, those that each has.

    Raises UsageError: none has it.
    """
    if len(wanted) > 1 and given.get("approved"):
        raise UsageError("-p approved=… applies one plan. Give one procedure and one target.")
    known = {name: {p.name for p in runbooks.find(name)[0].parameters} for name, _ in wanted}
    every = set().union(*known.values())
    for parameter in given:
        if parameter not in every:
            raise unknown_name("parameter", parameter, every, f" of {', '.join(known)}")
    return {name: {key: given[key] for key in given if key in own} for name, own in known.items()}
