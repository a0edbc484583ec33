"""Cognito.

Moto keeps what an update of an app client leaves out, shows MFA settings that are none, makes a
user anew

when an invitation is sent again, and takes any temporary password. Invitations that would be mailed
are kept here."""

from __future__ import annotations

import secrets
import string
from typing import Any

from moto.cognitoidp.models import (
    CognitoIdpBackend,
    CognitoIdpUser,
    CognitoIdpUserPool,
    CognitoIdpUserPoolClient,
)

from opslib.lab.aws.operations import Call, Result, answers

_DEFAULTS = CognitoIdpUserPoolClient("pool_default", False, {}).extended_config
_moto_create_user = CognitoIdpBackend.admin_create_user
_moto_set_mfa = CognitoIdpBackend.admin_set_user_mfa_preference


def install() -> None:
    CognitoIdpBackend.admin_create_user = _create_user
    CognitoIdpBackend.admin_set_user_mfa_preference = _set_mfa
    CognitoIdpBackend.update_user_pool_client = _update_client


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
