"""What is being changed just now is no trouble; what does not come to its end is one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from opslib import connect, secrets, services
from opslib.core.connections.connection import Connection
from opslib.services import states
from opslib.services.reading import Service
from tests.conftest import PracticeLab

TARGET, SECRET = "lab/image-caption-prod", "image-caption-gen-secrets-prod"


def changed(ops: Connection, **given: Any) -> None:
    facts = ops.target["services"]["app"]
    at = {"cluster": facts["cluster"], "service": facts["name"]}
    ops.call("ecs", "update_service", **at, **given)


@pytest.mark.slow
def test_tasks_that_begin_after_a_scale_out_are_no_trouble(fresh: Connection) -> None:
    changed(fresh, desiredCount=4)
    found = services.check_services(connect(TARGET))
    assert "2 of 4 run, 2 begin" in found[0].seen
    assert found.troubles == []


@pytest.mark.parametrize(
    ("minutes", "code", "status"),
    [
        (2, "ServiceSchedulerInitiated", "ok"),
        (40, "ServiceSchedulerInitiated", "warn"),
        (2, "EssentialContainerExited", "warn"),
    ],
)
def test_tasks_that_begin_for_long_or_again_and_again_are_one(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, minutes: float, code: str, status: str
) -> None:
    def tasks(self: Service, *asked: str) -> list[dict[str, Any]]:
        created = ops.now() - timedelta(minutes=minutes)
        return [{"createdAt": created, "stopCode": code}] * 2

    monkeypatch.setattr(Service, "tasks", tasks)
    counts = {"runningCount": 2, "desiredCount": 4, "pendingCount": 2}
    service = Service(ops, "app")
    vars(service)["described"] = {"status": "ACTIVE", **counts}
    assert states._counted(service).status == status


@pytest.mark.slow
def test_tasks_of_before_a_new_value_are_told_unless_they_are_being_replaced(
    lab: PracticeLab, fresh: Connection
) -> None:
    text = fresh.call("secretsmanager", "get_secret_value", SecretId=SECRET)["SecretString"]
    fresh.call("secretsmanager", "put_secret_value", SecretId=SECRET, SecretString=text)
    [found] = secrets.check_taken(connect(TARGET)).troubles
    assert found.cause == "secret-stale"
    changed(fresh, forceNewDeployment=True)
    told = secrets.check_taken(connect(TARGET))
    assert told.troubles == []
    assert "of before are being replaced" in told[0].seen


def test_so_many_of_the_last_deployments_are_read_as_are_asked_for(ops: Connection) -> None:
    service = Service(ops, "app")
    every = service.deployments()
    assert len(every) > 1
    assert service.deployments(1) == every[:1]
