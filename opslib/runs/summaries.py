"""Several runs at one look: the one that most wants a look first, what is wrong in each.

Of reports, since when.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from opslib.core import SEVERITY, Findings, console
from opslib.core.checks.evidence import evidence
from opslib.core.findings import known
from opslib.records import reading
from opslib.records.records import DONE, Record
from opslib.records.texts import comparisons


@dataclass(frozen=True)
class Line:
    """One run in short. `changes` are rows of `comparisons.compare_findings`; None.

    There is nothing to compare.
    """

    title: str  # what it is called among the others: its target, its procedure, or both
    record: Record
    findings: Findings
    changes: tuple[dict[str, str], ...] | None

    @property
    def is_report(self) -> bool:
        return self.record.procedure == comparisons.REPORT

    @property
    def ended(self) -> bool:
        """Did it come to its end?"""
        return self.record.outcome in DONE

    @property
    def worst(self) -> str:
        """The worst status; how it ended, of a run that did not come to its end or was no check."""
        if not self.ended:
            return self.record.outcome
        if self.findings:
            return self.findings.worst
        return "unknown" if self.is_report else self.record.outcome

    @property
    def counts(self) -> Counter[str]:
        return Counter(f.status for f in self.findings)

    @property
    def evidence(self) -> list[tuple[str, str]]:
        """What proves the cause, what is ruled out, what is not known; none where all is well."""
        return evidence(self.findings) if self.findings.troubles else []

    @property
    def since_last(self) -> str:
        """`2 new, 1 ended`; `as before`."""
        if not (self.ended and self.is_report):
            return ""
        if self.changes is None:
            return "first report"
        counted = Counter(row["change"] for row in self.changes)
        return ", ".join(f"{number} {change}" for change, number in counted.items()) or "as before"


def summarise(found: Sequence[Record]) -> list[Line]:
    """A line for each record, the one that most wants a look first.

    Those that did not end, then by their worst finding.
    """
    among = [(record.name, record.target) for record in found]
    lines = [_line(console.called(r.name, r.target, among) or r.target, r) for r in found]
    return sorted(lines, key=_rank)


def _rank(line: Line) -> tuple[int, int, str]:
    least = SEVERITY["ok"] if line.ended else len(SEVERITY)
    return -SEVERITY.get(line.worst, least), -len(line.findings.troubles), line.title


def _line(title: str, record: Record) -> Line:
    said = reading.said(record).get("findings", ())
    found = Findings(map(known, [each for each in said if each.get("verifies")] or said))
    line = Line(title, record, found, None)
    # What a report that broke off did not come to has not ended.
    whole = line.ended and line.is_report
    if whole and (last := comparisons.last_report(record.target, record.started)):
        return replace(line, changes=tuple(comparisons.compare_findings(last[1], found)))
    return line


def headline(lines: Sequence[Line]) -> str:
    """`3 targets: 1 critical, 2 ok.`"""
    counted = Counter(line.worst for line in lines)
    kind = "runs" if several_names(lines) else "targets"
    worst = ", ".join(f"{number} {status}" for status, number in counted.items())
    return f"{len(lines)} {kind}: {worst}."


def several_names(lines: Sequence[Line]) -> bool:
    """Are these runs of more than one procedure?"""
    return len({line.record.name for line in lines}) > 1


def write_summary(lines: Sequence[Line]) -> Path:
    """The summary as one HTML page beside the records' own pages, to which it links.

    Raises OpsError, OSError.
    """
    from opslib.pages import pages
    from opslib.records import sealing

    first = min(lines, key=lambda line: line.record.id).record
    page = first.page.with_name(f"{first.id.partition('-')[0]}-summary.html")
    links = {line.record.id: os.path.relpath(line.record.page, page.parent) for line in lines}
    reported = [line.is_report for line in lines]
    several = "Runs" if several_names(lines) else ""
    text = pages.template("summary.html").render(
        lines=lines,
        links=links,
        headline=headline(lines),
        heading="Daily reports" if all(reported) else several or f"Runs of {first.name}",
        several_names=several_names(lines),
        reports=any(reported),
        when=f"{first.started:%Y-%m-%d %H:%M} UTC",
        practice=all(line.record.lab for line in lines),
        **pages.style(),
    )
    sealing.keep_summary(page, text)
    return page
