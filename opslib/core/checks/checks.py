"""Checks: a function that looks becomes one whose findings are kept, and which no denial ends."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from operator import itemgetter
from pathlib import Path
from typing import Concatenate, TypeAlias

from opslib.core.checks.causes import DENIED
from opslib.core.connections.connection import Connection
from opslib.core.defects import apart, understood
from opslib.core.errors import NotAllowed, OpsError, Refused, UsageError
from opslib.core.findings import Finding, Findings, P
from opslib.core.journal import HERE

Look: TypeAlias = Callable[Concatenate[Connection, P], Findings]


def check(question: str) -> Callable[[Look[P]], Look[P]]:
    """Make a function a check.

    Its findings are kept with the run, and what could not be read is *unknown*.

    A denied, unreachable or missing source becomes a finding, so the other checks of a report go
    on; so does an error that nobody foresaw, with its trace, and each of several that `ops.each`
    could not read.
    Bad input (UsageError) and our own guard (Refused) are still raised.
    """

    def decorate(function: Look[P]) -> Look[P]:
        @functools.wraps(function)
        def run(ops: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Findings:
            lost: list[tuple[str, OpsError]] = []
            before = apart.set(lost)
            try:
                with understood():
                    found = function(ops, *args, **kwargs)
            except (UsageError, Refused):
                raise
            except OpsError as exc:
                found = Findings([unread(question, exc)])
            finally:
                apart.reset(before)
            found += [unread(*each) for each in sorted(lost, key=itemgetter(0))]
            return keep(ops, found)

        return run

    return decorate


def answer(question: str, look: Callable[[], Finding]) -> Finding:
    """One finding of several in a check.

    What it could not read makes it *unknown*, and the others go on.
    """
    try:
        with understood():
            return look()
    except (UsageError, Refused):
        raise
    except OpsError as exc:
        return unread(question, exc)


def unread(question: str, exc: OpsError) -> Finding:
    """What could not be read is *unknown*; that it was denied is a cause."""
    cause = DENIED if isinstance(exc, NotAllowed) else ""
    source = type(exc).__name__
    return Finding("unknown", question, str(exc), source=source, cause=cause, trace=exc.trace)


def _here() -> list[str]:
    """What this kernel runs, as the engine or JupyterLab says: its procedure, and the entry."""
    notebook = Path(os.environ.get("JPY_SESSION_NAME") or "-").with_suffix("")
    return [*os.environ.get(HERE, "").split(), f"{notebook.parent.name}/{notebook.name}"]


def keep(ops: Connection, found: Findings) -> Findings:
    """Keep findings with the run; those made after a change was applied are its verification.

    None sends to the notebook that it stands in.
    """
    here = _here()
    found[:] = [
        replace(f, verifies=ops.changed or f.verifies, next="" if f.next in here else f.next)
        for f in found
    ]
    ops.findings.extend(found)
    ops.journal.write("findings", findings=[asdict(f) for f in found])
    return found
