"""Log lines searched, queried, and errors by pattern."""

import re

from opslib.core import (
    Connection,
    Findings,
    Plotted,
    Question,
    check,
    clock,
    count,
    first_rows,
    log_lines,
    unknown_name,
    window,
)
from opslib.core.reads.logs import (
    ALL,
    groups,
    legible,
    panels,
    query,
    search,
    tolerated,
)
from opslib.logs import judged

_SHOWN = 20  # patterns that are findings of their own


@check("Which lines match?")
def check_lines(
    ops: Connection,
    source: str,
    pattern: str = "",
    minutes: float = 60,
    since: str = "",
    until: str = "",
    limit: int = 1000,
) -> Findings:
    """Search, and say how much was found where, and whether the limit cut it. Evidence: LINES."""
    within, where = window(ops, minutes, since, until), groups(ops, source)
    events = search(ops, source, pattern, within, limit)
    asked = Question(
        "Which lines match?", "all of them shown", f"FilterLogEvents {', '.join(where.values())}"
    )
    seen = f"{count(len(events), 'line')} {f'match {pattern}' if pattern else 'in all'}, "
    seen += f"{within}, {count(len(where), 'log group')}"
    if events.attrs["cut"]:
        seen += f"; these are the newest {limit:,} of a group, there are more: "
        seen += "narrow the window or the pattern"
    found = asked.judged(not events.attrs["cut"], seen, otherwise="warn")
    lost = [*judged.not_read(ops, events, within)]
    return Plotted([*lost, found], legible(events), "", panels(events, within), within)


@check("Which errors are logged?")
def check_errors(
    ops: Connection, source: str = ALL, minutes: float = 1440, since: str = "", until: str = ""
) -> Findings:
    """Lines of trouble by pattern, whatever runtime wrote them; their sum and their share, too.

    Evidence: PATTERNS. A pattern with more lines in one hour than `logs.errors_per_hour` is a
    warning, at most 20 of them. A log group that is gone is critical.
    """
    within, most = window(ops, minutes, since, until), tolerated(ops)
    lines = judged.read_lines(ops, source, within)
    events = judged.troubles(lines)
    patterns, cut = log_lines.group_errors(events), lines.attrs["cut"]
    note = (
        f"{count(len(events), 'line')} of trouble in {count(len(patterns), 'pattern')}, {within}, "
    )
    note += count(len(lines.attrs["groups"]), "log group")
    note += "; there are more, only the newest are counted." if cut else "."
    found = [*judged.not_read(ops, lines, within)]
    frequent = patterns[patterns["most_in_an_hour"] > most]
    told: set[str] = set()
    for row in frequent.head(_SHOWN).itertuples():
        told |= patterns.attrs["ids"][row.pattern]
        begun = log_lines.burst(patterns.attrs["times"][row.pattern], most)
        asked = Question(row.pattern, f"at most {most} in an hour", "FilterLogEvents", begun)
        seen = f"{count(row.count, 'line')} from {clock(row.first_seen, within.end)} "
        seen += f"to {clock(row.last_seen, within.end)}, "
        seen += f"at most {row.most_in_an_hour} in an hour ({row.sources})"
        found.append(asked.warn(seen, next="logs/errors"))
    found += judged.of_the_whole(ops, lines, within, told=told)
    if cut:
        asked = Question("errors logged", "all lines of trouble are read", "FilterLogEvents")
        found.append(asked.warn(note, next="logs/errors"))
    return Findings(found, patterns, note)


@check("What is the answer?")
def check_query(
    ops: Connection, source: str, text: str, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """Ask Logs Insights, by a name of the target's file (`logs.queries`) or a query.

    Evidence: its answer. Raises UsageError that offers the nearest name.
    """
    within, known = window(ops, minutes, since, until), ops.target.at("logs", "queries")
    if known and re.fullmatch(r"[\w-]+", text.strip()) and text.strip() not in known:
        raise unknown_name("query", text, known, f" of {ops.target.name}")
    said = known.get(text.strip(), {"title": "Logs Insights query", "query": text})
    found = query(ops, source, said["query"], within)
    asked = Question(said["title"], "it was answered", said["query"])
    seen = f"{count(len(found), 'row')} from {count(int(found.attrs['scanned']), 'line')}, {within}"
    seen = f"{seen}: {first_rows(found)}"
    if empty := [name for name in found if not any(value != "" for value in found[name].dropna())]:
        seen += f". No row has a value of {', '.join(empty)}: see in @message how it is written"
    return Findings(asked.ok(seen), found)
