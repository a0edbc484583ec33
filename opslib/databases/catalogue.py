"""What PostgreSQL says of itself: what ends soon, is broken, held back or left behind.

One query asks its own catalogue all that catalogue.yaml lists; a part that this server cannot
answer is asked alone.
"""

from functools import cache
from typing import Any, NamedTuple

from opslib.core import (
    SEVERITY,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    OpsError,
    Question,
    ask,
    beside,
    check,
    count,
    dtypes,
    few,
    frame,
)

CATALOGUE = dtypes("""
    fact     str
    name     str
    value    float64
    warn     float64
    critical float64
    said     str
""")
_DOCS = "https://www.postgresql.org/docs/current/"
_SHOWN = 3  # of what is wrong, in a finding
_ASKED = Question("PostgreSQL's own catalogue", "nothing of it", "pg_catalog")
_SEEN = Question(
    "what the login sees of the database",
    "all sessions and sequences",
    f"{_DOCS}predefined-roles.html (pg_monitor)",
)


class Fact(NamedTuple):
    """An entry of catalogue.yaml."""

    asked: Question
    sql: str
    advice: str
    cause: str
    next: str


@cache
def facts() -> dict[str, Fact]:
    """What is asked, by its name."""
    made = {}
    for key, said in beside(__file__, "catalogue")["facts"].items():
        asked = Question(said["words"], said["rule"], _DOCS + said["source"])
        sql = said["sql"]
        for name, text in said.get("with", {}).items():
            sql = sql.replace(f"<{name}>", text)
        made[key] = Fact(asked, sql, *(said.get(part, "") for part in Fact._fields[2:]))
    return made


@check("What does PostgreSQL say of itself?")
def check_catalogue(ops: Connection) -> Findings:
    """Transaction ids, sequences, indexes, what holds back, what is switched off (pg_catalog).

    A finding for each that is not well, and one that says what else was asked. What the login may
    not see is one that is unknown. Evidence: CATALOGUE, what was looked at more closely.
    """
    visible = next(ask(ops, beside(__file__, "catalogue")["visible"]).itertuples())
    rows, unanswered = _read(ops)
    groups = rows.groupby("fact", sort=False)
    found = [_judged(facts()[str(key)], list(of.itertuples())) for key, of in groups]
    bad = [each for each in found if each.status != "ok"] + unanswered
    every = [fact.asked.words for fact in facts().values()]
    well = len(every) - len(bad)
    lacks = [] if visible.monitors else ["pg_monitor (what other sessions do, how replicas follow)"]
    lacks += [f"SELECT on {count(visible.hidden, 'sequence')}"] if visible.hidden else []
    if lacks:
        seen = f"login {visible.login} lacks {' and '.join(lacks)}; of that nothing is known"
        bad.append(_SEEN.unknown(seen))
    said = f"{well} of {count(len(every), 'question')} well: {', '.join(every)}"
    return Findings([*bad, _ASKED.ok(said)] if well else bad, rows)


def _read(ops: Connection) -> tuple[Frame, list[Finding]]:
    """Rows of CATALOGUE, and a finding for each fact that this server does not answer."""
    # A fact's rows: name, value, from which value on it is to be seen to, or trouble; words.
    asked = {
        key: f"SELECT '{key}' AS fact, name::text, value::float8, warn::float8, critical::float8, "
        f"said::text FROM ({fact.sql}) AS {key}(name, value, warn, critical, said)"
        for key, fact in facts().items()
    }
    try:
        return ask(ops, " UNION ALL ".join(asked.values()), None, CATALOGUE), []
    except OpsError:
        ask(ops, "SELECT 1")  # raises when it is the database that does not answer
    rows: list[Json] = []
    unanswered = []
    for key, sql in asked.items():
        try:
            rows += ask(ops, sql, None, CATALOGUE).to_dict("records")
        except OpsError as exc:
            unanswered.append(facts()[key].asked.unknown(str(exc)))
    return frame(rows, CATALOGUE), unanswered


def _judged(fact: Fact, rows: list[Any]) -> Finding:
    """The worst of its rows; the first ones in words."""
    status = max(map(_status, rows), key=SEVERITY.__getitem__)
    bad = sorted((row for row in rows if _status(row) != "ok"), key=lambda row: -row.value)
    told = bad or rows
    seen = few([f"{row.name}: {row.said}" for row in told], _SHOWN, "; ")
    if not bad:
        return fact.asked.ok(seen)
    seen += f". {fact.advice}" if fact.advice else ""
    return fact.asked.answer(status, seen, cause=fact.cause, next=fact.next)


def _status(row: Any) -> str:
    """A threshold that is NULL is none."""
    if row.value >= row.critical:
        return "critical"
    return "warn" if row.value >= row.warn else "ok"
