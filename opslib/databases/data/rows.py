"""Rows: a statement of an operator's own, committed only when it changes as many as were planned.

What a statement is, and which of its words are its own, is asked of the database: it plans the
whole and parts of it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from opslib.core import (
    Connection,
    Findings,
    Json,
    Planned,
    Question,
    Refused,
    Sql,
    Step,
    UsageError,
    ask,
    check,
    count,
    planner,
    quoted,
)
from opslib.core.connections import sessions
from opslib.core.connections.sql import brief
from opslib.core.text import Text
from opslib.databases.data import queries, query_plans
from opslib.databases.instances import rds, snapshots

if TYPE_CHECKING:
    from sqlalchemy import Connection as Session

_FORMS = "UPDATE table SET … WHERE …, DELETE FROM table WHERE … or INSERT INTO table … SELECT …"
_NOT_CHECKED = "outside of the transaction that is checked. Nothing was changed."
_SYNTAX = "42601"
_MEANT = Question("rows that it would change", "those that you mean", "database")


def affected(ops: Connection, statement: str) -> str:
    """The SELECT of the rows that a statement would change, without changing or locking them.

    Raises UsageError, Refused.
    """
    text = _alone(statement)
    verb = re.match(r"update|delete|insert", text, re.I)
    if verb is None:
        raise UsageError(
            f"One statement that changes rows is planned here: {_FORMS}. "
            "Reads: procedure databases/query."
        )
    with sessions.session(ops, f"EXPLAIN {brief(text)}") as session:
        plan = query_plans.explain_harmless(session, text, _NOT_CHECKED)
        if "Output" in plan:
            raise UsageError("Leave RETURNING out: what is answered would be lost.")
        if verb.group().lower() == "insert":
            return _added(plan, text)
        return _met(session, plan, text)


def _alone(statement: str) -> str:
    return statement.strip().rstrip(";").strip()


def _added(plan: Json, text: str) -> str:
    hit = re.search(r"\b(select|values|with)\b", text, re.I)
    if hit is None or "Conflict Resolution" in plan:
        raise UsageError(f"Its rows cannot be counted beforehand. {_FORMS}, without ON CONFLICT.")
    return text[hit.start() :]


def _met(session: Session, plan: Json, text: str) -> str:
    """The rows that an UPDATE or a DELETE finds.

    With a FROM or USING, one may be met more than once.
    """
    head, condition = _parted(session, text, "where")
    if not condition:
        raise UsageError(f"A WHERE is required: without one every row would be changed. {_FORMS}.")
    table, others = _parted(session, head, "from" if plan["Operation"] == "Update" else "using")
    table = re.sub(r"^update\s|\sset\s.*|^delete\s+from\s", "", table, flags=re.I | re.S)
    alias = quoted(plan["Alias"])
    row = f"{alias}.tableoid, {alias}.ctid"
    tables = f"{table}, {others}" if others else table
    return f"SELECT DISTINCT ON ({row}) {alias}.* FROM {tables} WHERE {condition}"


def _parted(session: Session, text: str, word: str) -> tuple[str, str]:
    """What stands before and after a word of the statement itself, not of parentheses or quotes.

    It is the one before which a statement ends that could have a WHERE.
    """
    for hit in re.finditer(rf"\b{word}\b", text, re.I):
        said = query_plans.attempt(session, f"{text[: hit.start()]}\nWHERE true")
        if isinstance(said, dict) or getattr(said.orig, "sqlstate", "") != _SYNTAX:
            return text[: hit.start()], text[hit.end() :]
    return text, ""


def explain_statement(ops: Connection, statement: str) -> Text:
    """The plan that the database makes of the statement, without running it.

    Nothing when there is none.
    """
    if not statement.strip():
        return Text("")
    affected(ops, statement)
    return queries.planned(ops, "The statement", _alone(statement))


@check("What would it change?")
def check_statement(ops: Connection, statement: str, limit: int = 60) -> Findings:
    """The rows as they are that a statement would change or add.

    It changes nothing and locks nothing.
    """
    rds.database_of(ops)  # a target without a database has no rows
    if not statement.strip():
        return Findings(note=f"No statement was given: {_FORMS}.")
    rows = queries.read(ops, affected(ops, statement), limit)
    number = count_affected(ops, statement)[0]
    seen = count(number, "row") + (f", {limit} of them shown" if number > limit else "")
    return Findings([_MEANT.judged(number > 0, seen, otherwise="warn")], rows)


def count_affected(ops: Connection, statement: str) -> tuple[int, str]:
    """How many rows a statement would change, and a digest of them (none of rows to be added)."""
    rows = f"({affected(ops, statement)}\n) AS changed"
    [(number, digest)] = ask(ops, f"SELECT count(*), {_DIGEST} FROM {rows}").itertuples(index=False)
    adds = statement.strip()[:6].lower() == "insert"
    return int(number), "" if adds else str(digest)


_DIGEST = "md5(coalesce(string_agg(md5(changed::text), '' ORDER BY md5(changed::text)), ''))"


@planner
def plan_statement(
    ops: Connection, statement: str, most: int = 1000, snapshot: bool = True
) -> Planned:
    """The statement in one transaction, committed only at the number of rows that it has now.

    The rows' present content is part of the plan: when one of them is changed meanwhile, the plan
    is refused. Raises UsageError (no WHERE, another kind of statement), Refused (more than `most`
    rows).
    """
    if not statement.strip():
        return Planned("change rows", notes=["No statement was given."])
    text = _alone(statement)
    number, digest = count_affected(ops, text)
    if number > most:
        raise Refused(
            f"{number:,} rows would be changed, more than {most:,}. Nothing was changed. "
            "Look at them (databases/query) and narrow the condition."
        )
    if not number:
        return Planned("change rows", notes=["It would change no row."])
    rows = count(number, "row")
    step = Step(
        f"Change {rows}",
        do=Sql(text, {}, number),
        before=f"{rows}, digest {digest[:12]}" if digest else rows,
        after=f"{rows} changed",
    )
    saved = snapshots.steps_for_snapshot(ops, "before a change of rows") if snapshot else []
    kept = [replace(each, undo=[]) for each in saved]  # undo leaves it there: the only way back
    notes = _NOTES if snapshot else _NOTES[:1]
    return Planned(f"change {rows} by a statement", [*kept, step], notes)


_NOTES = [
    "It cannot be undone from here: what the rows held is in the table above, as far as it is "
    "shown. All or none: when another number of rows is affected, it is rolled back.",
    "The way back is the snapshot: databases/restore brings it up beside this database.",
]
