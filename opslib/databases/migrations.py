"""Migrations, run by a system's API, function or container: what its database has had, what its
code needs.
"""

import re
from functools import partial
from typing import Any, NamedTuple

from opslib.core import (
    Action,
    Connection,
    Facts,
    Finding,
    Findings,
    Http,
    Json,
    Planned,
    Question,
    Refused,
    Select,
    Step,
    UsageError,
    answer,
    beside,
    check,
    dtypes,
    frame,
    functions,
    planner,
    quoted,
    sql,
)
from opslib.core.actions.lambdas import Invoke
from opslib.databases import containers
from opslib.databases.instances import snapshots

MIGRATIONS = dtypes("""
    target  str
    has     str
    needs   str
    pending boolean
""")
PENDING = "migration-pending"
_VERSION = "version_num"  # Alembic's column


class State(NamedTuple):
    """What a target's database has had and what its code needs.

    `needs` is empty when nothing says it. `ordered`: migrations are numbered, so that it can
    be said which of two is the later one. `unstamped`: there are tables, and no migration is kept.
    """

    target: str
    has: str
    needs: str
    ordered: bool = False
    unstamped: bool = False

    @property
    def pending(self) -> bool | None:
        """None when nothing says what is needed."""
        different = self.has != self.needs and not self.ahead
        return different if self.needs else None

    @property
    def ahead(self) -> bool:
        """Has the database had more than the code needs? So it is after a rollback of the code."""
        both = [
            re.match(r"\d{8,}", each) for each in (self.has, self.needs)
        ]  # a moment before a name
        times = [match[0] for match in both if match]
        has, needs = times if len(times) == 2 else (self.has, self.needs)
        later = (len(has), has) > (len(needs), needs)  # as `newest` orders them
        return self.ordered and bool(self.needs) and later


def find_state(ops: Connection) -> State:
    """The last migration that the database has had (its table), and the one that the code needs."""
    facts = ops.target["database"]
    has = str(sql.value(ops, newest(facts)) or "")
    bare = not has and sql.query(ops, _OTHERS, table=quoted(facts["migrations"])).size > 0
    return State(ops.target.name, has, _needed(ops), _tool(facts) in _TOLD["ordered"], bare)


_OTHERS = """SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema$)'
AND c.oid IS DISTINCT FROM to_regclass(:table)
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')"""
_STAMP = (
    "tables are there, and none of their migrations is kept: they would be made again. Compare the "
    "schema, then say what it has had (alembic stamp, or a row in the table of migrations)"
)


def _needed(ops: Connection) -> str:
    """What the API says, or a variable of a function or task; empty when nothing does."""
    head = ops.target["database"].get("migrations_head")
    if head is None or isinstance(head, str):
        return head or ""
    if "service" in head:
        return containers.variable(ops, head["service"], head["variable"])
    if "function" in head:
        return functions.variables(functions.live(ops, head["function"])).get(head["variable"], "")
    answer = ops.http("GET", head["path"]).json()
    return str(answer.get(head["field"], "")) if isinstance(answer, dict) else ""


_ALEMBIC, _NUMBERED = "alembic", "numbered"
_TOLD = beside(__file__, "migrations")
_NEWEST = _TOLD["newest"]


def _tool(facts: Facts) -> str:
    """Whose table of migrations it is; one of a number for each where nobody says."""
    other = _NUMBERED if facts.get("migrations_column", _VERSION) != _VERSION else _ALEMBIC
    tool = str(facts.get("migrations_tool", other))
    return tool if tool in _NEWEST else _NUMBERED


def newest(facts: Facts) -> str:
    """The query for the newest migration that the database has had; OFFSET 1 finds that before,
    but in Alembic's table.
    """
    tool = _tool(facts)
    usual = _VERSION if tool == _ALEMBIC else "version"
    column = quoted(facts.get("migrations_column", usual))
    return str(_NEWEST[tool]).format(column=column, table=quoted(facts["migrations"]))


def state_of_first(ops: Connection) -> State:
    """Of the target that has each migration before this one (`migrations_first`)."""
    return find_state(ops.beside(ops.target["database"]["migrations_first"]))


@check("Migrations")
def check_migrations(ops: Connection) -> Findings:
    """Has the database had the migration that its code needs, here and where it goes first?

    Evidence: MIGRATIONS.
    """
    here = find_state(ops)
    states, found = [here], [compare(here)]
    if "migrations_first" in ops.target["database"]:
        look = partial(_order, ops, here, states)
        found.append(answer("The target that goes first has it", look))
    rows = [state._asdict() | {"pending": state.pending} for state in states]
    return Findings(found, frame(rows, MIGRATIONS))


def judge_schema(ops: Connection) -> Finding:
    """Has the target's own database had the migration that its code needs?"""
    return compare(find_state(ops))


