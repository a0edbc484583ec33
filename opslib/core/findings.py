"""Checks and findings: a question with a pass rule, and its answer with what was seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import partialmethod
from typing import Any, ParamSpec

from opslib.core.tables import (
    Frame,
    Json,
    escaped,
    html_frame,
    html_table,
    safe,
    text_frame,
    text_table,
)

P = ParamSpec("P")
MIME = "application/vnd.opslib+json"
SEVERITY = {"ok": 0, "warn": 1, "unknown": 2, "critical": 3}


@dataclass(frozen=True)
class Finding:
    """The answer to a check: ok, warn, critical or unknown (denied, unreachable, no data)."""

    status: str
    check: str
    seen: str
    threshold: str = ""
    source: str = ""
    cause: str = ""  # the named cause, when this finding is evidence of one
    next: str = ""  # the procedure or runbook entry that follows from it
    verifies: bool = False  # seen after a change was applied
    trace: str = ""  # the way to an error that nobody foresaw
    rules_out: str = ""  # the named cause that this finding, which is ok, speaks against
    began: str = ""  # since when it is so, ISO, UTC; empty where that is not known

    def __post_init__(self) -> None:
        if self.status not in SEVERITY:
            raise ValueError(f"status {self.status!r} is none of {', '.join(SEVERITY)}")


def known(said: Json) -> Finding:
    """A finding out of a record, of which an older or newer opslib says other things."""
    names = {field.name for field in fields(Finding)} & said.keys()
    return Finding(**{"status": "unknown", "check": "", "seen": ""} | {n: said[n] for n in names})


@dataclass(frozen=True)
class Question:
    """What a check asks, said once: in words, with its pass rule, and where the answer is read.

    `none_left = Question("dead letters of orders", "none", "sqs GetQueueAttributes")`
    `none_left.critical("7 messages", cause=BACKLOG, next="queues/dead-letters")`
    """

    words: str
    rule: str = ""
    source: str = ""
    began: datetime | None = None  # since when it is as it is, where what is asked tells

    def answer(
        self, status: str, seen: str, *, cause: str = "", next: str = "", rule: str | None = None
    ) -> Finding:
        """A finding: ok, warn, critical or unknown. `rule`: where this answer has another one.

        `cause`: what it is evidence of; one that is ok rules it out.
        """
        threshold = self.rule if rule is None else rule
        if status == "ok":
            return Finding(status, self.words, seen, threshold, self.source, rules_out=cause)
        began = self.began.isoformat() if self.began else ""
        return Finding(status, self.words, seen, threshold, self.source, cause, next, began=began)

    ok = partialmethod(answer, "ok")
    warn = partialmethod(answer, "warn")
    critical = partialmethod(answer, "critical")
    unknown = partialmethod(answer, "unknown")

    def judged(
        self,
        passed: bool,
        seen: str,
        *,
        otherwise: str = "critical",
        cause: str = "",
        next: str = "",
    ) -> Finding:
        """Ok when it passed, which rules out the cause; `otherwise` with it, and what follows."""
        if passed:
            return self.ok(seen, cause=cause)
        return self.answer(otherwise, seen, cause=cause, next=next)


class Findings(list[Finding]):
    """Findings of one or more checks, or a single one, with the evidence they were read from."""

    def __init__(
        self, found: Finding | Iterable[Finding] = (), evidence: Frame | None = None, note: str = ""
    ) -> None:
        super().__init__([found] if isinstance(found, Finding) else found)
        self.evidence = evidence
        self.note = note

    @property
    def worst(self) -> str:
        """The worst status; ok when there is no finding."""
        return max((f.status for f in self), key=SEVERITY.__getitem__, default="ok")

    @property
    def causes(self) -> set[str]:
        """The causes named by findings that are not ok."""
        return {f.cause for f in self if f.cause and f.status != "ok"}

    def worst_first(self) -> Findings:
        """The worst first; of equals, those that name a cause."""
        return Findings(sorted(self, key=lambda f: (-SEVERITY[f.status], not f.cause)))

    @property
    def troubles(self) -> Findings:
        """What is not ok, worst first."""
        return Findings(f for f in self if f.status != "ok").worst_first()

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        return [(f.status, f.check, f.seen, f.threshold, f.next) for f in self.worst_first()]

    def __repr__(self) -> str:
        table = text_table(_HEADER, self.rows()) if self else ""
        rows = (
            "" if self.evidence is None else text_frame(self.evidence, max_rows=40, max_colwidth=80)
        )
        return "\n\n".join(filter(None, (table, safe(self.note), rows))) or "No findings."

    def _repr_mimebundle_(self, **_: Any) -> Json:
        parts = [html_table(_HEADER, self.rows(), "opslib-findings") if self else ""]
        parts += [
            f"<details><summary>trace of: {escaped(f.check)}</summary>"
            f"<pre>{escaped(f.trace)}</pre></details>"
            for f in self
            if f.trace
        ]
        parts.append(f"<p>{escaped(self.note)}</p>" if self.note else "")
        parts.append("" if self.evidence is None else html_frame(self.evidence))
        data = {"findings": [asdict(f) for f in self]}
        return {
            "text/plain": repr(self),
            "text/html": "".join(parts) or "<p>No findings.</p>",
            MIME: data,
        }


_HEADER = ("status", "check", "seen", "threshold", "next")
