"""The daily report of a target beside the one before it."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from opslib.core import SEVERITY, Finding, Json, UsageError
from opslib.core.findings import known
from opslib.records import reading
from opslib.records.records import LOOKED, Record

REPORT = "reports/daily"


def last_report(
    target: str, moment: datetime, procedure: str = REPORT, **given: str
) -> tuple[Record, list[Json]] | None:
    """The last whole report of a target that was begun before a moment, with its findings; or run
    of another procedure with these parameters.
    """
    for record in reading.list_records(target=target):
        whole = record.outcome in LOOKED and record.started < moment
        if whole and record.procedure == procedure and given.items() <= record.parameters.items():
            with suppress(UsageError, KeyError):  # altered or removed: `opslib records verify`
                return record, list(reading.details(record)["findings"])
    return None


def compare_findings(earlier: Iterable[Json], found: Iterable[Finding]) -> list[dict[str, str]]:
    """Rows of change, check, was and now; worst first: new, worse, better and ended troubles."""
    was = {f.check: (f.status, f.seen) for f in map(known, earlier)}
    now = {f.check: (f.status, f.seen) for f in found}
    rows = []
    for name in {**now, **was}:
        then, here = was.get(name, ("not reported",)), now.get(name, ("no longer reported",))
        before, after = SEVERITY.get(then[0], 0), SEVERITY.get(here[0], 0)
        more = ("worse" if before else "new") if after > before else "better" if after else "ended"
        if before != after:
            row = {"change": more, "check": name, "was": ": ".join(then), "now": ": ".join(here)}
            rows.append(row)
    order = ("new", "worse", "better", "ended")
    return sorted(rows, key=lambda row: order.index(row["change"]))
