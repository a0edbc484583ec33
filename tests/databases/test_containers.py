"""Migrations by a command in a task of its own: done, not done or unknown, by what the database
says.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from opslib import OpsError, Refused, apply, databases
from opslib.core import OneOff, Select
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.errors import Lost
from opslib.databases import containers, migrations
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import confirmed

KEY = "ai-studio-production"
TARGET = f"lab/{KEY}"
PENDING, HEAD, NEXT = "migration-pending", "3b97e5510f4c", "4c02aa7be6d8"
SURE = {"approved": "now", "confirm": confirmed(TARGET)}

pytestmark = pytest.mark.usefixtures("clean", "records_folder")


def migrate(ops: Connection) -> None:
    apply(ops, migrations.plan_migration(ops, snapshot=False), "now", confirmed(TARGET))


def started(ops: Connection, command: list[str]) -> Any:
    """A task of the backend's, by hand."""
    about = ops.target["database"].plain()["migrate"] | {"command": command}
    return containers.one_off(ops, about, HEAD, NEXT, "SELECT version_num FROM alembic_version")


def write(ops: Connection, version: str) -> None:
    """What the database says that it has had, changed by somebody."""
    sql.execute(ops, "UPDATE alembic_version SET version_num = :version", {"version": version}, 1)


@pytest.mark.slow
def test_a_pending_migration_is_applied_by_a_task_and_the_database_proves_it(
    ops: Connection, lab: PracticeLab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert databases.check_runs(ops).causes | databases.check_migrations(ops).causes == set()
    with lab.broken(PENDING, KEY):
        before = lab.state(KEY)
        preview = notebooks.run("databases/migrate", target=TARGET)
        assert preview["ops"].findings.causes == {PENDING}
        assert lab.state(KEY) == before
        left = notebooks.run("databases/migrate", target=TARGET, **SURE)
        assert "Running upgrade 3b97e5510f4c -> 4c02aa7be6d8" in capsys.readouterr().out
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        changed = differences(before, lab.state(KEY))
        assert {path.split(".")[0] for path in changed} == {"rds", "sql"}
        assert migrations.find_state(ops).has == NEXT
        assert "exit code 0" in databases.check_runs(ops)[0].seen


@pytest.mark.slow
def test_the_task_is_as_its_services_are_and_serves_nothing(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken(PENDING, KEY):
        plan = migrations.plan_migration(ops, snapshot=False)
        do = plan.steps[0].do
        given = ops.call(
            "ecs", "describe_services", cluster=do["cluster"], services=["ai-studio-backend"]
        )
        service = given["services"][0]
        assert do["definition"] == service["taskDefinition"]
        assert do["run"]["networkConfiguration"] == service["networkConfiguration"]
        assert do["run"]["launchType"] == "FARGATE"
        assert "environment" not in str(do)  # nothing of what its variables hold
        migrate(ops)
        tasks = ops.call(
            "ecs", "list_tasks", cluster=do["cluster"], serviceName="ai-studio-backend"
        )
        assert len(tasks["taskArns"]) == 2


@pytest.mark.slow
def test_a_migration_that_fails_is_not_done_and_says_why(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken("migration-failed", KEY):
        found = databases.check_runs(ops)
        assert (found.worst, found.causes) == ("critical", {"migration-failed"})
        assert "made by hand" in found[0].seen
        assert found.evidence is not None
        assert found.evidence["time"].dt.year.min() > 2020
        with pytest.raises(
            OpsError, match=r"exit code 1: .*cost_usd.* already exists Not done: it is still 3b97e"
        ):
            migrate(ops)
        assert migrations.find_state(ops).has == HEAD


@pytest.mark.slow
def test_a_task_that_cannot_start_did_nothing(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken(PENDING, KEY), lab.broken("secret-missing", KEY):
        action = started(ops, ["alembic", "upgrade", "head"])
        with pytest.raises(
            OpsError, match=r"never ran its command: .*did not contain json key url.*Not done"
        ):
            action.perform(ops)
        found = databases.check_runs(ops)
        assert (found.worst, found.causes) == ("critical", {"secret-missing"})
        assert migrations.find_state(ops).has == HEAD


@pytest.mark.slow
def test_a_command_that_is_not_there_is_told(ops: Connection) -> None:
    with pytest.raises(OpsError, match=r"exit code 127: .* alembick: not found Not done"):
        started(ops, ["alembick"]).perform(ops)


@pytest.mark.slow
def test_what_is_not_known_to_the_image_is_told(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken(PENDING, KEY):
        write(ops, "ffffffffffff")
        with pytest.raises(OpsError, match="Can't locate revision identified by 'ffffffffffff'"):
            migrate(ops)
        assert "an older image" in databases.check_runs(ops)[0].seen
        assert databases.check_migrations(ops).causes == {PENDING}
        write(ops, HEAD)


def test_two_rows_are_branches_that_nobody_merged(ops: Connection) -> None:
    state = migrations.State("t", "1a, 2b", "2b")
    assert "several heads" in migrations.compare(state).seen
    assert migrations.compare(state).status == "critical"


def test_denied_is_said_before_anything_is_done(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken(PENDING, KEY):
        plan = migrations.plan_migration(ops, snapshot=False)
        with lab.denied("ecs:RunTask", KEY), pytest.raises(OpsError, match="ecs run_task"):
            apply(ops, plan, "now", confirmed(TARGET))
        assert migrations.find_state(ops).has == HEAD
        with lab.denied("ecs:ListTasks", KEY):
            assert databases.check_runs(ops).worst == "unknown"


@pytest.mark.slow
def test_one_that_runs_is_not_joined_by_another(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken(PENDING, KEY):
        action = started(ops, ["sleep", "60"])
        overrides = {"containerOverrides": [{"name": "backend", "command": ["sleep", "60"]}]}
        given = {**action["run"], "taskDefinition": action["definition"], "overrides": overrides}
        ops.call("ecs", "run_task", cluster=action["cluster"], **given)
        with pytest.raises(Refused, match=r"runs already, .*sleep 60"):
            migrations.plan_migration(ops)
    lab.reset()  # it runs still


@pytest.mark.slow
def test_nothing_that_says_what_the_image_has_leaves_it_to_the_image(
    ops: Connection, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = ops.target["database"].plain()
    monkeypatch.setitem(
        ops.target.facts,
        "database",
        Facts({k: v for k, v in about.items() if k != "migrations_head"}, "f"),
    )
    with lab.broken(PENDING, KEY):
        assert databases.check_migrations(ops).worst == "unknown"
        plan = migrations.plan_migration(ops, snapshot=False)
        assert any("What is pending nothing says beforehand" in note for note in plan.notes)
        apply(ops, plan, "now", confirmed(TARGET))


class Scripted(Connection):
    """ECS as it is told, and a database that is at `now`."""

    def __init__(self, code: int | None, now: str, status: str = "STOPPED") -> None:
        containers = [{"name": "app", "exitCode": code} if code is not None else {"name": "app"}]
        self.task = {
            "taskArn": "arn:aws:ecs:eu-central-1:1:task/c/t1",
            "lastStatus": status,
            "stoppedReason": "because",
            "containers": containers,
        }
        self.now_at, self.started = now, 0

    def change(self, *_: Any, **__: Any) -> Any:
        self.started += 1
        return {"tasks": [self.task], "failures": []}

    def call(self, *_: Any, **__: Any) -> Any:
        return {"tasks": [self.task]}


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("code", "now", "status", "error", "said"),
    [
        (1, "a", "STOPPED", OpsError, "Not done: it is still a"),
        (1, "m", "STOPPED", OpsError, "Done in part: it was a, now it is m"),
        (1, "b", "STOPPED", Lost, "And yet it is b"),
        (None, "a", "STOPPED", OpsError, "never ran its command: because. Not done"),
        (None, "a", "RUNNING", Lost, "It is not stopped"),
    ],
)
def test_what_a_failed_command_did_the_proof_says(
    monkeypatch: pytest.MonkeyPatch, code: int | None, now: str, status: str, error: Any, said: str
) -> None:
    monkeypatch.setattr(sql, "value", lambda ops, *_: ops.now_at)
    ops = Scripted(code, now, status)
    container = {"name": "app", "logConfiguration": {}}
    action = OneOff(
        "c", "arn:x:task-definition/f:1", container, ["go"], {}, 0.1, Select("q"), "a", "b"
    )
    with pytest.raises(error, match=re.escape(said)) as failed:
        action.perform(ops)
    assert type(failed.value) is error
    assert (failed.value.done is not None) == (now == "m")
    assert ops.started == 1


def test_a_failed_command_of_which_nothing_tells_what_it_did_may_have_done_a_part() -> None:
    container = {"name": "app", "logConfiguration": {}}
    action = OneOff("c", "arn:x:task-definition/f:1", container, ["go"], {}, 0.1)
    with pytest.raises(Lost, match="ended with exit code 1"):
        action.perform(Scripted(1, "a"))
