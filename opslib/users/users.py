"""Users of a system: its Cognito pool, and the rows that the app keeps of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import ask, quoted
from opslib.core.errors import NotFound, Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws, Read, Select, Sql, generated
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.tables import UTC_TIME, frame

if TYPE_CHECKING:
    import pandas as pd

USERS = {
    "email": "str",
    "status": "str",
    "enabled": "boolean",
    "created": UTC_TIME,
    "modified": UTC_TIME,
    "username": "str",
}
USER = USERS | {"sub": "str", "mfa": "str"}
_NO_MFA = {"Enabled": False, "PreferredMfa": False}
TELL = "Tell the user: clear the browser's storage for the app (localStorage), then sign in again in a fresh window."


def pool_id(ops: Connection) -> str:
    """The id of the target's user pool, found by its name (Cognito ListUserPools). Raises NotFound, UsageError."""
    name = ops.target["users"]["pool"]
    found = ops.pages("cognito-idp", "list_user_pools", "UserPools[]", MaxResults=60)
    ids = [p["Id"] for p in found if p["Name"] == name]
    if not ids:
        raise NotFound(
            f"No user pool is called {name!r} in {ops.where}; {len(found)} others are there."
        )
    if len(ids) > 1:
        raise UsageError(
            f"{len(ids)} user pools are called {name!r} in {ops.where}: {', '.join(ids)}. Which one is the app's?"
        )
    return str(ids[0])


def list_users(ops: Connection) -> pd.DataFrame:
    """Every user of the pool (Cognito ListUsers), by e-mail address. Columns: USERS."""
    found = ops.pages("cognito-idp", "list_users", "Users[]", UserPoolId=pool_id(ops))
    return frame((_row(user) for user in found), USERS).sort_values("email", ignore_index=True)


def find_user(ops: Connection, user: str, pool: str = "") -> dict[str, Any]:
    """One user by e-mail address, username or sub (Cognito AdminGetUser), as a row of USER. Raises NotFound, UsageError."""
    pool = pool or pool_id(ops)
    if "@" not in user:
        return _row(ops.call("cognito-idp", "admin_get_user", UserPoolId=pool, Username=user))
    if '"' in user or "\\" in user:
        raise UsageError(f"{user!r} is not an e-mail address.")
    found = ops.pages(
        "cognito-idp", "list_users", "Users[]", UserPoolId=pool, Filter=f'email = "{user}"'
    )
    if not found:
        raise NotFound(
            f"No user with the address {user} in pool {ops.target['users']['pool']} of {ops.where}."
        )
    if len(found) > 1:
        names = ", ".join(u["Username"] for u in found)
        raise UsageError(
            f"{len(found)} users have the address {user}: {names}. Give the username instead."
        )
    return _row(
        ops.call("cognito-idp", "admin_get_user", UserPoolId=pool, Username=found[0]["Username"])
    )


def _row(user: dict[str, Any]) -> dict[str, Any]:
    attributes = {
        a["Name"]: a["Value"] for a in user.get("UserAttributes") or user.get("Attributes") or ()
    }
    return {
        "email": attributes.get("email", ""),
        "username": user["Username"],
        "status": user["UserStatus"],
        "enabled": user["Enabled"],
        "mfa": ", ".join(user.get("UserMFASettingList") or ()),
        "created": user["UserCreateDate"].replace(microsecond=0),
        "modified": user["UserLastModifiedDate"].replace(microsecond=0),
        "sub": attributes.get("sub", user["Username"]),
    }


def find_unsynced(ops: Connection) -> pd.DataFrame:
    """The pool's users that may sign in but have no row in the app's table. Columns: USERS."""
    found = list_users(ops)
    table = quoted(ops.target["users"]["table"])
    known = set(ask(ops, f"SELECT lower(email) AS email FROM {table}", limit=2_000_000)["email"])
    usable = found["enabled"] & found["status"].isin(("CONFIRMED", "FORCE_CHANGE_PASSWORD"))
    return found[usable & ~found["email"].str.lower().isin(known)].reset_index(drop=True)


@check("Users without a row")
def check_synced(ops: Connection) -> Findings:
    """Has every user of the pool a row in the app's table? Evidence: USERS, those without."""
    missing = find_unsynced(ops)
    question, source = "Every user of the pool has a row", "cognito-idp ListUsers, SELECT"
    if missing.empty:
        return Findings([Finding("ok", question, "none is missing", "none", source)])
    seen = f"{len(missing)} without: {', '.join(missing['email'][:5])}"
    return Findings(
        [Finding("critical", question, seen, "none", source, "user-not-synced", "users/sync")],
        missing,
    )


@planner
def plan_reset_mfa(ops: Connection, user: str) -> Planned:
    """Switch the user's authenticator app off; the user sets it up anew after signing in."""
    pool = pool_id(ops)
    seen = find_user(ops, user, pool)
    who = {"UserPoolId": pool, "Username": seen["username"]}
    if "SOFTWARE_TOKEN_MFA" not in seen["mfa"]:
        return Planned(
            f"reset the second factor of {seen['email']}",
            [],
            [f"{seen['email']} has no authenticator app switched on."],
        )
    preferred = (
        ops.call("cognito-idp", "admin_get_user", **who).get("PreferredMfaSetting")
        == "SOFTWARE_TOKEN_MFA"
    )
    factors = seen["mfa"].split(", ")
    step = Step(
        f"Switch the authenticator app of {seen['email']} off",
        do=Aws(
            "cognito-idp", "admin_set_user_mfa_preference", **who, SoftwareTokenMfaSettings=_NO_MFA
        ),
        before=factors,
        after=[f for f in factors if f != "SOFTWARE_TOKEN_MFA"],
        undo=[
            Aws(
                "cognito-idp",
                "admin_set_user_mfa_preference",
                **who,
                SoftwareTokenMfaSettings={"Enabled": True, "PreferredMfa": preferred},
            )
        ],
        observe=Read("cognito-idp", "admin_get_user", "UserMFASettingList || `[]`", **who),
    )
    notes = [
        "Until it is set up anew, the password alone opens this account: be sure who is asking.",
        TELL,
    ]
    return Planned(f"reset the second factor of {seen['email']}", [step], notes)


