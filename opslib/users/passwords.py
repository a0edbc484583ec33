"""What somebody signs in with for the first time, or anew: a user made, a password set."""

import re

from opslib.core import (
    Aws,
    Connection,
    Json,
    NotFound,
    Planned,
    Read,
    Refused,
    Step,
    UsageError,
    planner,
)
from opslib.core.actions.actions import generated
from opslib.users.users import COGNITO, NEW, find_user, pool_id, synchronised, who_is

_PASSWORD = (
    "The password holds for one sign-in; it is made when the plan is applied, "
    "and its file's path is shown then."
)


@planner
def plan_create(ops: Connection, email: str, invite: bool = False, sync: bool = True) -> Planned:
    """A user with a verified address, and its row (`sync`, where a function is that writes it).

    `invite`: Cognito mails the password; else nobody gets a mail. Raises UsageError (no address),
    Refused (there already).
    """
    pool = pool_id(ops)
    _guard_new(ops, email)
    who = {"UserPoolId": pool, "Username": email}
    told: Json = {"MessageAction": "SUPPRESS", "TemporaryPassword": generated(email)}
    if invite:
        told = {"DesiredDeliveryMediums": ["EMAIL"]}
    attributes = {"email": email, "email_verified": "true"}
    create = Step(
        f"Create {email}" + (", and mail an invitation" if invite else ", without a mail"),
        do=Aws(
            COGNITO,
            "admin_create_user",
            **who,
            **told,
            UserAttributes=[{"Name": key, "Value": value} for key, value in attributes.items()],
        ),
        before="absent",
        after=NEW,
        undo=[Aws(COGNITO, "admin_delete_user", **who)],
        observe=Read(COGNITO, "admin_get_user", "UserStatus", **who),
    )
    synced = "sync_function" in ops.target["users"]
    rows = [synchronised(ops, [email])] if sync and synced else []
    notes = ["The invitation holds the password." if invite else _PASSWORD]
    if not rows:
        how = "before it is synchronised: users/sync" if synced else "until it writes its own row"
        notes.append(f"The app does not know the user {how}.")
    return Planned(f"create user {email}", [create, *rows], notes)


def _guard_new(ops: Connection, email: str) -> None:
    if not re.fullmatch(r"""[^\s@"\\]+@[^\s@"\\]+""", email):
        raise UsageError(f"{email!r} is not an e-mail address.")
    try:
        there = find_user(ops, email)
    except NotFound:
        return
    raise Refused(
        f"{email} is in the pool already ({there['status']}). "
        "Nothing was changed; see users/sign-in."
    )


@planner
def plan_password(ops: Connection, user: str, permanent: bool = False) -> Planned:
    """Set a generated password: for one sign-in, or `permanent`, which nobody has to change."""
    seen, who = who_is(ops, user)
    email = seen["email"]
    step = Step(
        f"Set a new {'lasting' if permanent else 'one-time'} password of {email}",
        do=Aws(
            COGNITO,
            "admin_set_user_password",
            **who,
            Password=generated(email),
            Permanent=permanent,
        ),
        before=seen["status"],
        after="CONFIRMED" if permanent else NEW,
        observe=Read(COGNITO, "admin_get_user", "UserStatus", **who),
    )
    note = "The old password stops working; sessions that are open go on until their tokens expire."
    return Planned(f"set a password of {email}", [step], [note] if permanent else [note, _PASSWORD])
