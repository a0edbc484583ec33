"""Secrets Manager as the real one."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opslib.lab.corrections import secrets
from opslib.lab.places import Place


def test_moving_the_current_stage_back_gives_the_old_value(aws: Any) -> None:
    client = aws("secretsmanager")
    name = f"practice/{uuid.uuid4().hex}"
    first = client.create_secret(Name=name, SecretString="one")["VersionId"]
    second = client.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
    assert client.get_secret_value(SecretId=name)["SecretString"] == "two"
    assert (
        client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "one"
    )
    client.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    assert client.get_secret_value(SecretId=name)["SecretString"] == "one"
    assert (
        client.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "two"
    )
    third = client.put_secret_value(SecretId=name, SecretString="three")["VersionId"]
    stages = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    assert (stages[third], stages[first]) == (["AWSCURRENT"], ["AWSPREVIOUS"])


def test_a_seeded_secret_is_as_old_as_the_seed_says(aws: Any, place: Place) -> None:
    client = aws("secretsmanager")
    name = f"practice/{uuid.uuid4().hex}"
    client.create_secret(Name=name, SecretString="one")
    secrets.age(place, name, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    described = client.describe_secret(SecretId=name)
    assert described["CreatedDate"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert described["LastChangedDate"] == datetime(2026, 5, 1, tzinfo=UTC)
    versions = client.list_secret_version_ids(SecretId=name)["Versions"]
    assert [version["CreatedDate"] for version in versions] == [datetime(2026, 5, 1, tzinfo=UTC)]


def test_the_versions_of_a_secret_that_is_not_there_are_not_found(aws: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws("secretsmanager").list_secret_version_ids(SecretId="practice/gone")
