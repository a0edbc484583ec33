"""A run is a function of procedure, target and parameters, and returns its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from opslib.catalogue import runbooks
from opslib.catalogue.procedures import Procedure
from opslib.core.connections import targets
from opslib.core.errors import UsageError
from opslib.core.strict_yaml import skip_iri_grammar
from opslib.records import reading, records
from opslib.records.records import Record
from opslib.runs import choices

Tell = Callable[[int, int, str], None]


def prepare(
    name: str, target: str, given: Mapping[str, Any], *, apply: bool
) -> tuple[Procedure, dict[str, Any]]:
    """The procedure of a name and the parameters to run it with, all checked. Raises UsageError."""
    procedure, preset, _ = runbooks.find(name)
    described = targets.load(target)
    if "target" in given:
        raise UsageError(f"The target is given with -t {target}, not as a parameter.")
    wanted = {**choices.choose(procedure, described, {**preset, **given}), "target": target}
    if apply:
        if not any(p.name == "approved" for p in procedure.parameters):
            raise UsageError(
                f"{name} changes nothing, so there is nothing to apply. Run it without --apply."
            )
        if wanted.get("approved"):
            raise UsageError(
                "--apply plans and applies in one run; -p approved=… applies a plan. Give one of them."
            )
        wanted["approved"] = "now"
    return procedure, procedure.coerce(wanted)


def run(
    name: str,
    target: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    apply: bool = False,
    timeout_seconds: float | None = None,
    tell: Tell | None = None,
) -> Record:
    """Run a procedure (`chapter/name`) or a runbook entry (`system/entry`) on a target; its record, however it ended.

    Values given as text are read as the parameter's type. `apply` plans and applies in one run, where that is
    allowed. Raises UsageError before anything is started, and OpsError when no record could be kept.
    """
    skip_iri_grammar()
    procedure, wanted = prepare(name, target, parameters or {}, apply=apply)
    from papermill.exceptions import PapermillException
    from papermill.execute import execute_notebook

    id = records.new_id(datetime.now(UTC))
    options = {
        "id": id,
        "name": name,
        "timeout_seconds": timeout_seconds,
        "tell": tell,
        "folder": procedure.path.parent,
    }
    try:
        execute_notebook(
            str(procedure.path),
            None,
            parameters=wanted,
            engine_name="opslib",
            progress_bar=False,
            **{f"opslib_{key}": value for key, value in options.items()},
        )
    except (PapermillException, KeyboardInterrupt, RuntimeError, TimeoutError):
        if not _kept(id):  # the record tells how the run ended better than the error that ended it
            raise
    return reading.find(id)


def _kept(id: str) -> bool:
    from opslib.records import index

    return any(row["seq"] is not None for row in index.rows(id=id))


def run_many(
    name: str,
    names: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    *,
    timeout_seconds: float | None = None,
    progress: Callable[[str], Tell],
) -> list[Record]:
    """`run` on several targets at the same time; their records in order. `progress` makes each target's `tell`.

    All names and parameters are checked before the first run starts. Ctrl-C stops every run and keeps its record.
    """
    skip_iri_grammar()
    for target in names:
        prepare(name, target, parameters or {}, apply=False)
    if len(names) == 1:
        return [run(name, names[0], parameters, timeout_seconds=timeout_seconds, tell=progress(""))]
    from opslib.runs import executions

    with ThreadPoolExecutor(max_workers=4) as pool:
        started = [
            pool.submit(
                run,
                name,
                target,
                parameters,
                timeout_seconds=timeout_seconds,
                tell=progress(target),
            )
            for target in names
        ]
        try:
            return [future.result() for future in started]
        except KeyboardInterrupt:
            for future in started:
                future.cancel()
            executions.stop_all()
            raise
