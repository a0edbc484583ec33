"""What IAM allows in the lab: a role's session what its policies and its session policy allow.

A lab user may do everything as long as the account's IAM has no policy for him; else what that
allows: so it can be practised with one. Which action a call takes, and on what, rights.yaml says;
whether policies allow that, moto's own reader of them.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from moto.iam.access_control import (
    AssumedRoleAccessKey,
    IAMPolicy,
    IAMUserAccessKey,
    PermissionResult,
)

from opslib.core.errors import OpsError
from opslib.core.rights import rights
from opslib.lab.aws.ground import Ground
from opslib.lab.aws.operations import Call


def make_role(iam: Any, arn: str) -> None:
    """The role of a target's file that changes are made by.

    Whoever is in the account may assume it, and it may do everything.
    """
    account, _, name = arn.partition(":iam::")[2].partition(":role/")
    if not name or arn in {role.arn for role in iam.roles.values()}:
        return
    *path, name = name.split("/")
    at = "/".join(["", *path, ""])
    trust = _allowing(Action="sts:AssumeRole", Principal={"AWS": account})
    iam.create_role(name, trust, at, None, "", [], 3600)
    iam.put_role_policy(name, "all", _allowing(Action="*", Resource="*"))


def _allowing(**said: Any) -> str:
    stated = {"Effect": "Allow", **said}
    return json.dumps({"Version": "2012-10-17", "Statement": [stated]})


def session_of(world: Ground[Any], account: str, region: str, key: str) -> Any:
    """The session of a role that has this access key, or None (moto's AssumedRole)."""
    return world.backend("sts", account, region).get_assumed_role_from_access_key(key)


def is_over(call: Call) -> bool:
    """Whether a role's session has ended, or its token is another."""
    if call.session is None:
        return False
    token = call.request.headers.get("X-Amz-Security-Token")
    ended = call.session.expiration.replace(tzinfo=UTC) < datetime.now(UTC)
    return bool(token != call.session.session_token or ended)


def missing(call: Call) -> str:
    """What IAM says to a call that it does not allow; empty when it does."""
    told = {"aws:RequestedRegion": call.region}
    for kind, policies in _asked(call):
        readable = [IAMPolicy(policy) for policy in policies]
        for need in _needs(call):
            said = {each.is_action_permitted(*need, None, told) for each in readable}
            if PermissionResult.PERMITTED not in said or PermissionResult.DENIED in said:
                return (
                    f"User: {call.user_arn} is not authorized to perform: {need.action} on "
                    f"resource: {need.resource} because no {kind} policy allows the {need.action} "
                    "action"
                )
    return ""


def _needs(call: Call) -> list[rights.Need]:
    try:
        named = rights.named(call.params)
        return rights.needs(call.service, call.operation, named, call.region, call.account)
    except OpsError:  # not in the table: nothing that opslib calls
        return [rights.Need(f"{call.service}:{call.operation}", rights.ANY)]


def _asked(call: Call) -> Iterator[tuple[str, list[Any]]]:
    """The policies of each kind that has to allow it."""
    if call.session:
        yield "identity-based", _held(AssumedRoleAccessKey, call, _role_name(call.session))
        if call.session.policy:
            yield "session", [call.session.policy]
    elif policies := _held(IAMUserAccessKey, call, call.user):
        yield "identity-based", policies


def _role_name(session: Any) -> str:
    return str(session.role_arn.rpartition("/")[2])


def _held(kind: Any, call: Call, name: str | None) -> list[Any]:
    """The policies that moto finds for an owner of a key, by that one's name."""
    key = kind.__new__(kind)
    key.account_id, key.partition = call.account, call.partition
    key._owner_user_name = key._owner_role_name = name
    found: list[Any] = key.collect_policies()
    return found
