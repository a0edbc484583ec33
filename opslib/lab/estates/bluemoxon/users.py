"""The Cognito pool with the app's users, and their rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from opslib.lab.estates.bluemoxon import names
from opslib.lab.places import Place


class Person(NamedTuple):
    email: str
    role: str  # a group of the pool
    age_days: int
    status: str = "CONFIRMED"
    mfa: bool = False


_PEOPLE = (
    Person("mark@bluemoxon.com", "admin", 390, mfa=True),
    Person("elisabeth@bluemoxon.com", "admin", 388, mfa=True),
    Person("june.harrow@example.com", "editor", 301),
    Person("t.whitcombe@example.com", "editor", 240),
    Person("priya.nair@example.com", "viewer", 177),
    Person("olaf.berg@example.com", "viewer", 102),
    Person("ines.duarte@example.com", "viewer", 64),
    Person("samuel.okafor@example.com", "viewer", 31),
)
_MORE = (Person("clara.voss@example.com", "viewer", 18), Person("henry.lamb@example.com", "editor", 12))
# Whom the drills are about.
LATECOMER = Person("new.collector@example.com", "viewer", 0)
STALE_MFA = "june.harrow@example.com"


def seed(place: Place) -> None:
    """Makes pool, client, groups, users, and the users' rows."""
    cognito = place.client("cognito-idp")
    made = cognito.create_user_pool(
        PoolName=place.facts["users"]["pool"], UsernameAttributes=["email"], AutoVerifiedAttributes=["email"],
        MfaConfiguration="OPTIONAL", UserPoolTags={"app": "bluemoxon", "environment": place.target.environment},
        Policies={"PasswordPolicy": {
            "MinimumLength": 12, "RequireUppercase": True, "RequireLowercase": True, "RequireNumbers": True,
            "RequireSymbols": True, "TemporaryPasswordValidityDays": 7,
        }},
    )["UserPool"]  # fmt: skip
    pool = place.memory["pool"] = made["Id"]
    held = place.backend("cognito-idp").user_pools[pool]
    held.creation_date = held.last_modified_date = (names.start(place) - timedelta(days=420)).replace(tzinfo=None)
    cognito.set_user_pool_mfa_config(
        UserPoolId=pool, MfaConfiguration="OPTIONAL", SoftwareTokenMfaConfiguration={"Enabled": True}
    )
    cognito.create_user_pool_client(
        UserPoolId=pool, ClientName=f"{place.name}-web", GenerateSecret=False,
        ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
    )  # fmt: skip
    for group in ("admin", "editor", "viewer"):
        cognito.create_group(UserPoolId=pool, GroupName=group, Description=f"{group}s of the collection")
    with place.database(names.database(place)) as database:
        for person in (*_PEOPLE, *(_MORE if place.target.production else ())):
            user = add(place, person)
            database.execute(
                "INSERT INTO users (cognito_sub, email, role, created_at) VALUES (%s, %s, %s, %s)",
                [sub(user), person.email, person.role, _created(place, person)],
            )


def add(place: Place, person: Person) -> Any:
    """A user in the pool, confirmed. Returns moto's object of it."""
    backend, pool = place.backend("cognito-idp"), place.memory["pool"]
    attributes = [{"Name": "email", "Value": person.email}, {"Name": "email_verified", "Value": "true"}]
    user = backend.admin_create_user(pool, person.email, "SUPPRESS", _password(place, person), attributes)
    user.password, user.status = _password(place, person), person.status
    user.software_token_mfa_enabled = user.token_verified = person.mfa
    user.preferred_mfa_setting = "SOFTWARE_TOKEN_MFA" if person.mfa else None
    backend.admin_add_user_to_group(pool, person.role, user.username)
    user.create_date = user.last_modified_date = _created(place, person).replace(tzinfo=None)
    return user


def find(place: Place, email: str) -> Any | None:
    """moto's object of a user of the pool."""
    pool = place.backend("cognito-idp").user_pools.get(place.memory["pool"])
    return next((u for u in pool.users.values() if _attribute(u, "email") == email), None) if pool else None


def remove(place: Place, email: str) -> None:
    """Takes a user out of the pool and out of the table."""
    user = find(place, email)
    if user is not None:
        place.backend("cognito-idp").admin_delete_user(place.memory["pool"], user.username)
    with place.database(names.database(place)) as database:
        database.execute("DELETE FROM users WHERE email = %s", [email])


def sub(user: Any) -> UUID:
    return UUID(_attribute(user, "sub"))


def synchronise(place: Place, database: Any, dry_run: bool = False) -> dict[str, int]:
    """Upserts every confirmed user of the pool into the table, by e-mail. Returns what it did, by count."""
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    pool = place.backend("cognito-idp").user_pools[place.memory["pool"]]
    for user in sorted(pool.users.values(), key=lambda user: str(_attribute(user, "email"))):
        if user.status not in ("CONFIRMED", "FORCE_CHANGE_PASSWORD"):
            continue
        groups = [group.group_name for group in user.groups]
        role = next((name for name in ("admin", "editor") if name in groups), "viewer")
        email = _attribute(user, "email")
        row = database.execute("SELECT cognito_sub, role FROM users WHERE email = %s", [email]).fetchone()
        done = "created" if row is None else "unchanged" if row == (sub(user), role) else "updated"
        counts[done] += 1
        if done != "unchanged" and not dry_run:
            database.execute(
                "INSERT INTO users (cognito_sub, email, role, created_at) VALUES (%s, %s, %s, %s) ON CONFLICT (email) "
                "DO UPDATE SET cognito_sub = excluded.cognito_sub, role = excluded.role",
                [sub(user), email, role, place.now()],
            )
    return counts


def _attribute(user: Any, name: str) -> str:
    return str(user.attribute_lookup.get(name, ""))


def _created(place: Place, person: Person) -> datetime:
    return names.start(place) - timedelta(days=person.age_days, hours=2, minutes=len(person.email))


def _password(place: Place, person: Person) -> str:
    return f"Lab-{names.number(place, person.email):08x}-Aa1!"
