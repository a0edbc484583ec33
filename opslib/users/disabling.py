"""A user who must not get in: disabled and signed out; how long what was issued still counts."""

from datetime import timedelta

from opslib.core import (
    Aws,
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Planned,
    Question,
    Read,
    Step,
    check,
    planner,
)
from opslib.users.users import COGNITO, find_user, who_is


@planner
def plan_disable(ops: Connection, user: str, enable: bool = False) -> Planned:
    """Disable a user of the pool and sign out everywhere; or `enable` again.

    Signing out cannot be undone: whoever is enabled again signs in anew. Raises NotFound,
    UsageError.
    """
    seen, who = who_is(ops, user)
    email = seen["email"] or seen["username"]
    if seen["enabled"] == enable:
        note = f"{email} is {'enabled' if enable else 'disabled'} already."
        return Planned(f"{email} stays as it is", notes=[note])
    on, off = (Aws(COGNITO, f"admin_{verb}_user", **who) for verb in ("enable", "disable"))
    step = Step(
        f"{'Enable' if enable else 'Disable'} {email}",
        on if enable else off,
        seen["enabled"],
        enable,
        [off if enable else on],
        Read(COGNITO, "admin_get_user", "Enabled", **who),
    )
    if enable:
        return Planned(f"let {email} in again", [step], ["Tokens of before stay revoked."])
    out = Aws(COGNITO, "admin_user_global_sign_out", **who)
    steps = [step, Step(f"Sign {email} out everywhere", out, None, "refresh tokens revoked", [])]
    notes = [
        "Refresh tokens are revoked at once. An access or id token that was issued before is taken "
        "until it expires by whatever checks it without asking Cognito (a JWT authoriser does): "
        f"for {longest(ops, who['UserPoolId'])} at most.",
        "Signing out is not undone: whoever is enabled again signs in anew.",
    ]
    return Planned(f"disable {email}", steps, notes)


def steps_to_remove(ops: Connection, user: str) -> tuple[list[Step], list[Step]]:
    """What shuts a user out, and what deletes it from the pool for good; nothing where none is.

    The first before what belongs to it is erased, so that it writes nothing more, the second last:
    who is gone cannot be found again. `user`: username or sub.
    """
    try:
        seen, who = who_is(ops, user)
    except NotFound:
        return [], []
    off, on, out, gone = (
        Aws(COGNITO, f"admin_{verb}", **who)
        for verb in ("disable_user", "enable_user", "user_global_sign_out", "delete_user")
    )
    # no `observe`: what was disabled is deleted by the same plan
    shut = [Step(f"Disable {user}", off, True, False, [on])] if seen["enabled"] else []
    shut.append(Step(f"Sign {user} out everywhere", out, None, "refresh tokens revoked", []))
    status = Read(COGNITO, "admin_get_user", "UserStatus", **who)
    return shut, [
        Step(f"Delete {user} from the pool", gone, seen["status"], "absent", None, status)
    ]


def find_sign_in(ops: Connection, user: str, gone: bool = False) -> Finding:
    """Whom the pool knows by that username or sub: of the address the first sign and the domain.

    `gone`: nobody is meant to be there any more.
    """
    rule = "none" if gone else "one, or none any more"
    asked = Question(f"sign-in of {user}", rule, "cognito-idp AdminGetUser")
    try:
        seen = find_user(ops, user)
    except NotFound:
        return asked.ok("none in the pool")
    first, _, domain = seen["email"].partition("@")
    said = f"{first[:1]}…@{domain}" if domain else "no address"
    return asked.judged(not gone, f"{said}, since {seen['created']:%Y-%m-%d}")


def longest(ops: Connection, pool: str) -> str:
    """How long a token that is issued now may live, by the pool's app clients."""
    ids = ops.pages(
        COGNITO,
        "list_user_pool_clients",
        "UserPoolClients[].ClientId",
        UserPoolId=pool,
        MaxResults=60,
    )
    told = ops.each(
        lambda id: ops.call(COGNITO, "describe_user_pool_client", UserPoolId=pool, ClientId=id),
        ids,
    )
    seconds = [
        lives(each["UserPoolClient"], kind) for each in told.values() for kind in ("Access", "Id")
    ]
    return str(timedelta(seconds=max(seconds, default=3600)))


def lives(client: Json, kind: str) -> int:
    """Seconds that its Access or Id tokens count; an hour where it says nothing, or 0."""
    value = client.get(f"{kind}TokenValidity") or 0
    unit = client.get("TokenValidityUnits", {}).get(f"{kind}Token", "hours")
    return int(timedelta(**{unit: value}).total_seconds()) or 3600


@check("May the user sign in?")
def check_enabled(ops: Connection, user: str, enabled: bool = False) -> Findings:
    """Whether a user is disabled, or enabled, as it is meant to be (Cognito AdminGetUser)."""
    seen = find_user(ops, user)
    words = {True: "enabled", False: "disabled"}
    asked = Question(f"user {seen['email']}", words[enabled], "cognito-idp AdminGetUser")
    return Findings(
        asked.judged(seen["enabled"] == enabled, f"{words[seen['enabled']]}, {seen['status']}")
    )
