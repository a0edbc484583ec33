"""The daily report: independent checks run at once, what changed since the last report first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby

from opslib import records
from opslib.core import (
    SEVERITY,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Question,
    Refused,
    UsageError,
    count,
    cut,
    dtypes,
    frame,
)
from opslib.core.checks.checks import keep
from opslib.core.checks.plots import MARKS
from opslib.core.waiting import under_way
from opslib.reports.sections import Check, checks

CHANGED = dtypes("""
    change str
    check  str
    was    str
    now    str
""")
_BRIEF = 100  # characters of a finding, which stands whole among the findings


@dataclass
class Daily:
    """A report: its findings by section, and what is different from the last one."""

    parts: Mapping[str, list[Findings]]
    since_last: Findings
    described_in: str

    @property
    def findings(self) -> Findings:
        """Of all sections, in their order."""
        return Findings(chain.from_iterable(chain.from_iterable(self.parts.values())))

    def __getitem__(self, section: str) -> Findings:
        """The findings of a section without the tables they were read from."""
        if section not in self.parts:
            return Findings(note=f"Not described in {self.described_in}, so not looked at.")
        found = self.parts[section]
        notes = " ".join(part.note for part in found if part.note)
        return Findings(chain.from_iterable(found), note=notes)

    def whole(self, section: str) -> Findings:
        """The findings of a section as its check made them, with evidence and plots."""
        return self.parts[section][0] if section in self.parts else self[section]

    @property
    def marks(self) -> Frame:
        """What plots mark: what was deployed and changed, and since when alarms ring. MARKS."""
        rows: list[Json] = []
        for part in chain(self.parts.get("before", ()), self.parts.get("alarms", ())):
            for row in () if part.evidence is None else part.evidence.to_dict("records"):
                if "kind" in row:
                    rows.append(row)
                elif row.get("state") == "ALARM" and "since" in row:
                    rows.append({"time": row["since"], "what": row["alarm"], "kind": "alarm"})
        return frame(rows, MARKS)

    @property
    def troubles(self) -> Findings:
        """What is not ok, worst first, under the headline; what several say in one word, once."""
        said: dict[tuple[str, str], list[Finding]] = {}
        for each in self.findings.troubles:
            said.setdefault((each.status, each.seen), []).append(each)
        bad = [
            replace(
                first,
                check=f"{first.check} (and {count(len(more), 'more check')})"
                if more
                else first.check,
            )
            for first, *more in said.values()
        ]
        return Findings(bad, note=repr(self))

    def __repr__(self) -> str:
        counts = Counter(f.status for f in self.findings)
        said = ", ".join(f"{counts[status]} {status}" for status in reversed(SEVERITY))
        return f"{len(self.findings)} checks: {said}."


def daily(ops: Connection, hours: float = 24) -> Daily:
    """Run every check that the target's file describes something for, all at the same time.

    A call that is denied, or an address that does not answer, gives one unknown finding; the rest
    goes on.
    """
    asked = checks(ops, hours)
    asked.sort(key=_turn)
    with ops.reading_once(), under_way() as tell:
        tell(count(len(asked), "check"))
        results = [found for _, turn in groupby(asked, _turn) for found in at_once(ops, [*turn])]
    found = list(chain.from_iterable(results))
    parts: dict[str, list[Findings]] = {}
    for (name, _), result in zip(asked, results, strict=True):
        parts.setdefault(name, []).append(result)
    return Daily(parts, since_last(ops, found), f"parameters/targets/{ops.target.key}.yaml")


def _turn(asked: tuple[str, Check]) -> int:
    """Health alone, for how fast it answers is measured; last what asks when the troubles began."""
    return {"health": 0, "before": 2}.get(asked[0], 1)


def at_once(ops: Connection, asked: Sequence[tuple[str, Check]]) -> list[Findings]:
    """Their answers, kept in this order, not in that in which they came."""
    before = len(ops.findings)
    results = ops.gather(*(partial(_independent, ops, *each) for each in asked))
    ops.findings[before:] = chain.from_iterable(results)
    return results


def _independent(ops: Connection, name: str, look: Check) -> Findings:
    """A check whose own bad input does not end the report."""
    try:
        return look(ops)
    except (UsageError, Refused) as exc:
        asked = Question(name, source=type(exc).__name__)
        return keep(ops, Findings(asked.unknown(str(exc))))


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
