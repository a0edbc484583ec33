"""Migrations of a system's database, run by its own API or its own function: which it has had, which its code needs,
who has it first.
"""

from __future__ import annotations

from dataclasses import dataclass

from opslib.core.checks.checks import answer, check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import quoted
from opslib.core.connections.targets import LAB, Facts
from opslib.core.errors import Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Action, Http, Invoke, Select
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import functions
from opslib.core.tables import frame
from opslib.databases.instances import rds, snapshots

MIGRATIONS = {"target": "str", "database_has": "str", "code_needs": "str", "pending": "boolean"}
PENDING = "migration-pending"
_ALEMBIC = "version_num"


@dataclass(frozen=True)
class State:
    """What a target's database has had and what its deployed code needs; `needs` is empty when nothing says it.

    `ordered`: migrations are numbered, so that it can be said which of two is the later one.
    """

    target: str
    has: str
    needs: str
    ordered: bool = False

    @property
    def pending(self) -> bool:
        return bool(self.needs) and self.has != self.needs and not self.ahead

    @property
    def ahead(self) -> bool:
        """Has the database had more than the code needs? So it is after a rollback of the code."""
        return self.ordered and bool(self.needs) and _number(self.has) > _number(self.needs)


def _number(migration: str) -> tuple[int, str]:
    """Numbers and times, with or without zeros before them, in the order that `_statement` gives them."""
    return len(migration), migration


def find_state(ops: Connection) -> State:
    """The last migration that the database has had (its migrations table), and the one that the code needs."""
    facts = ops.target["database"]
    has = str(sql.value(ops, _statement(facts)) or "")
    return State(
        ops.target.name, has, _needed(ops), facts.get("migrations_column", _ALEMBIC) != _ALEMBIC
    )


def _needed(ops: Connection) -> str:
    """What the API says, or a variable of a function; empty when the target's file names neither."""
    head = ops.target["database"].get("migrations_head")
    if head is None:
        return ""
    if "function" in head:
        return functions.variables(functions.live(ops, head["function"])).get(head["variable"], "")
    answer = ops.http("GET", head["path"]).json()
    return str(answer.get(head["field"], "")) if isinstance(answer, dict) else ""


def _statement(facts: Facts) -> str:
    """Alembic keeps one row; several heads are joined, so that none is overlooked. Other tools keep a row for each."""
    table, column = quoted(facts["migrations"]), quoted(facts.get("migrations_column", _ALEMBIC))
    if column == quoted(_ALEMBIC):
        return f"SELECT string_agg({column}, ', ' ORDER BY {column}) FROM {table}"
    return f'SELECT {column}::text FROM {table} ORDER BY length({column}::text) DESC, {column}::text COLLATE "C" DESC LIMIT 1'


def first(ops: Connection) -> Connection:
    """A connection to the target that has each migration before this one does (`database.migrations_first`)."""
    return ops.beside((LAB if ops.target.lab else "") + ops.target["database"]["migrations_first"])


@check("Migrations")
def check_migrations(ops: Connection) -> Findings:
    """Has the database had the migration that the deployed code needs, here and where it goes first? Evidence: MIGRATIONS."""
    here = find_state(ops)
    states, found = [here], [compare(here)]
    if "migrations_first" in ops.target["database"]:
        found.append(answer("The target that goes first has it", lambda: _order(ops, here, states)))
    rows = [
        {
            "target": s.target,
            "database_has": s.has,
            "code_needs": s.needs or None,
            "pending": s.pending if s.needs else None,
        }
        for s in states
    ]
    return Findings(found, frame(rows, MIGRATIONS))


def judge_schema(ops: Connection) -> Finding:
    """Has the target's own database had the migration that its code needs?"""
    return compare(find_state(ops))


def compare(state: State) -> Finding:
    """Has the database had the migration that the code needs?"""
    question, source = (
        f"Database of {state.target} is as its code needs it",
        "migrations table, deployed code",
    )
    if not state.needs:
        seen = f"it has {state.has}; the deployed code does not say what it needs"
        return Finding("unknown", question, seen, source=source)
    seen = f"it has {state.has or 'none'}, the code needs {state.needs}"
    if state.pending:
        return Finding("critical", question, seen, "the same", source, PENDING, "databases/migrate")
    if state.ahead:
        seen += ": it is ahead, as after a rollback of the code; nothing is pending"
    return Finding("ok", question, seen, "the same", source)


def _order(ops: Connection, here: State, states: list[State]) -> Finding:
    """A pending migration is applied here only when the target that goes first has had it. Its state is appended."""
    before = find_state(first(ops))
    states.append(before)
    question, source = f"{before.target} has it first", "migrations table"
    if not here.pending:
        return Finding("ok", question, "nothing is pending", source=source)
    if before.has == here.needs:
        return Finding("ok", question, f"{before.target} has had {here.needs}", here.needs, source)
    return Finding(
        "warn",
        question,
        f"{before.target} has {before.has}",
        here.needs,
        source,
        next="databases/migrate",
    )


@planner
def plan_migration(ops: Connection, snapshot: bool = True) -> Planned:
    """Have the API, or the function for it, apply what is pending, after a snapshot.

    Raises UsageError (nothing says what is needed), Refused when the target that goes first has not had it.
    """
    facts = ops.target["database"]
    state = find_state(ops)
    if not state.needs:
        raise UsageError(
            f"Which migration the code of {ops.target.name} needs is not known: describe database.migrations_head in "
            f"parameters/targets/{ops.target.key}.yaml."
        )
    if not state.pending:
        return Planned(
            "run migrations",
            [],
            [f"The database has {state.has} already, which is what the code needs."],
        )
    if "migrations_first" in facts and (before := find_state(first(ops))).has != state.needs:
        raise Refused(
            f"{before.target} has not had {state.needs} (it has {before.has}). Nothing was changed. Run it there first: "
            f"opslib run databases/migrate -t {before.target}"
        )
    migrate = Step(
        f"Migrate the database of {ops.target.name} from {state.has or 'nothing'} to {state.needs}",
        do=_run(ops),
        before=state.has,
        after=state.needs,
        observe=Select(_statement(facts)),
    )
    saved = (
        snapshots.steps_for_snapshot(ops, rds.of(ops), f"before migration {state.needs}")
        if snapshot
        else []
    )
    return Planned(
        f"migrate to {state.needs}",
        [*saved, migrate],
        _NOTES if snapshot else [_NOTES[0], _NO_SNAPSHOT],
    )


def _run(ops: Connection) -> Action:
    """What applies them: `database.migrate` names a function, else the API has a path for it."""
    facts = ops.target["database"]
    if "migrate" not in facts:
        return Http("POST", ops.target["api"]["migrate"])
    function = facts["migrate"]["function"]
    present = functions.live(ops, function)
    payload = facts["migrate"].plain().get("payload", {})
    return Invoke(str(ops.target["functions"][function]["name"]), payload, present["Timeout"])


_NOTES = [
    "A migration is not taken back by this project: its own downgrade, or a restore, does that.",
    "The way back is the snapshot: databases/restore brings it up beside this database. What is written after it is not in it.",
]
_NO_SNAPSHOT = "No snapshot is taken before it: then only a restore to a moment before it is left as the way back."
