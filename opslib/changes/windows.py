"""The maintenance window: is it now, when does it open, and does a change fit into it?"""

from datetime import timedelta

from opslib.core import Connection, Findings, Json, Question, check, dtypes, frame, maintenance

WINDOWS = dtypes("""
    opens    utc
    closes   utc
    lasts    str
    opens_in str
""")
_SHOWN = 4


@check("Is it the maintenance window?")
def check_window(ops: Connection, minutes: float = 0, phase: str = "") -> Findings:
    """Inside or outside now, and when it opens next. `minutes`: of a change that has to fit in.

    Without minutes both are ok: it is only told. `phase` of a planned maintenance: before it the
    next one counts, during it has to be open. Evidence: WINDOWS, the next four.
    """
    described, now = ops.target.facts.get(maintenance.SECTION), ops.now()
    if not described:
        return Findings(note="No maintenance window is described.")
    rule = "; ".join(
        f"{', '.join(w['days'])}{_weeks(w)} {w['from']} to {w['until']} UTC" for w in described
    )
    found = maintenance.openings(ops)
    first, seen = found[0], maintenance.told(ops, found[0])
    if wanted := minutes or phase == "during":
        rule += f"; {minutes:g} minutes fit" if minutes else "; open"
        begins = max(now, first.start)
        fits = begins + timedelta(minutes=minutes) <= first.end
        fits = fits and (phase == "before" or begins == now)
        if not fits and (phase == "before" or maintenance.is_open(ops, first)):
            seen += f" A change of {minutes:g} minutes would end outside of it."
    asked = Question("maintenance window", rule, f"{ops.target.key}.yaml, maintenance")
    rows = [
        (
            each.start,
            each.end,
            maintenance.long(each.end - each.start),
            "open" if each.start <= now else maintenance.long(each.start - now),
        )
        for each in found[:_SHOWN]
    ]
    answer = asked.judged(not wanted or fits, seen, otherwise="warn", next="changes/maintenance")
    return Findings(answer, frame(rows, WINDOWS))


def _weeks(window: Json) -> str:
    """Which of a month, in words; empty for each."""
    weeks = window.get("weeks")
    return f" (number {', '.join(map(str, weeks))} of the month)" if weeks else ""
