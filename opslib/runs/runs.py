"""A run is a function of procedure, target and parameters, and returns its record."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from opslib.catalogue import parameters as declared
from opslib.catalogue import runbooks
from opslib.catalogue.procedures import Procedure
from opslib.core import Json, Target, UsageError, targets, unknown_name
from opslib.records import reading, records
from opslib.records.records import Record
from opslib.runs import choices
from opslib.runs.batches import LOCAL, executors
from opslib.runs.batches.items import Item, Progress


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
    for each in procedure.parameters:
        if each.record and wanted.get(each.name):
            reading.find(wanted[each.name])
    return procedure, declared.coerce(procedure.parameters, wanted, procedure.name)


def run_many(
    names: Sequence[str],
    on: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    apply: bool = False,
    note: str = "",
    timeout_seconds: float | None = None,
    progress: Progress,
    printed: Callable[[str], None] | None = None,
    executor: str = LOCAL,
) -> list[Record]:
    """Run each procedure, or runbook entry, on each target at the same time; their records in
    order, however they ended.

    A parameter goes to every procedure that has it; text is read as its type. `apply` plans and
    applies in one run, where that is allowed. `progress` makes the `tell` of a procedure on
    a target; `printed` gets what a live cell prints, where only one runs.
    All names and parameters are checked before the first run starts: raises UsageError.
    Of several targets one whose file is broken is a run that failed.
    Ctrl-C, and a scheduler's SIGTERM, stop every run and keep its record.
    `executor`: three a core at a time in this process, or `dask://HOST:PORT` (docs/scaling.md).
    """
    chosen = executors.named(executor, printed)
    wanted = [(name, target) for name in dict.fromkeys(names) for target in dict.fromkeys(on)]
    given = _shared(wanted, parameters or {})
    load = cache(targets.load)
    beside = len(set(on)) > 1
    prepared = {
        run: prepare(*run, given[run[0]], apply=apply, load=load, beside=beside) for run in wanted
    }
    ids = records.new_ids(len(wanted))
    items = [
        Item(id, name, procedure, target, values, note, timeout_seconds)
        for id, ((name, target), (procedure, values)) in zip(ids, prepared.items(), strict=True)
    ]
    return chosen(items, progress)


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
