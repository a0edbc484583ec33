"""Rows taken out of every view by a flag, where rows are never removed (`database.soft_delete` of a target's file)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask, quoted
from opslib.core.errors import NotFound, Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Action, Select, Sql
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.text import count
from opslib.databases.data import queries
from opslib.databases.instances import snapshots

if TYPE_CHECKING:
    import pandas as pd

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
        return (
            f"FROM {self.table} WHERE {self.id} = ANY(CAST(:ids AS {self.type}[])) AND {condition}"
        )

    def update(self, ids: Sequence[str], deleted: bool) -> Action:
        """Sets the flag of all of them, or of none."""
        given = self.where(f"{self.flag} IS {'NOT TRUE' if deleted else 'TRUE'}").partition(
            " WHERE "
        )[2]
        return Sql(
            f"UPDATE {self.table} SET {self.flag} = {str(deleted).lower()} WHERE {given}",
            {"ids": list(ids)},
            len(ids),
        )

    def visible(self, ids: Sequence[str]) -> Action:
        """Counts those that are not flagged."""
        return Select(f"SELECT count(*) {self.where(f'{self.flag} IS NOT TRUE')}", ids=list(ids))


def soft_delete_flag(ops: Connection) -> Flag:
    """How the target flags rows. Raises UsageError (not described), NotFound (no such table or column)."""
    facts = ops.target["database"]["soft_delete"]
    found = ask(ops, _TYPE_SQL, {"table": quoted(facts["table"]), "id": facts["id"]})
    if found.empty:
        raise NotFound(
            f"Table {facts['table']} has no column {facts['id']}: database.soft_delete of {ops.target.name} names it."
        )
    shown = tuple(quoted(name) for name in facts.get("shown", ()))
    return Flag(
        quoted(facts["table"]),
        quoted(facts["id"]),
        quoted(facts["flag"]),
        shown,
        found["type"].iloc[0],
    )


_TYPE_SQL = """
SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = CAST(:table AS regclass) AND attname = :id AND NOT attisdropped
"""


def find_ids(ops: Connection, rows: str) -> list[str]:
    """The ids that are named: separated by commas, spaces or lines, or answered by a query of the target or a SELECT.

    Each once, in their order. Raises UsageError (none, no uuid), Refused (more than MOST).
    """
    id, wanted = ops.target["database"]["soft_delete"]["id"], rows.strip()
    if wanted in ops.target["database"].get("queries", {}) or wanted.lower().startswith("select "):
        found = _answered(ops, wanted, id)
    else:
        found = [part for part in re.split(r"[\s,;'\"]+", wanted) if part]
    ids = list(dict.fromkeys(_canonical(each) for each in found))
    if not ids:
        raise UsageError(
            f"No row is named. Give rows: ids with commas between, or a query that answers {id}."
        )
    if len(ids) > MOST:
        raise Refused(
            f"{len(ids):,} rows are more than {MOST:,}: nothing was changed. For so many see databases/restore."
        )
    return ids


def _answered(ops: Connection, query: str, id: str) -> list[str]:
    rows, names = queries.read(ops, queries.of(ops, query).sql, MOST + 1)
    if id not in names:
        raise UsageError(
            f"The query answers no column {id!r}, only {', '.join(names)}. Select it too."
        )
    return [str(row[names.index(id)]) for row in rows]


def _canonical(id: str) -> str:
    """A uuid as PostgreSQL writes it; other text as it is."""
    try:
        return str(UUID(id))
    except ValueError:
        return id


def find_rows(ops: Connection, ids: Sequence[str]) -> pd.DataFrame:
    """These rows as they are: id, flag, and the columns that the target's file names. Raises UsageError (no uuid)."""
    how = soft_delete_flag(ops)
    _require_type(how, ids)
    columns = ", ".join((f"{how.id}::text AS id", f"{how.flag} AS deleted", *how.shown))
    statement = f"SELECT {columns} {how.where('true')} ORDER BY array_position(CAST(:ids AS {how.type}[]), {how.id})"
    return queries.table(*queries.read(ops, statement, len(ids), {"ids": list(ids)}))


