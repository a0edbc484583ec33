"""What PostgreSQL says of itself: what ends soon, is broken, held back or left behind.

One query asks its own catalogue all of it; a part that this server cannot answer is asked alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    OpsError,
    Question,
    ask,
    check,
    count,
    dtypes,
    frame,
)
from opslib.databases.catalogue_facts import FACTS, VISIBLE_SQL, Fact

CATALOGUE = dtypes("""
    fact     str
    name     str
    value    float64
    warn     float64
    critical float64
    said     str
""")
_SHOWN = 3  # of what is wrong, in a finding
_ASKED = Question("PostgreSQL's own catalogue", "nothing of it", "pg_catalog")
_SEEN = Question(
    "what the login sees of the database",
    "all sessions and sequences",
    "https://www.postgresql.org/docs/current/predefined-roles.html (pg_monitor)",
)


class _Visible(NamedTuple):
    login: str
    monitors: bool
    hidden: int  # sequences whose value it may not read


@check("What does PostgreSQL say of itself?")
def check_catalogue(ops: Connection) -> Findings:
    """Transaction ids, sequences, indexes, what holds back, what is switched off (pg_catalog).

    A finding for each that is not well, and one that says what else was asked. What the login may
    not see is one that is unknown. Evidence: CATALOGUE, what was looked at more closely.
    """
    visible = _Visible(**ask(ops, VISIBLE_SQL).iloc[0])
    rows, unanswered = _read(ops)
    found = [_judged(fact, of) for key, fact in FACTS.items() if (of := _rows_of(rows, key))]
    bad = [each for each in found if each.status != "ok"] + unanswered
    if not visible.monitors or visible.hidden:
        bad.append(_hidden(visible))
    asked = len(FACTS) - len(unanswered)
    well = asked - sum(each not in unanswered for each in bad if each.check != _SEEN.words)
    names = ", ".join(fact.asked.words for fact in FACTS.values())
    said = _ASKED.answer("ok", f"{well} of {count(len(FACTS), 'question')} well: {names}")
    return Findings([*bad, said] if well else bad, rows)


def _read(ops: Connection) -> tuple[Frame, list[Finding]]:
    """Rows of CATALOGUE, and a finding for each fact that this server does not answer."""
    try:
        return ask(ops, " UNION ALL ".join(map(_sql, FACTS)), None, CATALOGUE), []
    except OpsError:
        ask(ops, "SELECT 1")  # raises when it is the database that does not answer
    rows: list[Json] = []
    unanswered = []
    for key, fact in FACTS.items():
        try:
            rows += ask(ops, _sql(key), None, CATALOGUE).to_dict("records")
        except OpsError as exc:
            unanswered.append(fact.asked.answer("unknown", str(exc)))
    return frame(rows, CATALOGUE), unanswered


def _sql(key: str) -> str:
    """A fact's rows: name, value, from which value on it is to be seen to, or trouble; words."""
    return (
        f"SELECT '{key}' AS fact, name::text, value::float8, warn::float8, critical::float8, "
        f"said::text FROM ({FACTS[key].sql}) AS {key}(name, value, warn, critical, said)"
    )


def _rows_of(rows: Frame, key: str) -> list[Any]:
    return list(rows[rows["fact"] == key].itertuples())


def _judged(fact: Fact, rows: list[Any]) -> Finding:
    """The worst of its rows; the first ones in words."""
    by_status: dict[str, list[Any]] = {"critical": [], "warn": [], "ok": []}
    for row in rows:
        by_status[_status(row)].append(row)
    status = next(name for name, of in by_status.items() if of)
    bad = sorted(_bad(by_status), key=lambda row: -row.value) if status != "ok" else rows
    seen = "; ".join(f"{row.name}: {row.said}" for row in bad[:_SHOWN])
    seen += f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    if status == "ok":
        return fact.asked.answer("ok", seen)
    seen += f". {fact.advice}" if fact.advice else ""
    return fact.asked.answer(status, seen, cause=fact.cause, next=fact.next)


def _bad(by_status: dict[str, list[Any]]) -> Iterator[Any]:
    yield from by_status["critical"]
    yield from by_status["warn"]


def _status(row: Any) -> str:
    """A threshold that is NULL is none."""
    if row.value >= row.critical:
        return "critical"
    return "warn" if row.value >= row.warn else "ok"


def _hidden(visible: _Visible) -> Finding:
    lacks = [] if visible.monitors else ["pg_monitor (what other sessions do, how replicas follow)"]
    lacks += [f"SELECT on {count(visible.hidden, 'sequence')}"] if visible.hidden else []
    seen = f"login {visible.login} lacks {' and '.join(lacks)}; of that nothing is known"
    return _SEEN.answer("unknown", seen)
