"""The newest migration taken back, by what the target's file names for it: with what goes first."""

import re
from dataclasses import replace
from typing import Any
from uuid import uuid4

from opslib.core import (
    Connection,
    Findings,
    OpsError,
    Planned,
    Question,
    Refused,
    Select,
    Step,
    UsageError,
    check,
    few,
    planner,
    sessions,
    sql,
)
from opslib.databases import migrations
from opslib.databases.instances import snapshots, states

_SHOWN = 12
_FRAME = re.compile(r"(?im)^\s*(begin|commit)(\s+transaction)?\s*;\s*$")
_COLUMNS_SQL = """
SELECT c.oid::regclass::text, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
"""


@planner
def plan_migration_back(ops: Connection, migration: str, snapshot: bool = True) -> Planned:
    """Take back the newest migration, which has to be the one that is named.

    Raises UsageError (the file names no way back, no migration is named), Refused (another one is
    the newest).
    """
    facts = ops.target["database"]
    way = facts["migrate_back"].plain()
    state = migrations.find_state(ops)
    if not migration:
        raise UsageError(f"Name the migration to take back. The newest is {state.has or 'none'}.")
    if migration != state.has:
        raise Refused(
            f"The newest migration of {ops.target.name} is {state.has or 'none'}, not {migration}. "
            "One at a time is taken back, the newest first. Nothing was changed."
        )
    newest = migrations.newest(facts)
    before = "" if "string_agg" in newest else sql.value(ops, f"{newest} OFFSET 1") or ""
    goes = _goes(ops, way)
    swapped = migrations.State(state.target, before, migration)
    again = [migrations.apply_action(ops, swapped)] if state.needs == migration else None
    back = Step(
        f"Take back {migration}{f', to {before}' if before else ''}: {goes}",
        migrations.run_by(ops, way, migration, before),
        migration,
        before or f"not {migration}",
        again,
        Select(newest) if before else None,
    )
    saved = [  # it stays when the change is undone: nothing else holds what goes
        replace(step, undo=[])
        for step in (snapshots.steps_for_snapshot(ops, f"before {migration}'s way back"))
        if snapshot
    ]
    notes = [
        f"LOOK: the deployed code needs {migration}. Roll the code back first, or it fails."
        if again
        else f"The deployed code needs {state.needs or 'nothing that is known'}: undo cannot bring "
        f"{migration} again before code with it is deployed.",
        "Undo applies it again. What was in a column or table that goes is not brought back by "
        "that: the snapshot holds it, and stays (databases/restore)."
        if snapshot
        else "NO SNAPSHOT is taken: what goes is gone, but for a restore to a moment before it.",
    ]
    return Planned(f"take back migration {migration}", [*saved, back], notes)


def _goes(ops: Connection, facts: Any) -> str:
    """What its statements take away, tried in a transaction that is rolled back; or why unknown."""
    if "service" in facts:
        return "WHAT IT DESTROYS IS NOT KNOWN (a command tells no SQL beforehand): read its code"
    if "dry_run" not in facts:
        return "WHAT IT DESTROYS IS NOT KNOWN (no database.migrate_back.dry_run): read its code"
    said = migrations.invoke(ops, facts, **facts["dry_run"]).perform(ops)
    told = next((said[key] for key in ("statements", "sql") if key in said), None)
    text = ";\n".join(told) if isinstance(told, list) else told
    if not isinstance(text, str) or not text.strip():
        return "WHAT IT DESTROYS IS NOT KNOWN (its dry run answers no statements): read its code"
    try:
        gone, touched = _tried(ops, _FRAME.sub("", text))
    except OpsError as exc:
        return f"WHAT IT DESTROYS IS NOT KNOWN (it cannot be tried: {exc})"
    counted = [_counted(ops, table, columns) for table, columns in sorted(gone.items())]
    words = [*counted, *(f"{table} {rows}" for table, rows in touched.items())]
    return f"DESTROYS {few(words, _SHOWN, '; ')}" if words else "no data goes"


def _tried(ops: Connection, text: str) -> tuple[dict[str, list[str]], dict[str, str]]:
    """By table the columns that are gone afterwards, and rows that were touched.

    In a block, which refuses to commit, whatever the text says.
    """
    tag, literal = f"$a{uuid4().hex}$", text.replace("'", "''")
    with sessions.session(ops, "a way back, tried and rolled back", write=True) as session:
        sessions.run(session, "SET LOCAL lock_timeout = '1s'")
        sessions.run(session, "SET LOCAL statement_timeout = '10s'")
        before = {tuple(row) for row in sessions.run(session, _COLUMNS_SQL)}
        sessions.run(session, f"DO {tag} BEGIN EXECUTE '{literal}'; END {tag}")
        after = {tuple(row) for row in sessions.run(session, _COLUMNS_SQL)}
        touched = sql.touched(session)
        session.rollback()
    gone: dict[str, list[str]] = {}
    for table, column in sorted(before - after):
        gone.setdefault(table, []).append(column)
    left = {table for table, _ in after}
    return {t: columns if t in left else [] for t, columns in gone.items()}, touched


def _counted(ops: Connection, table: str, columns: list[str]) -> str:
    """A table (no columns: all of it) or columns of it, with the rows that hold something."""
    asked = ", ".join(["count(*)", *(f"count({sql.identifier(name)})" for name in columns)])
    rows, *filled = sql.value(ops, f"SELECT ARRAY[{asked}] FROM {table}")
    if not columns:
        return f"table {table} with {rows:,} rows"
    told = (f"{name} ({n:,} filled)" for name, n in zip(columns, filled, strict=True))
    return f"{table}: {', '.join(told)} of {rows:,} rows"


@check("Was it taken back?")
def check_taken_back(ops: Connection, migration: str) -> Findings:
    """After a change: another migration is the newest, the code can do without it, a login."""
    state = migrations.find_state(ops)
    asked = Question(f"{migration} is taken back", "another is the newest", "migrations table")
    found = [asked.judged(state.has != migration, f"the newest is {state.has or 'none'}")]
    code = Question("The deployed code can do without it", "it needs another", "deployed code")
    seen = f"it needs {state.needs or 'what is not known'}"
    well = bool(state.needs) and state.needs != migration
    by_task = "service" in ops.target["database"].get("migrate", ())
    follows = "services/rollback" if by_task else "functions/rollback"
    found.append(code.judged(well, seen, otherwise="warn", next=follows))
    return Findings([*found, states.login(ops)])
