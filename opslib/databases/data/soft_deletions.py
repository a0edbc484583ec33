"""Rows taken out of every view by a flag, where rows are never removed (`database.soft_delete`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from opslib.core import (
    Action,
    Connection,
    Findings,
    Frame,
    NotFound,
    Plan,
    Planned,
    Question,
    Refused,
    Select,
    Sql,
    Step,
    UsageError,
    ask,
    check,
    count,
    planner,
    quoted,
)
from opslib.databases.data import queries
from opslib.databases.instances import snapshots

MOST = 1000  # rows in one plan: so many can be looked at, and a restore is not yet the better way
_NAMED = 5  # ids that a message names


@dataclass(frozen=True)
class Flag:
    """Where rows are flagged: names of the target's file, quoted, and the type of the id column."""

    table: str
    id: str
    flag: str
    shown: tuple[str, ...]
    type: str

    def where(self, condition: str) -> str:
        """The rows of `:ids` for which this holds; found by the id's index."""
        return f"WHERE {self.id} = ANY(CAST(:ids AS {self.type}[])) AND {condition}"

    def update(self, ids: Sequence[str], deleted: bool) -> Action:
        """Sets the flag of all of them, or of none."""
        rows = self.where(f"{self.flag} IS {'NOT TRUE' if deleted else 'TRUE'}")
        statement = f"UPDATE {self.table} SET {self.flag} = {str(deleted).lower()} {rows}"
        return Sql(statement, {"ids": list(ids)}, len(ids))

    def visible(self, ids: Sequence[str]) -> Action:
        """Counts those that are not flagged."""
        rows = self.where(f"{self.flag} IS NOT TRUE")
        return Select(f"SELECT count(*) FROM {self.table} {rows}", ids=list(ids))


def soft_delete_flag(ops: Connection) -> Flag:
    """How the target flags rows.

    Raises UsageError (not described), NotFound (no such table or column).
    """
    facts = ops.target["database"]["soft_delete"]
    table = quoted(facts["table"])
    found = ask(ops, _TYPE_SQL, {"table": table, "id": facts["id"]})
    if found.empty:
        raise NotFound(
            f"Table {facts['table']} has no column {facts['id']}: "
            f"database.soft_delete of {ops.target.name} names it."
        )
    shown = tuple(map(quoted, facts.get("shown", ())))
    return Flag(table, quoted(facts["id"]), quoted(facts["flag"]), shown, found["type"].iloc[0])


_TYPE_SQL = """
SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = CAST(:table AS regclass) AND attname = :id AND NOT attisdropped
"""


def find_ids(ops: Connection, rows: str) -> list[str]:
    """The ids that are named, with commas, spaces or lines between, or answered by a query.

    Each once, in their order. Raises UsageError (none, no uuid), Refused (more than MOST).
    """
    facts, wanted = ops.target["database"], rows.strip()
    id = facts["soft_delete"]["id"]
    if wanted in facts.get("queries", {}) or wanted.lower().startswith("select "):
        found = _answered(ops, wanted, id)
    else:
        found = [part for part in re.split(r"[\s,;'\"]+", wanted) if part]
    ids = list(dict.fromkeys(str(_uuid(each) or each) for each in found))
    if not ids:
        raise UsageError(
            f"No row is named. Give rows: ids with commas between, or a query that answers {id}."
        )
    if len(ids) > MOST:
        raise Refused(
            f"{len(ids):,} rows are more than {MOST:,}: nothing was changed. "
            "For so many see databases/restore."
        )
    return ids


def _answered(ops: Connection, query: str, id: str) -> list[str]:
    rows = queries.read(ops, queries.find_query(ops, query).sql, MOST + 1)
    if id not in rows:
        raise UsageError(
            f"The query answers no column {id!r}, only {', '.join(rows)}. Select it too."
        )
    return list(map(str, rows[id]))


def _uuid(id: str) -> UUID | None:
    try:
        return UUID(id)
    except ValueError:
        return None


def find_rows(ops: Connection, ids: Sequence[str]) -> Frame:
    """These rows as they are: id, flag, and the columns that the target's file names.

    Raises UsageError (no uuid).
    """
    how = soft_delete_flag(ops)
    _require_type(how, ids)
    columns = ", ".join((f"{how.id}::text AS id", f"{how.flag} AS deleted", *how.shown))
    statement = (
        f"SELECT {columns} FROM {how.table} {how.where('true')} "
        f"ORDER BY array_position(CAST(:ids AS {how.type}[]), {how.id})"
    )
    return queries.read(ops, statement, len(ids), {"ids": list(ids)})


