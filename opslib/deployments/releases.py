"""After a deployment: which versions are live.

A test record made through the API and taken away.
"""

from opslib import databases, health, logs
from opslib.core import (
    Applied,
    Connection,
    Finding,
    Findings,
    Function,
    Http,
    NotAllowed,
    NotFound,
    OpsError,
    Planned,
    Question,
    Sql,
    Step,
    Unfinished,
    UsageError,
    answer,
    check,
    dtypes,
    frame,
    functions,
    planner,
    result,
    sql,
    unread,
)
from opslib.core.actions.actions import Appears, find_object
from opslib.core.connections.http import keyed

RELEASES = dtypes("""
    function    str
    live        str
    published   utc
    newest      str
    state       str
    description str
""")
_SMOKE = "made"  # the step that makes the test record


@check("Which versions are live?")
def check_releases(ops: Connection) -> Findings:
    """The version that each function runs: can it run, and is it the newest one published?

    And has the database had the migration that it needs, where the target's file says how that is
    known? Evidence: RELEASES.
    """
    answers = Function.each(ops, "", _release, "version of {}")
    found = [finding for finding, _ in answers]
    if "migrations" in ops.target.at("database"):
        found.append(answer("schema of the database", databases.judge_schema, ops))
    return Findings(found, frame((row for _, row in answers if row), RELEASES))


def _release(known: Function) -> tuple[Finding, tuple[object, ...]]:
    source = "lambda GetFunctionConfiguration, ListVersionsByFunction"
    asked = Question(f"version of {known.key}", "active; the newest one published", source)
    path = "Versions[].Version"
    try:
        live = known.live()
        versions = known.ops.pages(
            "lambda", "list_versions_by_function", path, FunctionName=known.name
        )
    except OpsError as exc:  # one function that cannot be read says nothing about the others
        return unread(asked, exc), ()
    newest = max(filter(str.isdigit, versions), key=int, default=functions.LATEST)
    number, said = live["Version"], live.get("Description", "")
    published, state = functions.modified(live), functions.states(live)
    row = (known.key, number, published, newest, ", ".join(state), said)
    seen = f"{number}, of {published:%Y-%m-%d %H:%M} UTC{f': {said}' if said else ''}"
    found = asked.ok(seen)
    if "alias" in known.facts and number != newest:
        seen += f"; {newest} is published and not live: rolled back, or not yet released"
        found = asked.warn(seen)
    if state != functions.WELL:
        seen += f"; it is {', '.join(state)}"
        found = asked.critical(seen, next="functions/rollback")
    return found, row


_NOTES = [
    "When it stops half-way the record is still to be seen: undo this run "
    "(changes/undo, with the id of its record) takes it away.",
    "Its row stays in the table, flagged as deleted: rows are never removed there.",
]


@planner
def plan_test_record(ops: Connection) -> Planned:
    """Make a test record (`api.smoke`), read it back, take it out of every view.

    Each step counts one row. While the database cannot be asked nothing is planned: the record
    could not be taken away. Nor where the target's file does not describe them.
    """
    summary = f"make, read back and take away a test record of {ops.target.system}"
    try:
        smoke, row = ops.target["api"]["smoke"], databases.soft_delete_flag(ops)
    except (UsageError, Unfinished, NotAllowed) as exc:
        note = f"No test record is made, for it could not be taken away again: {exc}"
        return Planned(summary, notes=[note])
    auth, id, path = keyed(ops.target["api"]), smoke["id"], smoke["create"]
    made = result(f'{_SMOKE}."{id}"')
    # Also when the flag is set already: so it serves as the undo, too.
    statement = f"UPDATE {row.table} SET {row.flag} = true "
    away = Sql(f"{statement}WHERE {row.id} = CAST(:id AS {row.type})", {"id": made}, rows=1)
    create = Http("POST", path, smoke["body"].plain(), auth=auth)
    read = Appears(smoke["read"], id, made, auth)
    table, told = ops.target["database"]["soft_delete"]["table"], "an answer with its id"
    steps = [
        Step(f"Make a test record: POST {path}", create, None, told, [away], name=_SMOKE),
        Step("Read it back", read, after="the API shows it", undo=[]),
        Step(f"Take it away: one row of {table}", away, after="no view shows it", undo=[]),
    ]
    return Planned(summary, steps, _NOTES)


@check("Is the test record out of sight?")
def check_taken_away(ops: Connection) -> Findings:
    """After the plan was applied: the API no longer shows the record, and its row is flagged."""
    id, row = _made(ops), "row of the test record"
    return Findings(
        [
            answer(f"test record {id}", _shown, ops, f"test record {id}", id),
            answer(row, _flagged, ops, row, id),
        ]
    )


def _shown(ops: Connection, words: str, id: str) -> Finding:
    smoke = ops.target["api"]["smoke"]
    told = ops.http("GET", smoke["read"], auth=keyed(ops.target["api"])).json()
    gone = find_object(told, smoke["id"], id) is None
    seen = f"the API {'no longer' if gone else 'still'} shows it"
    asked = Question(words, "not shown", f"GET {smoke['read']}")
    return asked.judged(gone, seen, next="changes/undo")


def _flagged(ops: Connection, words: str, id: str) -> Finding:
    row, name = databases.soft_delete_flag(ops), ops.target["database"]["soft_delete"]["flag"]
    statement = f"SELECT {row.flag} FROM {row.table} WHERE {row.id} = CAST(:id AS {row.type})"
    value = sql.value(ops, statement, {"id": id})
    seen = "no such row" if value is None else f"{name} is {str(value).lower()}"
    return Question(words, f"{name} is true", row.table).judged(value is True, seen)


def _made(ops: Connection) -> str:
    """The id of the record that this run made: the undo of the first step names it."""
    applied = ops.kept(Applied)
    undo = applied.undo[0] if applied and applied.undo else None
    if not undo:
        raise NotFound("No test record was made in this run.")
    return str(undo[0]["parameters"]["id"])


def check_again(ops: Connection, minutes: float) -> Findings:
    """Probes, versions and errors once more, so that the verdict counts them."""
    found = (health.check_probes(ops), check_releases(ops), logs.check_errors(ops, minutes=minutes))
    return Findings(finding for each in found for finding in each)
