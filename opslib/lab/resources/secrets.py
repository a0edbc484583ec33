"""Secrets as an app has them."""

import json
from datetime import datetime, timedelta

from opslib.core.text import decoded
from opslib.lab.places import Place
from opslib.lab.resources import names

_PASSWORD_CHARACTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_"
_PASSWORD_LENGTH = 28


def password(place: Place) -> str:
    """The database user's, the same for the same seed.

    Only what RDS takes and a URL needs no escape for.
    """
    rng = names.generator(place, "passwords")
    return "".join(rng.choice(_PASSWORD_CHARACTERS) for _ in range(_PASSWORD_LENGTH))


def put(place: Place, name: str, value: str, age_days: int) -> None:
    """A secret that has had this value for so long.

    One that a file names for several things holds the fields of each, or what was put first.
    """
    client = place.client("secretsmanager")
    try:
        client.create_secret(Name=name, SecretString=value, Description=place.target.title)
    except client.exceptions.ResourceExistsException:
        both = [decoded(text, None) for text in (value, read(place, name))]
        if all(isinstance(each, dict) for each in both):
            client.put_secret_value(SecretId=name, SecretString=json.dumps(both[0] | both[1]))
    held = place.backend("secretsmanager").secrets[name]
    held.created_date = held.last_changed_date = int(
        (names.start(place) - timedelta(days=age_days)).timestamp()
    )
    for version in held.versions.values():
        version["createdate"] = held.created_date


def put_again(place: Place, name: str, value: str, when: datetime) -> None:
    """Another value, that it has had since then."""
    given = {"SecretId": name, "SecretString": value}
    made = place.client("secretsmanager").put_secret_value(**given)["VersionId"]
    held = place.backend("secretsmanager").secrets[name]
    held.versions[made]["createdate"] = held.last_changed_date = int(when.timestamp())


def read(place: Place, name: str) -> str:
    """Its current value, as the app reads it."""
    value: str = place.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    return value


def arn(place: Place, name: str) -> str:
    return str(place.backend("secretsmanager").secrets[name].arn)
