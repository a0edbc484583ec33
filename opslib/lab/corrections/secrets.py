"""Secrets Manager.

In moto, after AWSCURRENT was moved to another version, get_secret_value still gives the old one,

and every version of a secret was made just now."""

import json
import time
from datetime import datetime
from typing import Any

from moto.secretsmanager.exceptions import SecretNotFoundException
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend

from opslib.lab.aws.ground import Standing

_moto_move = SecretsManagerBackend.update_secret_version_stage
_moto_versions = SecretsManagerBackend.list_secret_version_ids


def install() -> None:
    SecretsManagerBackend.update_secret_version_stage = _move
    SecretsManagerBackend.list_secret_version_ids = _versions


def age(place: Standing, name: str, created: datetime, changed: datetime) -> None:
    """Gives a seeded secret its dates: when it was made, when its value was last changed."""
    secret: FakeSecret = place.backend("secretsmanager").secrets[name]
    secret.created_date, secret.last_changed_date = (
        int(created.timestamp()),
        int(changed.timestamp()),
    )
    secret.versions[secret.default_version_id]["createdate"] = int(changed.timestamp())


def _move(self: SecretsManagerBackend, secret_id: str, version_stage: str, **versions: Any) -> Any:
    moved = _moto_move(self, secret_id=secret_id, version_stage=version_stage, **versions)
    secret = self.secrets[secret_id]
    for version_id, version in secret.versions.items():
        if "AWSCURRENT" in version["version_stages"]:
            secret.set_default_version_id(version_id)
    secret.last_changed_date = int(time.time())
    return moved


def _versions(self: SecretsManagerBackend, secret_id: str) -> str:
    """As moto, but each version with the time that it was made.

    A secret that is not there is not found.
    """
    if secret_id not in self.secrets:
        raise SecretNotFoundException()
    answer: dict[str, Any] = json.loads(_moto_versions(self, secret_id))
    for version in answer["Versions"]:
        version["CreatedDate"] = self.secrets[secret_id].versions[version["VersionId"]][
            "createdate"
        ]
    return json.dumps(answer)
