"""After a deployment: which versions are live, and a test record made through the API, read back and taken away."""

from __future__ import annotations

from typing import Any

from opslib import databases, health, logs
from opslib.core.checks.checks import answer, check, unread
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import value as sql_value
from opslib.core.errors import NotAllowed, NotFound, OpsError, Unfinished
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Action, Appears, Http, Sql, find_object, result
from opslib.core.plans.applying import Applied, planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import functions
from opslib.core.tables import UTC_TIME, frame

RELEASES = {
    "function": "str",
    "live": "str",
    "published": UTC_TIME,
    "age_hours": "float64",
    "newest": "str",
    "state": "str",
    "description": "str",
}
_SMOKE = "made"  # the step that makes the test record


@check("Which versions are live?")
def check_releases(ops: Connection) -> Findings:
    """The version that each function runs: can it run, and is it the newest one published? Evidence: RELEASES.

    And has the database had the migration that it needs, where the target's file says how that is known?
    """
    answers = ops.gather(*(lambda key=key: _release(ops, key) for key in ops.target["functions"]))
    rows = [row for _, row in answers if row]
    found = [finding for finding, _ in answers]
    if "migrations" in ops.target.facts.get("database", {}):
        found.append(answer("schema of the database", lambda: databases.judge_schema(ops)))
    return Findings(found, frame(rows, RELEASES))


def _release(ops: Connection, key: str) -> tuple[Finding, dict[str, Any]]:
    question, name = f"version of {key}", ops.target["functions"][key]["name"]
    try:
        live = functions.live(ops, key)
        published = ops.pages(
            "lambda", "list_versions_by_function", "Versions[].Version", FunctionName=name
        )
    except OpsError as exc:  # one function that cannot be read says nothing about the others
        return unread(question, exc), {}
    numbers = [int(version) for version in published if version.isdigit()]
    newest = str(max(numbers)) if numbers else functions.LATEST
    modified, state = functions.modified(live), ", ".join(functions.states(live))
    row = {
        "function": key,
        "live": live["Version"],
        "published": modified,
        "newest": newest,
        "state": state,
        "age_hours": round((ops.now() - modified).total_seconds() / 3600, 1),
        "description": live.get("Description", ""),
    }
    return _release_finding(question, row, aliased="alias" in ops.target["functions"][key]), row


def _release_finding(question: str, row: dict[str, Any], aliased: bool) -> Finding:
    source = "lambda GetFunctionConfiguration, ListVersionsByFunction"
    seen = f"{row['live']}, of {row['published']:%Y-%m-%d %H:%M} UTC" + (
        f": {row['description']}" if row["description"] else ""
    )
    threshold = "active; the newest one published"
    if row["state"] != "Active, Successful":
        return Finding(
            "critical",
            question,
            f"{seen}; it is {row['state']}",
            threshold,
            source,
            next="functions/rollback",
        )
    if aliased and row["live"] != row["newest"]:
        seen += f"; {row['newest']} is published and not live: rolled back, or not yet released"
        return Finding("warn", question, seen, threshold, source)
    return Finding("ok", question, seen, threshold, source)


@planner
def plan_test_record(ops: Connection) -> Planned:
    """Make a test record (`api.smoke`), read it back, and take it out of every view (`database.soft_delete`).

    Each step counts one row. While the database cannot be asked nothing is planned: the record could not be taken away.
    Raises UsageError where the target's file does not describe them.
    """
    summary = f"make, read back and take away a test record of {ops.target.system}"
    smoke = ops.target["api"]["smoke"]
    auth = "token_secret" in ops.target["api"]
    id = smoke["id"]
    made = result(f'{_SMOKE}."{id}"')
    try:
        away = _take_away(ops, made)
    except (Unfinished, NotAllowed) as exc:
        return Planned(
            summary, [], [f"No test record is made, for it could not be taken away again: {exc}"]
        )
    table = ops.target["database"]["soft_delete"]["table"]
    steps = [
        Step(
            f"Make a test record: POST {smoke['create']}",
            do=Http("POST", smoke["create"], smoke["body"].plain(), auth=auth),
            after="an answer with its id",
            undo=[away],
            name=_SMOKE,
        ),
        Step(
            "Read it back",
            do=Appears(smoke["read"], id, made, auth),
            after="the API shows it",
            undo=[],
        ),
        Step(f"Take it away: one row of {table}", do=away, after="no view shows it", undo=[]),
    ]
    return Planned(summary, steps, _NOTES)


_NOTES = [
    "When it stops half-way the record is still to be seen: undo this run (changes/undo, with the id of its record) takes it away.",
    "Its row stays in the table, flagged as deleted: rows are never removed there.",
]


def _take_away(ops: Connection, id: Any) -> Action:
    """Sets the flag of one row, also when it is set already: so it serves as the undo, too."""
    facts = databases.soft_delete_flag(ops)
    statement = (
        f"UPDATE {facts.table} SET {facts.flag} = true WHERE {facts.id} = CAST(:id AS {facts.type})"
    )
    return Sql(statement, {"id": id}, rows=1)


@check("Is the test record out of sight?")
def check_taken_away(ops: Connection) -> Findings:
    """After the plan was applied: the API no longer shows the test record, and its row is flagged in the table."""
    id = _made(ops)
    question = f"test record {id}"
    return Findings(
        [
            answer(question, lambda: _shown(ops, question, id)),
            answer(f"row of {question}", lambda: _flagged(ops, question, id)),
        ]
    )


def _shown(ops: Connection, question: str, id: str) -> Finding:
    facts = ops.target["api"]["smoke"]
    source = f"GET {facts['read']}"
    answered = ops.http("GET", facts["read"], auth="token_secret" in ops.target["api"]).json()
    if find_object(answered, facts["id"], id) is not None:
        return Finding(
            "critical", question, "the API still shows it", "not shown", source, next="changes/undo"
        )
    return Finding("ok", question, "the API no longer shows it", "not shown", source)


def _flagged(ops: Connection, question: str, id: str) -> Finding:
    row, name = databases.soft_delete_flag(ops), ops.target["database"]["soft_delete"]["flag"]
    statement = f"SELECT {row.flag} FROM {row.table} WHERE {row.id} = CAST(:id AS {row.type})"
    value = sql_value(ops, statement, {"id": id})
    seen = "no such row" if value is None else f"{name} is {str(value).lower()}"
    return Finding(
        "ok" if value is True else "critical",
        f"row of {question}",
        seen,
        f"{name} is true",
        row.table,
    )


def _made(ops: Connection) -> str:
    """The id of the record that this run made: the undo of the first step names it."""
    applied = ops.kept(Applied)
    undo = applied.undo[0] if applied is not None and applied.undo else None
    if not undo:
        raise NotFound("No test record was made in this run.")
    return str(undo[0]["parameters"]["id"])


def check_again(ops: Connection, minutes: float) -> Findings:
    """After the test record: the probes, the versions and the errors once more, so that the verdict counts them."""
    found = (health.check_probes(ops), check_releases(ops), logs.check_errors(ops, minutes=minutes))
    return Findings(finding for each in found for finding in each)
