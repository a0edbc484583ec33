"""The Cognito pool that a target's file names, with its users and their rows."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from opslib.lab.corrections.users import give_secret
from opslib.lab.forms import data
from opslib.lab.forms.data import Person
from opslib.lab.places import Place
from opslib.lab.resources import names, secrets

_FLOWS = ("ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH")


def seed(place: Place, about: data.Users) -> None:
    """Makes pool, client, groups and users; their rows come with `fill`, when there are tables."""
    cognito = place.client("cognito-idp")
    tags = {"app": place.target.system, "environment": place.target.environment}
    made = cognito.create_user_pool(
        PoolName=place.facts["users"]["pool"],
        UsernameAttributes=["email"],
        AutoVerifiedAttributes=["email"],
        MfaConfiguration="OPTIONAL",
        UserPoolTags=tags,
        Policies={
            "PasswordPolicy": {
                "MinimumLength": 12,
                "RequireUppercase": True,
                "RequireLowercase": True,
                "RequireNumbers": True,
                "RequireSymbols": True,
                "TemporaryPasswordValidityDays": 7,
            }
        },
    )["UserPool"]
    pool = place.memory["pool"] = made["Id"]
    held = place.backend("cognito-idp").user_pools[pool]
    created = names.start(place) - timedelta(days=about.created_days)
    held.creation_date = held.last_modified_date = created.replace(tzinfo=None)
    cognito.set_user_pool_mfa_config(
        UserPoolId=pool,
        MfaConfiguration="OPTIONAL",
        SoftwareTokenMfaConfiguration={"Enabled": True},
    )
    _clients(place, pool, created)
    for group, text in about.groups.items():
        cognito.create_group(UserPoolId=pool, GroupName=group, Description=text)
    for person in about.people:
        add(place, person)


def _clients(place: Place, pool: str, created: datetime) -> None:
    """Those that the file describes, with the secret that it says; else one without a secret."""
    cognito, facts = place.client("cognito-idp"), place.facts["users"]
    if domain := facts.get("domain"):
        cognito.create_user_pool_domain(UserPoolId=pool, Domain=domain)
    for client in facts.get("clients", {"web": {"name": f"{place.called}-web"}}).values():
        described = {"oauth_flows", "scopes", "callback_urls", "logout_urls"} & client.keys()
        hosted = {
            "AllowedOAuthFlows": [*client.get("oauth_flows", ["code"])],
            "AllowedOAuthScopes": [*client.get("scopes", ["openid"])],
            "AllowedOAuthFlowsUserPoolClient": True,
            "SupportedIdentityProviders": ["COGNITO"],
            "CallbackURLs": [*client.get("callback_urls", ())],
            "LogoutURLs": [*client.get("logout_urls", ())],
        }
        made = cognito.create_user_pool_client(
            UserPoolId=pool,
            ClientName=client["name"],
            GenerateSecret="secret" in client,
            ExplicitAuthFlows=[*client.get("auth_flows", _FLOWS)],
            **(hosted if described else {}),
        )["UserPoolClient"]["ClientId"]
        if at := client.get("secret"):
            value = json.loads(secrets.read(place, at["name"]))[at["key"]]
            held = place.backend("cognito-idp").user_pools[pool].clients[made]
            give_secret(held, value, created)


def fill(place: Place, about: data.Users) -> None:
    """The rows of the users."""
    if not about.insert:
        return
    with place.database(names.database(place)) as database:
        for person in about.people:
            row = {
                "sub": sub(find(place, person.email)),
                "email": person.email,
                "role": person.role,
                "created": _created(place, person),
            }
            database.execute(about.insert.encode(), row)


def add(place: Place, person: Person) -> Any:
    """A user in the pool, confirmed. Returns moto's object of it."""
    backend, pool = place.backend("cognito-idp"), place.memory["pool"]
    attributes = [
        {"Name": "email", "Value": person.email},
        {"Name": "email_verified", "Value": "true"},
    ]
    password = f"Lab-{names.number(place, person.email):08x}-Aa1!"
    user = backend.admin_create_user(pool, person.email, "SUPPRESS", password, attributes)
    if person.id:
        held = backend.user_pools[pool].users
        user.id = user.username = person.id
        user.update_attributes([{"Name": "sub", "Value": person.id}])
        held[person.id] = held.pop(next(key for key, each in held.items() if each is user))
    user.password, user.status = password, person.status
    user.software_token_mfa_enabled = user.token_verified = person.mfa
    user.preferred_mfa_setting = "SOFTWARE_TOKEN_MFA" if person.mfa else None
    backend.admin_add_user_to_group(pool, person.role, user.username)
    user.create_date = user.last_modified_date = _created(place, person).replace(tzinfo=None)
    return user


def find(place: Place, email: str) -> Any | None:
    """moto's object of a user of the pool."""
    pool = place.backend("cognito-idp").user_pools.get(place.memory["pool"])
    known = pool.users.values() if pool else ()
    return next((user for user in known if attribute(user, "email") == email), None)


def remove(place: Place, email: str) -> None:
    """Takes a user out of the pool."""
    if user := find(place, email):
        place.backend("cognito-idp").admin_delete_user(place.memory["pool"], user.username)


def sub(user: Any) -> UUID:
    return UUID(attribute(user, "sub"))


def attribute(user: Any, name: str) -> str:
    return str(user.attribute_lookup.get(name, ""))


def _created(place: Place, person: Person) -> datetime:
    ago = timedelta(days=person.days, hours=2, minutes=len(person.email))
    return names.start(place) - ago
