"""What is different from the last report of a target that was kept."""

from collections.abc import Sequence

from opslib import records
from opslib.core import (
    Connection,
    Finding,
    Findings,
    count,
    cut,
    dtypes,
    frame,
)

CHANGED = dtypes("""
    change str
    check  str
    was    str
    now    str
""")
_BRIEF = 100  # characters of a finding, which stands whole among the findings


def since_last(ops: Connection, found: Sequence[Finding]) -> Findings:
    """What is different from the last report of this target that was kept. Evidence: CHANGED."""
    last = records.last_report(ops.target.name, ops.now())
    if last is None:
        return Findings(
            note=f"This is the first report of {ops.target.name} that can be compared: "
            "no earlier one is kept."
        )
    record, earlier = last
    rows = records.compare_findings(earlier, found)
    different = sum(row["change"] != "ended" for row in rows)
    same = sum(f.status != "ok" for f in found) - different
    said = count(len(rows), "difference") if rows else "nothing is different"
    said += f"; {count(same, 'trouble')} as before." if same > 0 else "."
    note = f"Since {record.started:%Y-%m-%d %H:%M} UTC (record {record.id}): {said}"
    brief = [row | {name: cut(row[name], _BRIEF) for name in ("was", "now")} for row in rows]
    return Findings(evidence=frame(brief, CHANGED) if rows else None, note=note)