@planner
def plan_sync(ops: Connection) -> Planned:
    """Have the sync function write the pool's users into the app's table: those without a row."""
    missing = find_unsynced(ops)
    if missing.empty:
        _sync_function(ops)
        return Planned("synchronise users", [], ["Every user of the pool has a row already."])
    step = _synchronised(ops, list(missing["email"]))
    return Planned(
        f"synchronise users: {len(missing)} without a row",
        [step],
        ["Rows of users whose group has changed are brought up to date with it."],
    )


def _synchronised(ops: Connection, emails: list[str]) -> Step:
    """The sync function writes rows of these users, who have none."""
    facts = ops.target["users"]
    table, payload = quoted(facts["table"]), facts.get("sync_payload")
    theirs = f"FROM {table} WHERE lower(email) = ANY(CAST(:emails AS text[]))"
    lower = [email.lower() for email in emails]
    more = f" and {len(emails) - 3} more" if len(emails) > 3 else ""
    return Step(
        f"Write into {facts['table']}: {', '.join(emails[:3])}{more}",
        do=Aws(
            "lambda",
            "invoke",
            FunctionName=_sync_function(ops),
            Payload=payload.plain() if payload else {},
        ),
        before=0,
        after=len(emails),
        undo=[Sql(f"DELETE {theirs}", {"emails": lower}, len(emails))],
        observe=Select(f"SELECT count(*) {theirs}", emails=lower),
    )


def _sync_function(ops: Connection) -> str:
    facts = ops.target["users"]
    if "sync_function" not in facts:
        raise Refused(
            f"{ops.target.name} describes no users.sync_function: users are not synchronised here. Nothing was changed."
        )
    return str(ops.target["functions"][facts["sync_function"]]["name"])


@planner
def plan_create(ops: Connection, email: str, invite: bool = False, sync: bool = True) -> Planned:
    """A user with a verified address, and its row (`sync`). `invite`: Cognito mails the password; else nobody gets a mail.

    Raises UsageError (no address), Refused (there already).
    """
    pool = pool_id(ops)
    _guard_new(ops, email, pool)
    who = {"UserPoolId": pool, "Username": email}
    silent = {"MessageAction": "SUPPRESS", "TemporaryPassword": generated(email)}
    create = Step(
        f"Create {email}" + (", and mail an invitation" if invite else ", without a mail"),
        do=Aws(
            "cognito-idp",
            "admin_create_user",
            **who,
            **({"DesiredDeliveryMediums": ["EMAIL"]} if invite else silent),
            UserAttributes=[
                {"Name": "email", "Value": email},
                {"Name": "email_verified", "Value": "true"},
            ],
        ),
        before="absent",
        after="FORCE_CHANGE_PASSWORD",
        undo=[Aws("cognito-idp", "admin_delete_user", **who)],
        observe=Read("cognito-idp", "admin_get_user", "UserStatus", **who),
    )
    rows = [_synchronised(ops, [email])] if sync else []
    notes = ["The invitation holds the password." if invite else _PASSWORD]
    return Planned(f"create user {email}", [create, *rows], notes if sync else [*notes, _ROW])


def _guard_new(ops: Connection, email: str, pool: str) -> None:
    if "@" not in email.strip("@") or any(c.isspace() or c in '"\\' for c in email):
        raise UsageError(f"{email!r} is not an e-mail address.")
    try:
        there = find_user(ops, email, pool)
    except NotFound:
        return
    raise Refused(
        f"{email} is in the pool already ({there['status']}). Nothing was changed; see users/sign-in."
    )


_PASSWORD = "The password holds for one sign-in; it is made when the plan is applied, and its file's path is shown then."
_ROW = "The app does not know the user before it is synchronised: users/sync."


@planner
def plan_password(ops: Connection, user: str, permanent: bool = False) -> Planned:
    """Set a generated password: for one sign-in, or `permanent` where nobody will choose another (a test account)."""
    pool = pool_id(ops)
    seen = find_user(ops, user, pool)
    who = {"UserPoolId": pool, "Username": seen["username"]}
    after = "CONFIRMED" if permanent else "FORCE_CHANGE_PASSWORD"
    step = Step(
        f"Set a new {'lasting' if permanent else 'one-time'} password of {seen['email']}",
        do=Aws(
            "cognito-idp",
            "admin_set_user_password",
            **who,
            Password=generated(seen["email"]),
            Permanent=permanent,
        ),
        before=seen["status"],
        after=after,
        observe=Read("cognito-idp", "admin_get_user", "UserStatus", **who),
    )
    notes = [
        "The old password stops working; sessions that are open go on until their tokens expire."
    ]
    return Planned(
        f"set a password of {seen['email']}", [step], [*notes, *(() if permanent else (_PASSWORD,))]
    )
