"""Secrets that Terraform does not mark: by the name beside them, in texts of JSON, in scripts."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from opslib.core import redaction
from opslib.core.redaction import Redactor
from opslib.deployments.values import differences, hide

OLD, NEW = "0ld-Corr3ct-h0rse", "N3w-Corr3ct-h0rse"


def container(value: str) -> str:
    environment = [{"name": "MODE", "value": "fast"}, {"name": "DB_PASSWORD", "value": value}]
    return json.dumps([{"name": "api", "image": "api:2", "environment": environment}])


def script(value: str) -> str:
    return f"#!/bin/sh\necho start\nexport DB_PASSWORD={value}\n"


ATTRIBUTES: dict[str, Any] = {
    "container_definitions": container,
    "set": lambda value: [{"name": "auth.password", "type": "", "value": value}],
    "set, one": lambda value: {"name": "auth.password", "type": "", "value": value},
    "environment": lambda value: [{"variables": {"REDIS_DSN": value, "MODE": "fast"}}],
    "tags of a list": lambda value: [{"key": "api-token", "value": value}],
    "url": lambda value: f"redis://:{value}@cache.internal:6379/0",
    "user_data": script,
    "user_data_base64": lambda value: base64.b64encode(script(value).encode()).decode(),
    "zipped": lambda value: base64.b64encode(gzip.compress(script(value).encode())).decode(),
    "helm values": lambda value: f"auth:\n  username: app\n  password: {value}\n",
    "manifest": lambda value: {"kind": "Secret", "data": {"a": value}, "stringData": {"b": value}},
    "manifest of text": lambda value: f"kind: Secret\ndata:\n  a: {value}\n",
    "metadata of helm": lambda value: {"values": json.dumps({"adminPass": value})},
    "options of logs": lambda value: json.dumps([{"options": {"splunk-token": value}}]),
    "option": lambda value: json.dumps([{"command": ["--db-password", value]}]),
    "header": lambda value: [{"name": "X-Origin-Verify", "value": value}],
    "nested": lambda value: json.dumps({"spec": container(value)}),
}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_a_secret_that_is_not_marked_is_not_shown(
    attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    redactor = Redactor()
    for name in ("register", "mask", "mask_tree"):
        monkeypatch.setattr(redaction, name, getattr(redactor, name))
    before, after = ({attribute: ATTRIBUTES[attribute](value)} for value in (OLD, NEW))
    found = list(differences(hide(before, {}), hide(after, {})))
    said = " ".join(map(str, found))
    assert found
    assert "h0rse" not in said
    encoded = base64.b64encode(script(NEW).encode()).decode()
    assert encoded[30:50] not in said


def test_what_is_changed_beside_a_secret_is_still_shown() -> None:
    before, after = container(OLD), container(NEW).replace("fast", "slow").replace("api:2", "api:3")
    said = " ".join(map(str, differences(hide({"c": before}, {}), hide({"c": after}, {}))))
    assert "image: api:2 → api:3" in said
    assert "slow" in said
