"""Reports of several targets at one look.

The target that most wants a look first, what is wrong in each and since when.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opslib import records
from opslib.core import console
from opslib.core.errors import UsageError
from opslib.core.findings import SEVERITY, Finding, Findings
from opslib.records import Record
from opslib.reports.reports import COMPLETE, compare, last_before

HEADER = ("worst", "target", "critical", "unknown", "warn", "ok", "since the last report", "took")


@dataclass(frozen=True)
class Line:
    """One target's report in short.

    `changes` are rows of `reports.CHANGED`; None: there is nothing to compare.
    """

    record: Record
    findings: Findings
    changes: list[dict[str, str]] | None

    @property
    def worst(self) -> str:
        """The worst status; of a run that did not come to its end, how it ended."""
        if self.record.outcome not in COMPLETE:
            return self.record.outcome
        return self.findings.worst if self.findings else "unknown"

    @property
    def counts(self) -> Counter[str]:
        return Counter(f.status for f in self.findings)

    @property
    def since_last(self) -> str:
        """`2 new, 1 ended`; `as before`."""
        if self.record.outcome not in COMPLETE:
            return ""
        if self.changes is None:
            return "first report"
        return _counted(row["change"] for row in self.changes) or "as before"

    def row(self) -> tuple[Any, ...]:
        counts = (self.counts[status] for status in HEADER[2:6])
        took = f"{self.record.seconds:.0f} s"
        return (self.worst, self.record.target, *counts, self.since_last, took)


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in Counter(words).items())


def of(found: Iterable[Record]) -> list[Line]:
    """A line for each record, the one that most wants a look first.

    Those that did not end, then by their worst finding.
    """

    def rank(line: Line) -> tuple[int, int, str]:
        worst = SEVERITY.get(line.worst, len(SEVERITY))
        return -worst, -len(line.findings.troubles), line.record.target

    return sorted(map(_line, found), key=rank)


def _line(record: Record) -> Line:
    try:
        said = records.details(record).get("findings", ())
    except UsageError:  # its file is gone; the index still knows how it ended
        said = ()
    found = Findings(Finding(**finding) for finding in said)
    # What a run that broke off did not come to has not ended.
    last = last_before(record.target, record.started) if record.outcome in COMPLETE else None
    return Line(record, found, compare(last[1], found) if last else None)


def headline(lines: Sequence[Line]) -> str:
    """`3 targets: 1 critical, 2 ok.`"""
    return f"{len(lines)} targets: {_counted(line.worst for line in lines)}."


def write(lines: Sequence[Line]) -> Path:
    """The summary as one HTML page beside the records' own pages, to which it links.

    Raises OpsError, OSError.
    """
    from opslib.pages import pages
    from opslib.records import copies, files

    first = min(lines, key=lambda line: line.record.id).record
    page = first.page.with_name(f"{first.id.partition('-')[0]}-summary.html")
    links = {line.record.id: os.path.relpath(line.record.page, page.parent) for line in lines}
    text = pages.template("summary.html").render(
        lines=lines,
        links=links,
        headline=headline(lines),
        when=f"{first.started:%Y-%m-%d %H:%M} UTC",
        practice=all(line.record.lab for line in lines),
        **pages.style(),
    )
    files.write_atomically(page, text.encode(errors="replace"))
    copies.push(page)
    return page


def as_text(lines: Sequence[Line], page: Path) -> str:
    """The table of targets, then each target's troubles and where its page is."""
    parts = [console.table(HEADER, [line.row() for line in lines])]
    for line in lines:
        rows = [(f.status, f.check, f.seen, f.next) for f in line.findings.troubles]
        told = [f"{line.record.target}: {console.plain(line.record.verdict)}"]
        told += [console.table(("status", "check", "seen", "next"), rows)] if rows else []
        parts.append("\n".join([*told, f"page:    {line.record.page}"]))
    return "\n\n".join([*parts, f"{headline(lines)}\nsummary: {page}"])
