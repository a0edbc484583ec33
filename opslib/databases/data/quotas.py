"""Quotas (`quotas` of the target's file): who uses how much of what is allowed."""

from typing import Any

from opslib.core import (
    Connection,
    Findings,
    Frame,
    Picture,
    Question,
    ask,
    check,
    dtypes,
    frame,
    identifier,
    number,
    plots,
    sql,
)
from opslib.databases.data.queries import find_query

QUOTAS = dtypes("""
    who     str
    used    float64
    allowed float64
    percent float64
""")
EXCEEDED = "quota-exceeded"
_MOST = 1000  # of those who have one, the fullest
_SHARE = """
CASE WHEN allowed > 0 THEN 100 * used / allowed WHEN allowed <= 0 AND used > 0 THEN 1000
     WHEN allowed IS NOT NULL THEN 0 END
"""


def usage(ops: Connection, quota: str, who: str = "") -> tuple[Frame, int]:
    """Who uses how much, the fullest first, and how many have that quota at all.

    Columns: QUOTAS, whose percent is empty where there is no limit.
    """
    facts = ops.target["quotas"][quota]
    query = find_query(ops, facts["query"]).sql.strip().rstrip(";")
    columns = {"who": "text", "used": "float8", "allowed": "float8"}
    told = ", ".join(f"{identifier(facts[at])}::{type} AS {at}" for at, type in columns.items())
    statement = f"""
WITH told AS (SELECT {told} FROM (
{query}
) AS asked), judged AS (SELECT who, coalesce(used, 0) AS used, allowed, {_SHARE} AS percent
FROM told)
SELECT *, count(*) OVER () AS of_all FROM judged WHERE {sql.literal(who)} IN ('', who)
ORDER BY percent DESC NULLS LAST, used DESC, who LIMIT {_MOST}"""
    found = ask(ops, statement)
    every = int(found["of_all"].iloc[0]) if len(found) else 0
    return frame(found.to_dict("records"), QUOTAS), every


@check("Who is near a quota?")
def check_quotas(ops: Connection, quota: str, who: str = "") -> Findings:
    """A finding for each who is near a quota or over it; else one that says how near anybody is.

    `who`: that one alone. Evidence: QUOTAS.
    """
    facts = ops.target["quotas"][quota]
    rows, every = usage(ops, quota, who)
    warn, critical = 100 * facts.get("warn", 0.9), 100 * facts.get("critical", 1.0)
    source, rule = f"query {facts['query']}", f"less than {number(warn)} % of what is allowed"
    found = []
    for row in rows[rows["percent"] >= warn].itertuples():
        asked = Question(f"{facts['title']}: {row.who}", rule, source)
        over = row.percent >= critical
        status, cause = ("critical", EXCEEDED) if over else ("warn", "")
        found.append(asked.answer(status, _said(row, facts.get("unit", "")), cause=cause))
    asked = Question(facts["title"], rule, source)
    if not every:
        seen = f"nobody is called {who!r}" if who else "the query answers no row"
        return Findings(asked.unknown(seen), rows)
    if not any(each.cause for each in found):
        fullest = next(rows.itertuples())
        seen = f"nobody of {every:,} is over it; the fullest, {fullest.who}: "
        seen += _said(fullest, facts.get("unit", ""))
        found.append(asked.ok(seen, cause=EXCEEDED))
    rows.attrs["quota"] = facts
    return Findings(found, rows, "" if every <= _MOST else f"The fullest {_MOST:,} of {every:,}.")


def _said(row: Any, unit: str) -> str:
    used = number(row.used, unit)
    if row.allowed != row.allowed:
        return f"{used}, no limit"
    return f"{used} of {number(row.allowed, unit)}, {number(row.percent)} %"


def plot_quotas(found: Findings) -> Picture:
    """A bar for each: what is used, in percent of what is allowed."""
    rows = found.evidence
    if rows is None or "quota" not in rows.attrs:
        return Picture(b"", "No picture: nothing was answered.")
    facts, limited = rows.attrs["quota"], rows[rows["percent"].notna()]
    labels = [
        f"{row.who}: {number(row.used)} of {number(row.allowed)} {facts.get('unit', '')}"
        for row in limited.itertuples()
    ]
    return plots.bars(facts["title"], "% of the quota", labels, list(limited["percent"]))
