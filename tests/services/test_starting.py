"""Would another task start? What runs does not show it; what the next one reads does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from opslib import Refused, apply, connect, logs, secrets, services
from opslib.core.connections.connection import Connection
from opslib.services.reading import Service, in_ecr
from opslib.users import clients
from tests.conftest import PracticeLab
from tests.undoing import confirmed

TARGET = "lab/image-caption-prod"
SECRET = "image-caption-gen-secrets-prod"


@pytest.fixture(autouse=True)
def whole(lab: PracticeLab) -> Iterator[None]:
    yield
    lab.reset()


def hold(ops: Connection, text: str) -> None:
    ops.call("secretsmanager", "put_secret_value", SecretId=SECRET, SecretString=text)


@pytest.mark.slow
def test_an_image_that_is_gone_is_told_while_all_tasks_run(ops: Connection) -> None:
    assert [f.status for f in services.check_startable(ops)] == ["ok"]
    service = Service(ops, "app")
    named = in_ecr(service.container(service.definition())["image"])
    where = {"repositoryName": named["repositoryName"], "imageIds": [named["imageId"]]}
    ops.call("ecr", "batch_delete_image", **where)
    (found,) = services.check_startable(ops)
    assert (found.status, found.cause) == ("critical", "image-not-pulled")
    assert not services.check_services(ops).troubles


@pytest.mark.parametrize("gone", ["secretsmanager:GetSecretValue", "ecr:GetAuthorizationToken"])
def test_a_role_that_may_not_read_what_tasks_begin_with_is_told_while_all_tasks_run(
    ops: Connection, gone: str
) -> None:
    role = Service(ops, "app").definition()["executionRoleArn"]
    at = {"RoleName": role.rpartition("/")[2], "PolicyName": "start"}
    allowed = ops.call("iam", "get_role_policy", **at)["PolicyDocument"]
    allowed["Statement"][0]["Action"].remove(gone)
    before = logs.check_needs(ops)
    ops.call("iam", "put_role_policy", **at, PolicyDocument=json.dumps(allowed))
    (found,) = logs.check_needs(ops).troubles
    assert before.troubles == []
    assert (found.status, found.cause) == ("critical", "role-denied")
    assert f"app: {role} may not {gone} on " in found.seen


def test_a_log_group_that_is_gone_is_told_while_all_tasks_run(ops: Connection) -> None:
    service = Service(ops, "app")
    name = service.facts["log_group"]
    ops.call("logs", "delete_log_group", logGroupName=name)
    (found,) = services.check_startable(ops)
    assert (found.status, found.cause) == ("critical", "log-group-missing")
    assert f"its log group {name} is not there" in found.seen


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "gone", [{"RecoveryWindowInDays": 7}, {"ForceDeleteWithoutRecovery": True}]
)
def test_a_whole_secret_that_was_deleted_is_told_while_all_tasks_run(
    lab: PracticeLab, gone: dict[str, Any]
) -> None:
    studio = connect("lab/ai-studio-production")
    assert services.check_startable(studio).worst == "ok"
    studio.call("secretsmanager", "delete_secret", SecretId="OPENAI_API_KEY", **gone)
    found = services.check_startable(studio, "gateway")
    assert [(f.status, f.cause) for f in found] == [("critical", "secret-missing")]
    assert "would not start, or without OPENAI_API_KEY: Not found: " in found[0].seen


@pytest.mark.some(3)
@pytest.mark.parametrize("around", ["{}\n", "\ufeff{}", '"{}"'])
def test_a_value_with_a_line_s_end_is_told_and_not_shown(ops: Connection, around: str) -> None:
    well = ops.secret(SECRET)
    hold(ops, json.dumps(well | {"hf_api_key": around.format(well["hf_api_key"])}))
    (found,) = services.check_startable(ops)
    assert (found.status, found.cause) == ("warn", "secret-missing")
    assert "HF_API_KEY with blanks, quotes or a line's end around it" in found.seen
    assert well["hf_api_key"] not in str(found)


@pytest.mark.some(2)
@pytest.mark.parametrize("text", ["CHANGEME", "no JSON"])
def test_nobody_is_started_anew_without_what_it_needs(ops: Connection, text: str) -> None:
    well = ops.secret(SECRET)
    held = {"CHANGEME": json.dumps(well | {"hf_api_key": text})}.get(text, text)
    hold(ops, held)
    found = services.check_startable(ops)
    assert {f.cause for f in found} == {"secret-missing"}
    assert ("has no key" if held == text else "would have no HF_API_KEY") in found[0].seen
    assert all(value not in str(found) for value in well.values())
    with pytest.raises(Refused, match="Nothing was changed"):
        secrets.plan_rotate(ops, SECRET)
    if held == text:  # and the app client's check says so, and does not break off
        told = {f.check: f for f in clients.check_clients(ops)}
        assert told["secret of web"].status == "critical"


@pytest.mark.slow
def test_a_key_that_was_lost_is_named_and_a_new_value_is_well(ops: Connection) -> None:
    well = ops.secret(SECRET)
    hold(ops, json.dumps({key: value for key, value in well.items() if key != "hf_api_key"}))
    assert "has no key hf_api_key" in services.check_startable(ops)[0].seen
    hold(ops, json.dumps(well | {"hf_api_key": "hf_" + "0123abcd" * 4}))
    assert [f.status for f in services.check_startable(ops)] == ["ok"]
    assert secrets.plan_rotate(ops, SECRET).steps


@pytest.mark.slow
def test_a_restart_replaces_each_task_by_one_of_the_same_revision(ops: Connection) -> None:
    def running() -> set[str]:
        return {task["taskArn"] for task in Service(ops, "app").tasks("RUNNING")}

    before, definition = running(), Service(ops, "app").described["taskDefinition"]
    plan = services.plan_restart(ops, "app")
    assert running() == before
    apply(ops, plan, plan.id, confirmed(TARGET))
    assert len(running()) == len(before)
    assert running().isdisjoint(before)
    assert Service(ops, "app").described["taskDefinition"] == definition


def test_nothing_is_restarted_that_would_not_come_up_again_or_is_being_deployed(
    ops: Connection,
) -> None:
    described = Service(ops, "app").described
    under_way = described | {
        "deployments": [described["deployments"][0] | {"rolloutState": "IN_PROGRESS"}]
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Service, "described", under_way)
        with pytest.raises(Refused, match="is under way"):
            services.plan_restart(ops, "app")
    ops.call("secretsmanager", "delete_secret", SecretId=SECRET)
    with pytest.raises(Refused, match="would not start"):
        services.plan_restart(ops, "app")


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("tasks", "least", "steps", "said"),
    [
        (0, 100, 0, "services/scale"),
        (1, 0, 1, "nothing answers until the first has started"),
        (1, 100, 1, ""),
        (2, 50, 1, ""),
    ],
)
def test_a_restart_says_when_nothing_answers_meanwhile(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, tasks: int, least: int, steps: int, said: str
) -> None:
    present = Service(ops, "app").described
    monkeypatch.setattr(
        Service,
        "described",
        present
        | {
            "desiredCount": tasks,
            "deploymentConfiguration": {"minimumHealthyPercent": least},
        },
    )
    plan = services.plan_restart(ops, "app")
    assert len(plan.steps) == steps
    assert said in " ".join(plan.notes)
    assert ("nothing answers" in " ".join(plan.notes)) == ("nothing answers" in said)