def _require_type(how: Flag, ids: Iterable[str]) -> None:
    fits = {"uuid": _uuid, "integer": str.isdecimal, "bigint": str.isdecimal}.get(how.type, bool)
    wrong = [each for each in ids if not fits(each)]
    if wrong:
        raise UsageError(
            f"Not of type {how.type}: {_list(map(repr, wrong))}. Nothing was done; give ids with "
            "commas between, a query's name in the target's file, or a SELECT."
        )


def _list(ids: Iterable[str]) -> str:
    named = list(ids)
    left = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + left


@dataclass(frozen=True)
class Named:
    """Rows that are named: those that are there, and the ids by what there is of each."""

    rows: Frame
    visible: list[str]
    gone: list[str]
    absent: list[str]


def find_named(ops: Connection, ids: Sequence[str]) -> Named:
    """Which of these rows can be seen, are deleted already, are not there."""
    rows = find_rows(ops, ids)
    deleted = dict(zip(rows["id"], rows["deleted"].fillna(False), strict=True))
    return Named(
        rows,
        [id for id, flag in deleted.items() if not flag],
        [id for id, flag in deleted.items() if flag],
        [id for id in ids if id not in deleted],
    )


@check("Which rows are meant?")
def check_rows(ops: Connection, rows: str) -> Findings:
    """The rows that are named, as they are: which are there, which are deleted already.

    Evidence: those of `find_rows`.
    """
    ids = find_ids(ops, rows)
    found = find_named(ops, ids)
    absent = found.absent
    seen = (
        f"{count(len(ids), 'row')} named: {len(found.visible)} to be seen, "
        f"{len(found.gone)} deleted already, {len(absent)} not there"
    )
    seen += f" ({_list(absent)})" if absent else ""
    asked = Question("rows that are named", "each is there", _source(ops))
    well = bool(found.visible) and not absent
    return Findings([asked.judged(well, seen, otherwise="warn")], found.rows)


def _source(ops: Connection) -> str:
    return f"table {ops.target['database']['soft_delete']['table']}"


@planner
def plan_soft_delete(ops: Connection, rows: str, snapshot: bool = True) -> Planned:
    """Flag these rows as deleted, in one statement and all or none, after a snapshot.

    Raises UsageError, Refused (too many), NotFound (one of them is not there: a wrong list is
    corrected, not applied in part).
    """
    facts = ops.target["database"]["soft_delete"]
    table, found = facts["table"], find_named(ops, find_ids(ops, rows))
    if found.absent:
        raise NotFound(
            f"Not in {table}: {_list(found.absent)}. Nothing was changed; correct the list."
        )
    notes = [f"Deleted already, so left alone: {_list(found.gone)}."] if found.gone else []
    if not found.visible:
        return Planned("delete rows by their flag", notes=notes)
    how, number = soft_delete_flag(ops), count(len(found.visible), "row")
    step = Step(
        f"Set {facts['flag']} of {number} of {table}",
        do=how.update(found.visible, True),
        before=len(found.visible),
        after=0,
        undo=[how.update(found.visible, False)],
        observe=how.visible(found.visible),
        name="flag",
    )
    reason = f"before {table} soft delete"
    saved = snapshots.steps_for_snapshot(ops, reason) if snapshot else []
    notes += [_ATOMIC] if snapshot else [_ATOMIC, _NO_SNAPSHOT]
    return Planned(f"delete {number} of {table} by their flag", [*saved, step], notes)


_ATOMIC = (
    "All or none: it is rolled back when another number of rows is affected. The rows stay in the "
    "table; undo sets the flag back, also all or none. "
    "Before and after count the rows that can still be seen."
)
_NO_SNAPSHOT = (
    "No snapshot is taken before it: undo sets the flag back, "
    "and a restore to a moment before it is the other way."
)


def ids_of(plan: Plan) -> list[str]:
    """The ids that a plan of `plan_soft_delete` flags."""
    return [id for step in plan.steps if step.name == "flag" for id in step.do["parameters"]["ids"]]


@check("Are the rows gone, and can they be brought back?")
def check_deleted(ops: Connection, ids: Sequence[str]) -> Findings:
    """Is each of these rows flagged, and still there? Evidence: those of `find_rows`."""
    found = find_named(ops, ids)
    seen = (
        f"{len(found.gone)} of {len(ids)} deleted, {len(found.visible)} can still be seen, "
        f"{len(found.absent)} not in the table"
    )
    asked = Question("rows deleted by their flag", "all of them, none lost", _source(ops))
    return Findings([asked.judged(len(found.gone) == len(ids), seen)], found.rows)
