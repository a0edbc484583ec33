"""Cognito.

Moto keeps what an update of an app client leaves out, shows MFA settings that are none, makes a
user anew

when an invitation is sent again, and takes any temporary password. Invitations that would be mailed
are kept here. An app client has one secret only, which nothing can add to."""

import json
import secrets
import string
from datetime import UTC, datetime
from functools import cache
from typing import Any

from moto.cognitoidp import models
from moto.cognitoidp.models import (
    CognitoIdpBackend,
    CognitoIdpUser,
    CognitoIdpUserPool,
    CognitoIdpUserPoolClient,
)

from opslib.lab.aws.operations import AwsError, Call, Result, answers

_DEFAULTS = CognitoIdpUserPoolClient("pool_default", False, {}).extended_config
_moto_create_user = CognitoIdpBackend.admin_create_user
_moto_set_mfa = CognitoIdpBackend.admin_set_user_mfa_preference
_KEYS: Any = models.jwk.RSAKey
_import_key = _KEYS.import_key


def install() -> None:
    CognitoIdpBackend.admin_create_user = _create_user
    CognitoIdpBackend.admin_set_user_mfa_preference = _set_mfa
    CognitoIdpBackend.update_user_pool_client = _update_client
    # all pools have the same key, whose primes would be found anew for each
    _KEYS.import_key = lambda value: _key(json.dumps(value))


@cache
def _key(written: str) -> Any:
    return _import_key(json.loads(written))


def invitations(pool: CognitoIdpUserPool) -> list[str]:
    """The usernames that an invitation was mailed to, in order."""
    mailed: list[str] = pool.__dict__.setdefault("lab_invitations", [])
    return mailed


def _update_client(
    self: CognitoIdpBackend, user_pool_id: str, client_id: str, extended_config: dict[str, Any]
) -> CognitoIdpUserPoolClient:
    """AWS: what is not given goes back to its default; only the name stays."""
    client = self.describe_user_pool_client(user_pool_id, client_id)
    name = client.extended_config.get("ClientName")
    client.extended_config = {
        **_DEFAULTS,
        **({"ClientName": name} if name else {}),
        **extended_config,
    }
    return client


def _create_user(
    self: CognitoIdpBackend,
    user_pool_id: str,
    username: str,
    message_action: str,
    temporary_password: str,
    attributes: Any,
) -> CognitoIdpUser:
    pool = self.describe_user_pool(user_pool_id)
    if temporary_password:
        self._validate_password(user_pool_id, temporary_password)
    if message_action == "RESEND":
        user = self.admin_get_user(user_pool_id, username)
        user.password = temporary_password or _password()
    else:
        password = temporary_password or _password()
        user = _moto_create_user(self, user_pool_id, username, message_action, password, attributes)
    if message_action != "SUPPRESS":
        invitations(pool).append(user.username)
    return user


def _password() -> str:
    return "".join(secrets.choice(string.ascii_letters) for _ in range(12)) + "7!aA"


def _set_mfa(self: CognitoIdpBackend, user_pool_id: str, username: str, *settings: Any) -> None:
    _moto_set_mfa(self, user_pool_id, username, *settings)
    self.admin_get_user(user_pool_id, username).update_attributes([])  # its date of last change


@answers("cognito-idp", "AdminGetUser")
def admin_get_user(call: Call) -> Result:
    """As moto; AWS leaves out the settings that a user without MFA does not have."""
    user = call.moto()
    return {key: value for key, value in user.items() if value or key == "Enabled"}


_MOST_SECRETS = 2


def client_secrets(client: CognitoIdpUserPoolClient) -> list[dict[str, Any]]:
    """A client's secrets, oldest first; what DescribeUserPoolClient shows is the first."""
    if "lab_secrets" not in client.__dict__:
        client.__dict__["lab_secrets"] = []
        if client.generate_secret:
            give_secret(client, client.secret, datetime.now(UTC))
    held: list[dict[str, Any]] = client.__dict__["lab_secrets"]
    return held


def give_secret(client: CognitoIdpUserPoolClient, value: str, created: datetime) -> None:
    """The only secret of a client, since then."""
    client.secret, client.__dict__["lab_secrets"] = value, []
    _add_secret(client, value, created)


def _add_secret(client: CognitoIdpUserPoolClient, value: str, when: datetime) -> dict[str, Any]:
    held = client.__dict__["lab_secrets"]
    last = max((int(each["ClientSecretId"].rpartition("--")[2]) for each in held), default=0)
    id = f"{client.id}--{max(int(when.timestamp()), last + 1)}"
    made = {"ClientSecretId": id, "ClientSecretCreateDate": when, "value": value}
    held.append(made)
    return made


def _shown(secret: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in secret.items() if name != "value"}


def _client(call: Call) -> CognitoIdpUserPoolClient:
    given = call.params
    return call.backend().describe_user_pool_client(given["UserPoolId"], given["ClientId"])


@answers("cognito-idp", "AddUserPoolClientSecret")
def add_user_pool_client_secret(call: Call) -> Result:
    client, given = _client(call), call.params.get("ClientSecret")
    held = client_secrets(client)
    if not held:
        raise AwsError("InvalidParameterException", "The client is not a confidential client.", 400)
    if len(held) >= _MOST_SECRETS:
        raise AwsError("LimitExceededException", "The client has 2 secrets already.", 400)
    made = _add_secret(client, given or secrets.token_hex(26), call.received)
    return {
        "ClientSecretDescriptor": _shown(made)
        | ({} if given else {"ClientSecretValue": made["value"]})
    }


@answers("cognito-idp", "ListUserPoolClientSecrets")
def list_user_pool_client_secrets(call: Call) -> Result:
    return {"ClientSecrets": [_shown(each) for each in client_secrets(_client(call))]}


@answers("cognito-idp", "DeleteUserPoolClientSecret")
def delete_user_pool_client_secret(call: Call) -> Result:
    client, wanted = _client(call), call.params["ClientSecretId"]
    held = client_secrets(client)
    found = [each for each in held if each["ClientSecretId"] == wanted]
    if not found:
        raise AwsError("ResourceNotFoundException", "Client secret does not exist.", 400)
    if len(held) == 1:
        raise AwsError("InvalidParameterException", "The last secret cannot be deleted.", 400)
    held.remove(found[0])
    client.secret = held[0]["value"]
    return {}
