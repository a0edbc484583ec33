"""What is different from the last report of a target that was kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from opslib import records
from opslib.core import (
    SEVERITY,
    Connection,
    Finding,
    Findings,
    Json,
    UsageError,
    count,
    cut,
    dtypes,
    frame,
)
from opslib.core.findings import known
from opslib.records import Record

PROCEDURE = "reports/daily"
CHANGED = dtypes("""
    change str
    check  str
    was    str
    now    str
""")
_BRIEF = 100  # characters of a finding, which stands whole among the findings
COMPLETE = ("ok", "attention")  # how a report ends that came to its end


def since_last(ops: Connection, found: Sequence[Finding]) -> Findings:
    """What is different from the last report of this target that was kept. Evidence: CHANGED."""
    last = last_before(ops.target.name, ops.now())
    if last is None:
        return Findings(
            note=f"This is the first report of {ops.target.name} that can be compared: "
            "no earlier one is kept."
        )
    record, earlier = last
    rows = compare(earlier, found)
    different = sum(row["change"] != "ended" for row in rows)
    same = sum(f.status != "ok" for f in found) - different
    said = count(len(rows), "difference") if rows else "nothing is different"
    said += f"; {count(same, 'trouble')} as before." if same > 0 else "."
    note = f"Since {record.started:%Y-%m-%d %H:%M} UTC (record {record.id}): {said}"
    brief = [row | {name: cut(row[name], _BRIEF) for name in ("was", "now")} for row in rows]
    return Findings(evidence=frame(brief, CHANGED) if rows else None, note=note)


def last_before(target: str, moment: datetime) -> tuple[Record, list[Json]] | None:
    """The last whole report of a target that was begun before a moment, with its findings."""
    for record in records.list_records(target=target):
        ended = record.outcome in COMPLETE and record.started < moment
        if ended and record.procedure == PROCEDURE:
            try:
                return record, list(records.details(record)["findings"])
            except (UsageError, KeyError):  # altered or removed; `opslib records verify` says so
                continue
    return None


def compare(earlier: Iterable[Json], found: Iterable[Finding]) -> list[dict[str, str]]:
    """Rows of CHANGED, worst first: new, worse, better and ended troubles."""
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
