"""Checks: a function that looks becomes one whose findings are kept, and which no denial ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Concatenate, TypeAlias

from opslib.core.checks.causes import DENIED
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, OpsError, Refused, UsageError
from opslib.core.findings import Finding, Findings, P

Look: TypeAlias = Callable[Concatenate[Connection, P], Findings]


def check(question: str) -> Callable[[Look[P]], Look[P]]:
    """Make a function a check.

    Its findings are kept with the run, and what could not be read is *unknown*.

    A denied, unreachable or missing source becomes a finding, so the other checks of a report go
    on.
    Bad input (UsageError) and our own guard (Refused) are still raised.
    """

    def decorate(function: Look[P]) -> Look[P]:
        @functools.wraps(function)
        def run(ops: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Findings:
            try:
                found = function(ops, *args, **kwargs)
            except (UsageError, Refused):
                raise
            except OpsError as exc:
                found = Findings([unread(question, exc)])
            return keep(ops, found)

        return run

    return decorate


def answer(question: str, look: Callable[[], Finding]) -> Finding:
    """One finding of several in a check.

    What it could not read makes it *unknown*, and the others go on.
    """
    try:
        return look()
    except (UsageError, Refused):
        raise
    except OpsError as exc:
        return unread(question, exc)


def unread(question: str, exc: OpsError) -> Finding:
    """What could not be read is *unknown*; that it was denied is a cause."""
    cause = DENIED if isinstance(exc, NotAllowed) else ""
    return Finding("unknown", question, str(exc), source=type(exc).__name__, cause=cause)


def keep(ops: Connection, found: Findings) -> Findings:
    """Keep findings with the run; those made after a change was applied are its verification."""
    if ops.changed:
        found[:] = [replace(f, verifies=True) for f in found]
    ops.findings.extend(found)
    ops.journal.write("findings", findings=[asdict(f) for f in found])
    return found
