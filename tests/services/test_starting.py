"""Would another task start? What runs does not show it; what the next one reads does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from opslib import Refused, connect, secrets, services
from opslib.core.connections.connection import Connection
from opslib.services.reading import Service, in_ecr
from opslib.users import clients
from tests.conftest import PracticeLab

TARGET = "lab/image-caption-prod"
SECRET = "image-caption-gen-secrets-prod"


@pytest.fixture(autouse=True)
def whole(lab: PracticeLab) -> Iterator[None]:
    yield
    lab.reset()


def hold(ops: Connection, text: str) -> None:
    ops.call("secretsmanager", "put_secret_value", SecretId=SECRET, SecretString=text)


def test_an_image_that_is_gone_is_told_while_all_tasks_run(ops: Connection) -> None:
    assert [f.status for f in services.check_startable(ops)] == ["ok"]
    service = Service(ops, "app")
    named = in_ecr(service.container(service.definition())["image"])
    where = {"repositoryName": named["repositoryName"], "imageIds": [named["imageId"]]}
    ops.call("ecr", "batch_delete_image", **where)
    (found,) = services.check_startable(ops)
    assert (found.status, found.cause) == ("critical", "image-not-pulled")
    assert not services.check_services(ops).troubles


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


@pytest.mark.parametrize("around", ["{}\n", "\ufeff{}", '"{}"'])
def test_a_value_with_a_line_s_end_is_told_and_not_shown(ops: Connection, around: str) -> None:
    well = ops.secret(SECRET)
    hold(ops, json.dumps(well | {"hf_api_key": around.format(well["hf_api_key"])}))
    (found,) = services.check_startable(ops)
    assert (found.status, found.cause) == ("warn", "secret-missing")
    assert "HF_API_KEY with blanks, quotes or a line's end around it" in found.seen
    assert well["hf_api_key"] not in str(found)


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


def test_a_key_that_was_lost_is_named_and_a_new_value_is_well(ops: Connection) -> None:
    well = ops.secret(SECRET)
    hold(ops, json.dumps({key: value for key, value in well.items() if key != "hf_api_key"}))
    assert "has no key hf_api_key" in services.check_startable(ops)[0].seen
    hold(ops, json.dumps(well | {"hf_api_key": "hf_" + "0123abcd" * 4}))
    assert [f.status for f in services.check_startable(ops)] == ["ok"]
    assert secrets.plan_rotate(ops, SECRET).steps