def _require_type(how: Flag, ids: Iterable[str]) -> None:
    fits = {"uuid": _is_uuid, "integer": str.isdecimal, "bigint": str.isdecimal}.get(how.type, bool)
    wrong = [each for each in ids if not fits(each)]
    if wrong:
        told = f"Not of type {how.type}: {_list(map(repr, wrong))}. Nothing was done"
        raise UsageError(
            f"{told}; give ids with commas between, a query's name in the target's file, or a SELECT."
        )


def _is_uuid(id: str) -> bool:
    try:
        UUID(id)
    except ValueError:
        return False
    return True


def _list(ids: Iterable[str]) -> str:
    named = list(ids)
    left = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + left


@check("Which rows are meant?")
def check_rows(ops: Connection, rows: str) -> Findings:
    """The rows that are named, as they are: which are there, which are deleted already. Evidence: those of `find_rows`."""
    ids = find_ids(ops, rows)
    found = find_rows(ops, ids)
    return Findings([_meant(ops, ids, found)], found)


def _meant(ops: Connection, ids: Sequence[str], found: pd.DataFrame) -> Finding:
    absent = [id for id in ids if id not in set(found["id"])]
    gone = int(found["deleted"].fillna(False).sum())
    seen = f"{count(len(ids), 'row')} named: {len(found) - gone} to be seen, {gone} deleted already, {len(absent)} not there"
    seen += f" ({_list(absent)})" if absent else ""
    status = "warn" if absent or gone == len(found) else "ok"
    return Finding(
        status,
        "rows that are named",
        seen,
        "each is there",
        f"table {ops.target['database']['soft_delete']['table']}",
    )


@planner
def plan_soft_delete(ops: Connection, rows: str, snapshot: bool = True) -> Planned:
    """Flag these rows as deleted, in one statement and all or none, after a snapshot.

    Raises UsageError, Refused (too many), NotFound (one of them is not there: a wrong list is corrected, not applied in part).
    """
    ids, facts = find_ids(ops, rows), ops.target["database"]["soft_delete"]
    found = find_rows(ops, ids)
    absent = [id for id in ids if id not in set(found["id"])]
    if absent:
        raise NotFound(
            f"Not in {facts['table']}: {_list(absent)}. Nothing was changed; correct the list."
        )
    visible = list(found["id"][~found["deleted"].fillna(False).astype(bool)])
    left = (
        [f"Deleted already, so left alone: {_list(id for id in ids if id not in visible)}."]
        if len(visible) < len(ids)
        else []
    )
    if not visible:
        return Planned("delete rows by their flag", [], left)
    how, table = soft_delete_flag(ops), facts["table"]
    step = Step(
        f"Set {facts['flag']} of {count(len(visible), 'row')} of {table}",
        do=how.update(visible, True),
        before=len(visible),
        after=0,
        undo=[how.update(visible, False)],
        observe=how.visible(visible),
        name="flag",
    )
    saved = snapshots.steps_for_snapshot(ops, f"before {table} soft delete") if snapshot else []
    notes = [*left, _ATOMIC, *([] if snapshot else [_NO_SNAPSHOT])]
    return Planned(
        f"delete {count(len(visible), 'row')} of {table} by their flag", [*saved, step], notes
    )


_ATOMIC = (
    "All or none: it is rolled back when another number of rows is affected. The rows stay in the table; undo sets the flag back, "
    "also all or none. Before and after count the rows that can still be seen."
)
_NO_SNAPSHOT = "No snapshot is taken before it: undo sets the flag back, and a restore to a moment before it is the other way."


def ids_of(plan: Plan) -> list[str]:
    """The ids that a plan of `plan_soft_delete` flags."""
    return [id for step in plan.steps if step.name == "flag" for id in step.do["parameters"]["ids"]]


@check("Are the rows gone, and can they be brought back?")
def check_deleted(ops: Connection, ids: Sequence[str]) -> Findings:
    """Is each of these rows flagged, and still there? Evidence: those of `find_rows`."""
    found = find_rows(ops, ids)
    counts = Counter(found["deleted"].fillna(False).map(bool))
    lost = len(ids) - len(found)
    seen = f"{counts[True]} of {len(ids)} deleted, {counts[False]} can still be seen, {lost} not in the table"
    status = "ok" if counts[True] == len(ids) else "critical"
    table = ops.target["database"]["soft_delete"]["table"]
    return Findings(
        [
            Finding(
                status,
                "rows deleted by their flag",
                seen,
                "all of them, none lost",
                f"table {table}",
            )
        ],
        found,
    )
