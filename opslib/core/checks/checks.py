"""Checks: a function that looks becomes one whose findings are kept, and which no denial ends."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Concatenate, TypeAlias

from opslib.core.checks.causes import DENIED, GONE, LOGIN_REFUSED
from opslib.core.connections import targets
from opslib.core.connections.connection import Connection
from opslib.core.defects import apart, attempted
from opslib.core.errors import (
    LoginRefused,
    NotAllowed,
    NotFound,
    OpsError,
    Unasked,
)
from opslib.core.findings import Finding, Findings, P, Question
from opslib.core.journal import HERE
from opslib.core.strict_yaml import beside
from opslib.core.tables import Params
from opslib.core.waiting import under_way

Look: TypeAlias = Callable[Concatenate[Connection, P], Findings]


def check(question: str) -> Callable[[Look[P]], Look[P]]:
    """Make a function a check.

    Its findings are kept with the run, and what could not be read is *unknown*.

    A denied, unreachable or missing source becomes a finding, so the other checks of a report go
    on; so does an error that nobody foresaw, with its trace, and each of several that `ops.each`
    could not read.
    Where there is nothing to look at (Unasked) that is no finding, but a note. Bad input
    (UsageError) and our own guard (Refused) are still raised.
    """

    def decorate(function: Look[P]) -> Look[P]:
        @functools.wraps(function)
        def run(ops: Connection, /, *args: P.args, **kwargs: P.kwargs) -> Findings:
            lost: list[tuple[str, OpsError]] = []
            before = apart.set(lost)
            try:
                with under_way() as tell:
                    tell(question)
                    seen = attempted(partial(function, ops, *args, **kwargs))
                found = Findings(unread(question, seen)) if isinstance(seen, OpsError) else seen
            except Unasked as exc:
                found = Findings(note=str(exc))
            except KeyboardInterrupt:  # in a sitting one may go on, and conclude
                keep(
                    ops, Findings([Finding("unknown", question, "stopped before it was answered")])
                )
                raise
            finally:
                apart.reset(before)
            found += [unread(*each) for each in sorted(lost, key=itemgetter(0))]
            return keep(ops, found)

        return run

    return decorate


def answer(
    asked: str | Question, look: Callable[P, Finding], *args: P.args, **kwargs: P.kwargs
) -> Finding:
    """One finding of several in a check: what `look` says of what it is given.

    What it could not read makes it *unknown*, and the others go on.
    """
    found = attempted(partial(look, *args, **kwargs))
    return unread(asked, found) if isinstance(found, OpsError) else found


def unread(asked: str | Question, exc: OpsError) -> Finding:
    """What could not be read is *unknown*; that it was denied is a cause, with what is missing.

    A database that refuses the login is *critical*: it refuses others, too. What is not there is
    judged when the finding is kept.
    """
    status, cause, seen, follow = "unknown", "", str(exc), ""
    if isinstance(exc, LoginRefused):
        status, cause, follow = "critical", LOGIN_REFUSED, "changes/configuration"
    elif isinstance(exc, NotAllowed):
        cause = DENIED
        seen += missing_permission(exc)
    source = type(exc).__name__
    words = asked if isinstance(asked, str) else asked.words
    return Finding(status, words, seen, source=source, cause=cause, next=follow, trace=exc.trace)


def told(ops: Connection, words: Mapping[str, str]) -> Findings:
    """What no check can see: by question, the operator's word for it, kept as just that.

    `{"The code was reviewed": "Ana, pull request 214"}`. Without a word it is unknown; one that
    says no is a warning.
    """
    found = []
    for question, word in words.items():
        asked = Question(question, "somebody says so", f"word of {ops.identity.user}")
        status = "warn" if re.match(_NO, word) else "ok" if word.strip() else "unknown"
        found.append(asked.answer(status, word.strip() or "nobody has said it: no check sees it"))
    return keep(ops, Findings(found))


_NO = r"(?i)\s*(no|not|none|never|nobody|false|n/a|todo|tbd|[-?]+)(?!\w)"


def missing_permission(exc: NotAllowed) -> str:
    """` Missing: sqs:GetQueueAttributes on …`, as AWS names it, else as the call was named."""
    said = str(exc)
    if told := re.search(r"authorized to perform:? (\S+:\w+)(?: on resource: (\S+))?", said):
        action, resource = told.groups()
    elif operation := getattr(exc.__cause__, "operation_name", None):
        service, resource = said.split()[1], None
        action = f"{service}:{operation}"
    else:
        return ""
    return f" Missing: {action}" + (f" on {resource.rstrip(').,')}." if resource else ".")


def _settled(ops: Connection, found: Finding) -> Finding:
    """What the target's file describes, and was not found, is gone: that is no *unknown*.

    What a person typed and is not found stays so.
    """
    one_object = re.search(r"s3 \w+_object\b(?!.*NoSuchBucket)", found.seen)  # of a bucket's many
    if found.status != "unknown" or found.source != NotFound.__name__ or one_object:
        return found
    named = re.findall(r"\B'([^']+)'|\"([^\"]+)\"|(\S+) not found", found.seen)
    names = {re.split(r"[/:]", name)[-1] for name in map("".join, named)} | set(map("".join, named))
    found_at = [at for at in _described(ops.target.facts) if at[1] in names]
    if not found_at:
        return found
    sections = beside(__file__, "sections").items()
    asked = next((section for word, section in sections if word in found.seen), "")
    place, name = min(found_at, key=lambda at: not at[0].startswith(asked))
    if re.search(rf":{re.escape(name)}:\w", found.seen):  # a function's ARN with its alias
        place = f"{place.removesuffix('name')}alias"
    elif "logs " in found.seen:
        place = f"the log group of {place.removesuffix('.name')}"
    seen = f"Described as {place}, and not there. {found.seen}"
    follows = found.next or "changes/configuration"  # who took it away
    return replace(found, status="critical", seen=seen, cause=GONE, next=follows)


def _described(facts: Params, place: str = "") -> Iterator[tuple[str, str]]:
    """Every name that a target's file gives, after its place in it: a text, or a key."""
    for key, value in facts.items():
        at = f"{place}.{key}" if place else key
        if place:
            yield at, key
        if place and isinstance(value, str):  # above stands what it is called, and where it is
            yield at, value
        elif isinstance(value, Mapping):
            yield from _described(value, at)


def _here() -> list[str]:
    """What this kernel runs, as the engine or JupyterLab says: its procedure, and the entry."""
    notebook = Path(os.environ.get("JPY_SESSION_NAME") or "-").with_suffix("")
    return [*os.environ.get(HERE, "").split(), f"{notebook.parent.name}/{notebook.name}"]


def _way(ops: Connection, next: str, here: Collection[str]) -> str:
    """Where it goes on from here; where the file describes no network to look at, in the logs."""
    lost = next == "network/endpoints" and "network" not in ops.target.facts
    name = "logs/search" if lost else targets.entry_of(ops.target, next)
    return "" if name in here else name


def keep(ops: Connection, found: Findings) -> Findings:
    """Keep findings with the run; those made after a change was applied are its verification.

    None sends to the notebook that it stands in.
    """
    here = _here()
    found[:] = [
        replace(
            f,
            verifies=ops.changed or f.verifies,
            next=_way(ops, f.next, here),
        )
        for f in (_settled(ops, each) for each in found)
    ]
    ops.findings.extend(found)
    ops.journal.write("findings", findings=[asdict(f) for f in found])
    return found