def compare(state: State) -> Finding:
    """Has the database had the migration that the code needs?"""
    question = f"Database of {state.target} is as its code needs it"
    asked = Question(question, "the same", "migrations table, deployed code")
    if not state.needs:
        seen = f"it has {state.has}; the deployed code does not say what it needs"
        return asked.unknown(seen)
    seen = f"it has {state.has or 'none'}, the code needs {state.needs}"
    if state.unstamped:
        return asked.critical(f"{seen}: {_STAMP}", next="databases/execute")
    if "," in state.has + state.needs:
        seen += ": several heads, so branches of migrations that nobody has merged"
    if state.ahead:
        seen += ": it is ahead, as after a rollback of the code; nothing is pending"
    return asked.judged(not state.pending, seen, cause=PENDING, next="databases/migrate")


def _order(ops: Connection, here: State, states: list[State]) -> Finding:
    """A pending migration is applied here only when the target that goes first has had it.

    Its state is appended.
    """
    before = state_of_first(ops)
    states.append(before)
    asked = Question(f"{before.target} has it first", here.needs, "migrations table")
    if not here.pending:
        return asked.ok("nothing is pending")
    had = before.has == here.needs
    seen = f"{before.target} {'has had' if had else 'has'} {before.has}"
    return asked.judged(had, seen, otherwise="warn", next="databases/migrate")


@planner
def plan_migration(ops: Connection, snapshot: bool = True) -> Planned:
    """Have the API, a function or a task apply what is pending, after a snapshot.

    Raises UsageError (nothing says what is needed, and it is no command for which that is the
    image), Refused: the target that goes first has not had it, or a task is at it.
    """
    facts = ops.target["database"]
    state = find_state(ops)
    if state.unstamped:
        raise Refused(f"{_STAMP[:1].upper()}{_STAMP[1:]}. Nothing was changed.")
    by_task = "service" in facts.get("migrate", ())
    if not state.needs and not by_task:
        raise UsageError(
            f"Which migration the code of {ops.target.name} needs is not known: describe "
            f"database.migrations_head in parameters/targets/{ops.target.key}.yaml."
        )
    if state.pending is False:
        note = f"The database has {state.has} already, which is what the code needs."
        return Planned("run migrations", notes=[note])
    if (
        state.needs
        and "migrations_first" in facts
        and (before := state_of_first(ops)).has != state.needs
    ):
        raise Refused(
            f"{before.target} has not had {state.needs} (it has {before.has}). Nothing was "
            f"changed. Run it there first: opslib run databases/migrate -t {before.target}"
        )
    to = state.needs or "the newest of the image"
    migrate = Step(
        f"Migrate the database of {ops.target.name} from {state.has or 'nothing'} to {to}",
        do=apply_action(ops, state),
        before=state.has,
        after=state.needs or None,
        observe=Select(newest(facts)) if state.needs else None,
    )
    saved = snapshots.steps_for_snapshot(ops, f"before migration {to}"[:256]) if snapshot else []
    notes = [_NOT_BACK, _BACK if snapshot else _NO_SNAPSHOT]
    if by_task:
        notes += containers.notes(ops, facts["migrate"]["service"])
        notes += [] if state.needs else [_TO_THE_IMAGES]
    return Planned(f"migrate to {to}", [*saved, migrate], notes)


def apply_action(ops: Connection, state: State) -> Action:
    """What applies them: `database.migrate` names a function or a command, else the API's path."""
    facts = ops.target["database"].plain()
    if "migrate" not in facts:
        return Http("POST", ops.target["api"]["migrate"])
    return run_by(ops, facts["migrate"], state.has, state.needs)


def run_by(ops: Connection, facts: Json, before: str, after: str) -> Action:
    """The command in a task, or the function, that a part of the target's file names."""
    if "service" in facts:
        return containers.one_off(ops, facts, before, after, newest(ops.target["database"]))
    return invoke(ops, facts)


def invoke(ops: Connection, facts: Json, **more: Any) -> Action:
    """Invokes the function that a part of the target's file names; `more` of a payload."""
    seconds = functions.live(ops, facts["function"])["Timeout"]
    name = ops.target["functions"][facts["function"]]["name"]
    return Invoke(name, facts.get("payload", {}) | more, seconds)


_NOT_BACK = (
    "Undo does not take a migration back: databases/migrate-back does, where the target's file "
    "names what runs its downgrade; else a restore."
)
_BACK = (
    "The way back is the snapshot: databases/restore brings it up beside this database. "
    "What is written after it is not in it."
)
_TO_THE_IMAGES = (
    "What is pending nothing says beforehand: the command applies what its image has and the "
    "database has not, which may be nothing. The database tells afterwards."
)
_NO_SNAPSHOT = (
    "No snapshot is taken before it: "
    "then only a restore to a moment before it is left as the way back."
)
