"""Cognito as the real one."""

from __future__ import annotations

from typing import Any

import pytest

from opslib.lab.corrections.users import invitations
from opslib.lab.places import Place

NAME = "reader@example.com"


@pytest.fixture
def cognito(aws: Any) -> Any:
    return aws("cognito-idp")


@pytest.fixture
def pool(cognito: Any) -> str:
    identifier: str = cognito.create_user_pool(PoolName="practice", UsernameAttributes=["email"])[
        "UserPool"
    ]["Id"]
    return identifier


def create(cognito: Any, pool: str, **given: Any) -> Any:
    return cognito.admin_create_user(UserPoolId=pool, Username=NAME, **given)["User"]


@pytest.mark.slow
def test_an_update_of_an_app_client_resets_what_it_leaves_out(cognito: Any, pool: str) -> None:
    made = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="web",
        CallbackURLs=["https://app.example.com"],
        RefreshTokenValidity=5,
    )["UserPoolClient"]
    ids = {"UserPoolId": pool, "ClientId": made["ClientId"]}
    cognito.update_user_pool_client(**ids, ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH"])
    client = cognito.describe_user_pool_client(**ids)["UserPoolClient"]
    assert "CallbackURLs" not in client
    assert (client["RefreshTokenValidity"], client["ClientName"]) == (30, "web")
    assert client["ExplicitAuthFlows"] == ["ALLOW_USER_SRP_AUTH"]


def test_a_new_user_has_to_change_the_password_and_gets_an_invitation(
    cognito: Any, pool: str, place: Place
) -> None:
    user = create(cognito, pool)
    assert (user["UserStatus"], user["Enabled"]) == ("FORCE_CHANGE_PASSWORD", True)
    mailed = invitations(place.backend("cognito-idp").user_pools[pool])
    assert mailed == [user["Username"]]
    again = create(cognito, pool, MessageAction="RESEND")
    assert again["Username"] == user["Username"]
    assert len(cognito.list_users(UserPoolId=pool)["Users"]) == 1
    assert len(mailed) == 2


def test_a_suppressed_invitation_is_not_mailed(cognito: Any, pool: str, place: Place) -> None:
    create(cognito, pool, MessageAction="SUPPRESS", TemporaryPassword="Str0ng-enough!")
    assert invitations(place.backend("cognito-idp").user_pools[pool]) == []


def test_a_weak_temporary_password_is_refused(cognito: Any, pool: str) -> None:
    with pytest.raises(cognito.exceptions.InvalidPasswordException):
        create(cognito, pool, TemporaryPassword="weak")
    assert cognito.list_users(UserPoolId=pool)["Users"] == []


def test_a_permanent_password_confirms_and_another_does_not(cognito: Any, pool: str) -> None:
    create(cognito, pool)
    ids = {"UserPoolId": pool, "Username": NAME}
    cognito.admin_set_user_password(**ids, Password="Str0ng-enough!", Permanent=True)
    assert cognito.admin_get_user(**ids)["UserStatus"] == "CONFIRMED"
    cognito.admin_set_user_password(**ids, Password="An0ther-one!", Permanent=False)
    assert cognito.admin_get_user(**ids)["UserStatus"] == "FORCE_CHANGE_PASSWORD"


def test_mfa_is_shown_while_it_is_on_and_gone_when_it_is_off(
    cognito: Any, pool: str, place: Place
) -> None:
    create(cognito, pool)
    ids = {"UserPoolId": pool, "Username": NAME}
    on = {"Enabled": True, "PreferredMfa": True}
    with pytest.raises(cognito.exceptions.InvalidParameterException):
        cognito.admin_set_user_mfa_preference(**ids, SoftwareTokenMfaSettings=on)
    place.backend("cognito-idp").admin_get_user(pool, NAME).token_verified = True
    cognito.admin_set_user_mfa_preference(**ids, SoftwareTokenMfaSettings=on)
    user = cognito.admin_get_user(**ids)
    assert (user["UserMFASettingList"], user["PreferredMfaSetting"]) == (
        ["SOFTWARE_TOKEN_MFA"],
        "SOFTWARE_TOKEN_MFA",
    )
    off = {"Enabled": False, "PreferredMfa": False}
    cognito.admin_set_user_mfa_preference(**ids, SoftwareTokenMfaSettings=off)
    user = cognito.admin_get_user(**ids)
    assert not {"UserMFASettingList", "PreferredMfaSetting", "MFAOptions"} & user.keys()
    assert user["Enabled"] is True


def test_an_unknown_user_is_not_found(cognito: Any, pool: str) -> None:
    with pytest.raises(cognito.exceptions.UserNotFoundException):
        cognito.admin_get_user(UserPoolId=pool, Username="nobody@example.com")


def test_a_client_has_two_secrets_at_most_and_never_none(cognito: Any, pool: str) -> None:
    made = cognito.create_user_pool_client(UserPoolId=pool, ClientName="web", GenerateSecret=True)
    ids = {"UserPoolId": pool, "ClientId": made["UserPoolClient"]["ClientId"]}
    first = cognito.list_user_pool_client_secrets(**ids)["ClientSecrets"]
    given = cognito.add_user_pool_client_secret(**ids, ClientSecret="a" * 24)
    assert "ClientSecretValue" not in given["ClientSecretDescriptor"], "told only when made there"
    with pytest.raises(cognito.exceptions.LimitExceededException):
        cognito.add_user_pool_client_secret(**ids)
    cognito.delete_user_pool_client_secret(**ids, ClientSecretId=first[0]["ClientSecretId"])
    assert cognito.describe_user_pool_client(**ids)["UserPoolClient"]["ClientSecret"] == "a" * 24
    (left,) = cognito.list_user_pool_client_secrets(**ids)["ClientSecrets"]
    assert left["ClientSecretId"].startswith(f"{ids['ClientId']}--")
    with pytest.raises(cognito.exceptions.InvalidParameterException):
        cognito.delete_user_pool_client_secret(**ids, ClientSecretId=left["ClientSecretId"])


def test_a_public_client_gets_no_secret(cognito: Any, pool: str) -> None:
    made = cognito.create_user_pool_client(UserPoolId=pool, ClientName="web")["UserPoolClient"]
    ids = {"UserPoolId": pool, "ClientId": made["ClientId"]}
    with pytest.raises(cognito.exceptions.InvalidParameterException):
        cognito.add_user_pool_client_secret(**ids)
    assert cognito.list_user_pool_client_secrets(**ids)["ClientSecrets"] == []
