"""Another secret for an app client: beside the one that it has, and that one away when all moved.

https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-settings-client-apps.html
"""

from typing import Any

from opslib import secrets, services
from opslib.core import (
    Action,
    Aws,
    ClientSecret,
    Connection,
    Given,
    Json,
    Planned,
    Read,
    Refused,
    Step,
    planner,
    result,
    stages,
)
from opslib.core.actions import handed
from opslib.users.clients import describe, fits
from opslib.users.users import COGNITO, pool_id

_ADD = "add_user_pool_client_secret"
_LENGTH = 48  # AWS takes 24 to 64 letters, digits, _ and +


@planner
def plan_client_secret(ops: Connection, client: str, remove_old: bool = False) -> Planned:
    """A second secret for an app client, told to the app, whose tasks are started anew.

    `remove_old`: delete the first, when no task holds it any more; that cannot be undone. The
    client itself is never updated. Raises UsageError (where the app reads it is not described),
    Refused (two already, none, boto3 too old, still held).
    """
    at = ops.target["users"]["clients"][client]["secret"]
    if _ADD not in ops.client(COGNITO).meta.method_to_api_mapping:
        raise Refused(
            "This boto3 cannot add a secret to an app client: update it, or make another client "
            "and give the app its id. Nothing was changed."
        )
    has = describe(ops, pool_id(ops), client)
    if remove_old:
        return _plan_removal(ops, client, at, has)
    if len(has["secrets"]) != 1:
        few = "it is a public client: AWS gives a secret at creation only, so make another client"
        many = "two are the most: remove_old=true deletes the first when no task holds it"
        why = many if has["secrets"] else few
        raise Refused(
            f"{client} has {len(has['secrets'])} secrets, and {why}. Nothing was changed."
        )
    return _plan_addition(ops, client, at, has)


def _plan_addition(ops: Connection, client: str, at: Any, has: Json) -> Planned:
    name, key = at["name"], at["key"]
    of = stages.versions(ops, name)
    secrets.require_key(ops, name, key)
    ids = {"UserPoolId": has["UserPoolId"], "ClientId": has["ClientId"]}
    made = Given(name, key, handed.made(_LENGTH, "_"))
    gone = result("client.ClientSecretDescriptor.ClientSecretId")
    added = Step(
        f"Give app client {client} that secret, beside the one that it has",
        ClientSecret(ids, name, key),
        1,
        2,
        [Aws(COGNITO, "delete_user_pool_client_secret", **ids, ClientSecretId=gone)],
        _number(ids),
        "client",
    )
    told, consumers = secrets.steps_told(ops, of)
    title = f"Keep a new {key} beside the present one, as AWSPENDING of secret {name}"
    notes = [
        "Both secrets are taken until the first is deleted: nobody is signed out.",
        "When all is well: the same with remove_old=true.",
        *(f"{each} reads it by itself." for each in secrets.list_functions(ops, name, of.arn)),
    ]
    if consumers.empty:
        notes.append("No service of the target's file takes it: nobody is started anew.")
    return Planned(f"a second secret of {client}", [of.pending(title, made), added, *told], notes)


def _plan_removal(ops: Connection, client: str, at: Any, has: Json) -> Planned:
    *old, newest = has["secrets"] or [{}]
    if not old:
        return Planned(f"{client} keeps its secret", notes=["It has no second one."])
    made, told = secrets.read_age(ops, at["name"])
    if made is None or not fits(newest, made):
        raise Refused(
            f"Secret {at['name']!r} has its value since {made}, the newest secret of {client} is "
            f"of {newest['ClientSecretCreateDate']}: so which one the app has is not known. "
            "Nothing was changed."
        )
    found = services.list_consumers(ops, told["ARN"], made)
    if found["older"].sum():
        held = ", ".join(f"{e.older} of {e.service}" for e in found.itertuples() if e.older)
        raise Refused(
            f"Tasks hold the first secret of {client} still: {held}. Start them anew first "
            f"(secrets/rotate, secret={at['name']}, no key). Nothing was changed."
        )
    ids = {"UserPoolId": has["UserPoolId"], "ClientId": has["ClientId"]}
    gone = Aws(
        COGNITO,
        "delete_user_pool_client_secret",
        **ids,
        ClientSecretId=old[0]["ClientSecretId"],
    )
    since = f"{old[0]['ClientSecretCreateDate']:%Y-%m-%d %H:%M} UTC"
    step = Step(f"Delete the first secret of {client}, of {since}", gone, 2, 1, None, _number(ids))
    notes = ["This cannot be undone: whoever has only that one is refused from then on."]
    notes += [
        f"Function {each} reads it by itself: be sure that it has the new one."
        for each in secrets.list_functions(ops, at["name"], told["ARN"])
    ]
    return Planned(f"the first secret of {client} away", [step], notes)


def _number(ids: Json) -> Action:
    return Read(COGNITO, "list_user_pool_client_secrets", "length(ClientSecrets)", **ids)
