"""Rows: one statement of an operator's own that changes some, planned with their number and committed only at that number."""

from __future__ import annotations

import re
from dataclasses import replace

from opslib.core.cells import Text
from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask
from opslib.core.errors import Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Sql
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.text import count
from opslib.databases.data import queries, sql_texts
from opslib.databases.instances import rds, snapshots

_FORMS = "UPDATE table SET … WHERE …, DELETE FROM table WHERE … or INSERT INTO table … SELECT …"
_LAST_PART = re.compile(r'(?:"[^"]*"|[^."]*)$')
_WORDS = ("set", "from", "using", "where", "returning")


def affected(statement: str) -> str:
    """The SELECT of the rows that a statement would change, without changing or locking them. Raises UsageError, Refused."""
    text = statement.strip().rstrip(";").strip()
    if name := sql_texts.acts(text):
        raise Refused(
            f"{name}() acts at once, outside of the transaction that is checked. Nothing was changed."
        )
    verb = re.match(r"update|delete|insert", sql_texts.keywords(text), re.I)
    if verb is None:
        raise UsageError(
            f"One statement that changes rows is planned here: {_FORMS}. Reads: procedure databases/query."
        )
    if ";" in sql_texts.keywords(text):
        raise UsageError("One statement at a time, so that its rows can be counted.")
    if re.search(r"\breturning\b", sql_texts.outermost(text), re.I):
        raise UsageError("Leave RETURNING out: what is answered would be lost.")
    return {"UPDATE": _of_update, "DELETE": _of_delete, "INSERT": _of_insert}[verb.group().upper()](
        text
    )


def _of_update(text: str) -> str:
    parts = sql_texts.clauses(text, _WORDS)
    return _where(parts[""].split(None, 1)[1:], parts.get("FROM", ""), parts)


def _of_delete(text: str) -> str:
    parts = sql_texts.clauses(text, _WORDS)
    return _where([parts.get("FROM", "")], parts.get("USING", ""), parts)


def _where(table: list[str], beside: str, parts: dict[str, str]) -> str:
    if not table or not table[0] or not parts.get("WHERE"):
        raise UsageError(f"A WHERE is required: without one every row would be changed. {_FORMS}.")
    name = re.split(r"\s+(?:as\s+)?", table[0].strip(), flags=re.I)[-1]
    alias = _LAST_PART.search(name)[0]  # type: ignore[index]
    others = f", {beside}" if beside else ""
    row = f"{alias}.tableoid, {alias}.ctid"  # with a FROM or USING, a row may be met more than once
    return f"SELECT DISTINCT ON ({row}) {alias}.* FROM {table[0]}{others} WHERE {parts['WHERE']}"


def _of_insert(text: str) -> str:
    hit = re.search(r"\b(select|values|on\s+conflict)\b", sql_texts.outermost(text), re.I)
    if (
        hit is None
        or hit[1].lower().startswith("on")
        or re.search(r"\bon\s+conflict\b", sql_texts.outermost(text), re.I)
    ):
        raise UsageError(f"Its rows cannot be counted beforehand. {_FORMS}, without ON CONFLICT.")
    return text[hit.start() :]


def explain_statement(ops: Connection, statement: str) -> Text:
    """The plan that the database makes of the statement, without running it. Nothing when there is none."""
    if not statement.strip():
        return Text("")
    affected(statement)
    return queries.planned(ops, "The statement", statement.strip().rstrip(";"))


@check("What would it change?")
def check_statement(ops: Connection, statement: str, limit: int = 60) -> Findings:
    """The rows as they are that a statement would change or add. It changes nothing and locks nothing."""
    rds.database_of(ops)  # a target without a database has no rows
    if not statement.strip():
        return Findings(note=f"No statement was given: {_FORMS}.")
    rows, names = queries.read(ops, affected(statement), limit + 1)
    number = count_affected(ops, statement)[0]
    seen = count(number, "row") + (f", {limit} of them shown" if number > limit else "")
    found = Finding(
        "ok" if number else "warn",
        "rows that it would change",
        seen,
        "those that you mean",
        "database",
    )
    return Findings([found], queries.table(rows[:limit], names))


def count_affected(ops: Connection, statement: str) -> tuple[int, str]:
    """How many rows a statement would change, and a digest of what they hold (of rows to be added, none)."""
    found = ask(
        ops,
        f"SELECT count(*) AS number, {_DIGEST} AS digest FROM ({affected(statement)}\n) AS changed",
    )
    adds = statement.strip()[:6].lower() == "insert"
    return int(found["number"].iloc[0]), "" if adds else str(found["digest"].iloc[0])


_DIGEST = "md5(coalesce(string_agg(md5(changed::text), '' ORDER BY md5(changed::text)), ''))"


@planner
def plan_statement(
    ops: Connection, statement: str, most: int = 1000, snapshot: bool = True
) -> Planned:
    """The statement in one transaction, committed only when it changes as many rows as it would now.

    The rows' present content is part of the plan: when one of them is changed meanwhile, the plan is refused.
    Raises UsageError (no WHERE, another kind of statement), Refused (more than `most` rows).
    """
    if not statement.strip():
        return Planned("change rows", [], ["No statement was given."])
    text = statement.strip().rstrip(";").strip()
    number, digest = count_affected(ops, text)
    ask(ops, f"EXPLAIN {text}")  # what it sets is valid, too
    if number > most:
        raise Refused(
            f"{number:,} rows would be changed, more than {most:,}. Nothing was changed. Meant so? Give most = {number}."
        )
    if not number:
        return Planned("change rows", [], ["It would change no row."])
    step = Step(
        f"Change {count(number, 'row')}",
        do=Sql(text, {}, number),
        before=f"{count(number, 'row')}{f', digest {digest[:12]}' if digest else ''}",
        after=f"{count(number, 'row')} changed",
    )
    saved = snapshots.steps_for_snapshot(ops, "before a change of rows") if snapshot else []
    saved = [
        replace(each, undo=[]) for each in saved
    ]  # undo leaves it there: it is the only way back
    return Planned(
        f"change {count(number, 'row')} by a statement",
        [*saved, step],
        _NOTES if snapshot else _NOTES[:1],
    )


_NOTES = [
    "It cannot be undone from here: what the rows held is in the table above, as far as it is shown. All or none: when another "
    "number of rows is affected, it is rolled back.",
    "The way back is the snapshot: databases/restore brings it up beside this database.",
]
