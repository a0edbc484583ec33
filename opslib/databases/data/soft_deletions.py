"""Rows taken out of every view by a flag, where rows are never removed (`database.soft_delete`)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from opslib.core import (
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
    check,
    count,
    few,
    planner,
    quoted,
    sql,
)
from opslib.databases.data import queries
from opslib.databases.instances import snapshots

MOST = 1000  # rows in one plan: so many can be looked at, and a restore is not yet the better way
_NAMED = 5  # ids that a message names
STATES = VISIBLE, DELETED, ABSENT = "visible", "deleted", "absent"


class Flag(NamedTuple):
    """Where rows are flagged: names of the target's file, quoted, and the type of the id column."""

    table: str
    id: str
    flag: str
    shown: tuple[str, ...]
    type: str


def soft_delete_flag(ops: Connection) -> Flag:
    """How the target flags rows.

    Raises UsageError (not described), NotFound (no such table or column).
    """
    facts = ops.target["database"]["soft_delete"]
    table = quoted(facts["table"])
    kind = sql.value(ops, _TYPE_SQL, {"table": table, "id": facts["id"]})
    if kind is None:
        raise NotFound(
            f"Table {facts['table']} has no column {facts['id']}: "
            f"database.soft_delete of {ops.target.name} names it."
        )
    shown = tuple(map(quoted, facts.get("shown", ())))
    return Flag(table, quoted(facts["id"]), quoted(facts["flag"]), shown, kind)


_TYPE_SQL = """
SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = CAST(:table AS regclass) AND attname = :id AND NOT attisdropped
"""


def find_ids(ops: Connection, rows: str) -> list[str]:
    """The ids that are named, with commas, spaces or lines between, or answered by a query.

    Each once, in their order. Raises UsageError (none), Refused (more than MOST).
    """
    facts, wanted = ops.target["database"], rows.strip()
    id = facts["soft_delete"]["id"]
    if wanted in facts.get("queries", {}) or wanted.lower().startswith("select "):
        answered = queries.read(ops, queries.find_query(ops, wanted).sql, MOST + 1)
        if id not in answered:
            raise UsageError(
                f"The query answers no column {id!r}, only {', '.join(answered)}. Select it too."
            )
        found = list(map(str, answered[id]))
    else:
        found = [part for part in re.split(r"[\s,;'\"]+", wanted) if part]
    ids = list(dict.fromkeys(found))
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


def find_rows(ops: Connection, ids: Sequence[str]) -> Frame:
    """These rows as they are, each once: id, state, and the columns that the target's file names.

    A state is VISIBLE, DELETED or ABSENT. Raises UsageError (an id is not of the column's type).
    """
    how = soft_delete_flag(ops)
    shown = "".join(f", found.{column}" for column in how.shown)
    statement = f"""
SELECT named.id::text AS id, CASE WHEN found.{how.id} IS NULL THEN '{ABSENT}'
       WHEN found.{how.flag} THEN '{DELETED}' ELSE '{VISIBLE}' END AS state{shown}
FROM (SELECT CAST(each.id AS {how.type}) AS id, min(each.place) AS place
      FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS each(id, place) GROUP BY 1) AS named
LEFT JOIN {how.table} AS found ON found.{how.id} = named.id ORDER BY named.place"""
    try:
        return queries.read(ops, statement, len(ids), {"ids": list(ids)})
    except UsageError as exc:
        raise UsageError(
            f"{exc} Rows are ids of type {how.type} with commas between, a query's name in the "
            "target's file, or a SELECT."
        ) from exc


def ids_by_state(rows: Frame) -> list[list[str]]:
    """The ids among rows of `find_rows` that are visible, that are deleted, that are absent."""
    return [list(rows.loc[rows["state"] == state, "id"]) for state in STATES]


@check("Which rows are meant?")
def check_rows(ops: Connection, rows: str) -> Findings:
    """The rows that are named, as they are: which are there, which are deleted already.

    Evidence: those of `find_rows`.
    """
    found = find_rows(ops, find_ids(ops, rows))
    visible, deleted, absent = ids_by_state(found)
    seen = (
        f"{count(len(found), 'row')} named: {len(visible)} to be seen, "
        f"{len(deleted)} deleted already, {len(absent)} not there"
    )
    seen += f" ({few(absent, _NAMED)})" if absent else ""
    asked = Question("rows that are named", "each is there", _source(ops))
    well = bool(visible) and not absent
    return Findings(asked.judged(well, seen, otherwise="warn"), found)


def _source(ops: Connection) -> str:
    return f"table {ops.target['database']['soft_delete']['table']}"


@planner
def plan_soft_delete(ops: Connection, rows: str, snapshot: bool = True) -> Planned:
    """Flag these rows as deleted, in one statement and all or none, after a snapshot.

    Raises UsageError, Refused (too many), NotFound (one of them is not there: a wrong list is
    corrected, not applied in part).
    """
    facts = ops.target["database"]["soft_delete"]
    table, found = facts["table"], find_rows(ops, find_ids(ops, rows))
    visible, deleted, absent = ids_by_state(found)
    if absent:
        raise NotFound(
            f"Not in {table}: {few(absent, _NAMED)}. Nothing was changed; correct the list."
        )
    notes = [f"Deleted already, so left alone: {few(deleted, _NAMED)}."] if deleted else []
    if not visible:
        return Planned("delete rows by their flag", notes=notes)
    how, number = soft_delete_flag(ops), count(len(visible), "row")
    named = f"WHERE {how.id} = ANY(CAST(:ids AS {how.type}[])) AND {how.flag} IS"  # by its index
    ids = {"ids": visible}
    step = Step(
        f"Set {facts['flag']} of {number} of {table}",
        do=Sql(f"UPDATE {how.table} SET {how.flag} = true {named} NOT TRUE", ids, len(visible)),
        before=len(visible),
        after=0,
        undo=[Sql(f"UPDATE {how.table} SET {how.flag} = false {named} TRUE", ids, len(visible))],
        observe=Select(f"SELECT count(*) FROM {how.table} {named} NOT TRUE", **ids),
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
    found = find_rows(ops, ids)
    visible, deleted, absent = ids_by_state(found)
    seen = (
        f"{len(deleted)} of {len(ids)} deleted, {len(visible)} can still be seen, "
        f"{len(absent)} not in the table"
    )
    asked = Question("rows deleted by their flag", "all of them, none lost", _source(ops))
    return Findings(asked.judged(len(deleted) == len(ids), seen), found)
