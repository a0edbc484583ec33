"""Rows that are added by hand (`inserts` of the target's file): tried first, added as shown."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opslib.core import (
    Connection,
    Findings,
    OpsError,
    Planned,
    Question,
    Refused,
    Select,
    UsageError,
    ask,
    check,
    identifier,
    planner,
    quoted,
    require_known,
)
from opslib.core.connections.sql import literal, value
from opslib.databases.data import effects, rows

_REFUSES = re.compile(r"(duplicate key|(?:null )?value .*violates|violates)[^()]*")


def _given(ops: Connection, kind: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Each column's value as SQL. Raises UsageError: an unknown column, one that is missing."""
    facts = ops.target["inserts"][kind]
    for name in values:
        require_known("column", name, facts["columns"], f" of {kind}")
    told = {
        name: about["default"] for name, about in facts["columns"].items() if "default" in about
    }
    told |= values
    lacking = [name for name in facts["columns"] if str(told.get(name, "")).strip() == ""]
    if lacking:
        asks = "; ".join(f"{name}: {facts['columns'][name].get('about', '')}" for name in lacking)
        raise UsageError(f'{facts["title"]} needs {asks}. Give it: values = {{"{lacking[0]}": …}}')
    return {
        name: "NULL" if told[name] is None else literal(str(told[name]))
        for name in facts["columns"]
    }


def _statement(ops: Connection, kind: str, given: Mapping[str, str]) -> str:
    table, columns = quoted(ops.target["inserts"][kind]["table"]), ", ".join(map(identifier, given))
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join(given.values())})"


def _own(ops: Connection, kind: str, given: Mapping[str, str], same: str = "{0} = {1}") -> str:
    """A condition on what is this row's own: the columns without a default in the file."""
    columns = ops.target["inserts"][kind]["columns"]
    own = [name for name, about in columns.items() if "default" not in about] or [*columns]
    return " AND ".join(same.format(identifier(name), given[name]) for name in own)


def _refused(ops: Connection, exc: OpsError) -> OpsError:
    """The constraint that refuses the row, with what it wants and without the row's values."""
    hit = _REFUSES.search(str(exc))
    if not hit:
        return exc
    wants = "SELECT string_agg(pg_get_constraintdef(oid), '; ') FROM pg_constraint WHERE conname = "
    name = re.findall('"([^"]+)"', hit[0])[-1]
    told = value(ops, wants + literal(name))
    why = f"{hit[0].strip()}{f' ({told})' if told else ''}"
    return Refused(f"The database refuses it: {why}. Nothing was changed.")


@check("Can it be added?")
def check_insert(ops: Connection, kind: str, values: Mapping[str, Any]) -> Findings:
    """The row as it would be, added and rolled back; and whether one is there that is like it.

    Evidence: the row, with what the table's own defaults make of it now.
    """
    facts, given = ops.target["inserts"][kind], _given(ops, kind, values)
    asked = Question(facts["title"], "no constraint refuses it", "a transaction, rolled back")
    try:
        shown, _ = rows.sample(ops, effects.of(ops, _statement(ops, kind, given)), 1)
    except OpsError as exc:
        refused = _refused(ops, exc)
        if refused is exc:
            raise
        return Findings(asked.critical(str(refused)))
    alike = _own(ops, kind, given, "lower(btrim({0}::text)) = lower(btrim({1}))")
    number = value(ops, f"SELECT count(*) FROM {quoted(facts['table'])} WHERE {alike}")
    like = Question("rows that are called alike", "none", f"table {facts['table']}")
    told = like.judged(not number, f"{number:,}", otherwise="warn")
    return Findings([asked.ok("it can be added"), told], shown)


@planner
def plan_insert(ops: Connection, kind: str, values: Mapping[str, Any]) -> Planned:
    """Add the row. Raises UsageError (a column, a type), Refused (a constraint)."""
    facts, given = ops.target["inserts"][kind], _given(ops, kind, values)
    try:
        planned = rows.steps_for_statement(ops, _statement(ops, kind, given), 1, False)
    except OpsError as exc:
        raise _refused(ops, exc) from exc
    there = f"SELECT count(*) FROM {quoted(facts['table'])} WHERE {_own(ops, kind, given)}"
    before, title = value(ops, there), f"Add to {facts['table']}: {_own(ops, kind, given)}"
    steps = [replace(each, title=title, before=before, after=before + 1) for each in planned.steps]
    steps = [replace(each, observe=Select(there)) for each in steps]
    return Planned(facts["title"], steps, planned.notes)


@check("Is it there?")
def check_inserted(ops: Connection, kind: str, values: Mapping[str, Any]) -> Findings:
    """The rows that are called so, as they are. Evidence: the rows."""
    facts, given = ops.target["inserts"][kind], _given(ops, kind, values)
    table, own = quoted(facts["table"]), _own(ops, kind, given)
    found = ask(ops, f"SELECT * FROM {table} WHERE {own} LIMIT 20")
    asked = Question(facts["title"], "there, once", f"table {facts['table']}")
    return Findings(asked.judged(len(found) == 1, f"{len(found)} of them"), found)
