"""What is said of several runs when they have ended: a table of them, then each one's troubles and
plan.
"""

from collections.abc import Sequence

from opslib.cli import runs
from opslib.core import console
from opslib.records import Record
from opslib.runs.summaries import (
    Line,
    headline,
    several_names,
    summarise,
    write_summary,
)

_COUNTED = ("critical", "unknown", "warn", "ok")


def kept(records: Sequence[Record]) -> tuple[str, str]:
    """What is said of them (the table of runs, then each one's verdict, troubles, plan, and where
    its page is), and the page of it that is kept.
    """
    lines = summarise(records)
    page = write_summary(lines)
    parts = [_table(lines), *map(_told, lines)]
    return "\n\n".join([*parts, f"{headline(lines)}\nsummary: {page}"]), str(page)


def _table(lines: Sequence[Line]) -> str:
    """Worst first; of reports, what is different from the last one."""
    header = ["worst", "run" if several_names(lines) else "target", *_COUNTED]
    compared = any(line.is_report for line in lines)
    header += ["since the last report", "took"] if compared else ["took"]
    rows = []
    for line in lines:
        counts = [line.counts[status] for status in _COUNTED]
        since = [line.since_last] if compared else []
        rows.append([line.worst, line.title, *counts, *since, f"{line.record.seconds:.0f} s"])
    return console.table(header, rows)


def _told(line: Line) -> str:
    rows = [(f.status, f.check, f.seen, f.next) for f in line.findings.troubles]
    told = [f"{line.title}: {console.plain(line.record.verdict)}"]
    told += filter(None, [runs.shown_work(line.evidence)])
    told += [console.table(("status", "check", "seen", "next"), rows)] if rows else []
    return "\n".join([*told, *runs.plan(line.record), f"page:    {line.record.page}"])
