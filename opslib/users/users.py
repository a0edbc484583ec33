"""Users of a system: its Cognito pool, and the rows that the app keeps of them."""

from opslib.core import (
    Action,
    Aws,
    Connection,
    Findings,
    Frame,
    Json,
    NotFound,
    Planned,
    Question,
    Read,
    Select,
    Sql,
    Step,
    UsageError,
    ask,
    check,
    dtypes,
    few,
    frame,
    planner,
    quoted,
)

USERS = dtypes("""
    email    str
    status   str
    enabled  boolean
    created  utc
    modified utc
    username str
""")
USER = USERS | {"sub": "str", "mfa": "str"}
UNSYNCED = "user-not-synced"
TELL = (
    "Tell the user: clear the browser's storage for the app (localStorage), "
    "then sign in again in a fresh window."
)
COGNITO = "cognito-idp"
# A row of USER, of one user as of one in a list, whose attributes are called otherwise.
_ROW = """{
    email: (UserAttributes || Attributes)[?Name == 'email'].Value | [0] || '',
    sub: (UserAttributes || Attributes)[?Name == 'sub'].Value | [0] || '',
    username: Username,
    status: UserStatus,
    enabled: Enabled,
    mfa: join(', ', UserMFASettingList || `[]`),
    preferred: PreferredMfaSetting,
    created: UserCreateDate,
    modified: UserLastModifiedDate
}"""
NEW = "FORCE_CHANGE_PASSWORD"  # the state in which a one-time password has to be changed
_SIGNED_IN = ("CONFIRMED", "EXTERNAL_PROVIDER", "RESET_REQUIRED")
_APP = "SOFTWARE_TOKEN_MFA"  # an authenticator app


def pool_id(ops: Connection) -> str:
    """The id of the target's user pool, found by its name (Cognito ListUserPools).

    Raises NotFound, UsageError.
    """
    name = ops.target["users"]["pool"]
    found = ops.pages(COGNITO, "list_user_pools", "UserPools[]", MaxResults=60)
    ids = [pool["Id"] for pool in found if pool["Name"] == name]
    if not ids:
        raise NotFound(
            f"No user pool is called {name!r} in {ops.where}; {len(found)} others are there."
        )
    if len(ids) > 1:
        raise UsageError(
            f"{len(ids)} user pools are called {name!r} in {ops.where}: {', '.join(ids)}. "
            "Which one is the app's?"
        )
    return str(ids[0])


def list_users(ops: Connection) -> Frame:
    """Every user of the pool (Cognito ListUsers), by e-mail address. Columns: USERS."""
    found = ops.pages(COGNITO, "list_users", f"Users[].{_ROW}", UserPoolId=pool_id(ops))
    return frame(found, USERS).sort_values("email", ignore_index=True)


def find_user(ops: Connection, user: str) -> Json:
    """One user by e-mail address, username or sub (Cognito AdminGetUser), as a row of USER.

    Raises NotFound, UsageError.
    """
    pool = pool_id(ops)
    if "@" in user:
        user = _named(ops, user, pool)
    read = Read(COGNITO, "admin_get_user", _ROW, UserPoolId=pool, Username=user)
    try:
        return dict(read.perform(ops))
    except NotFound as exc:
        raise _nobody(ops, f"called {user}") from exc


def _nobody(ops: Connection, said: str) -> NotFound:
    pool = ops.target["users"]["pool"]
    return NotFound(f"No user {said} in pool {pool} of {ops.where}.")


def _named(ops: Connection, email: str, pool: str) -> str:
    """The username of who has this address."""
    if '"' in email or "\\" in email:
        raise UsageError(f"{email!r} is not an e-mail address.")
    of, asked = "Users[].Username", f'email = "{email}"'
    names = ops.pages(COGNITO, "list_users", of, UserPoolId=pool, Filter=asked)
    if not names:
        raise _nobody(ops, f"with the address {email}")
    if len(names) > 1:
        raise UsageError(
            f"{len(names)} users have the address {email}: {', '.join(names)}. "
            "Give the username instead."
        )
    return str(names[0])


def find_unsynced(ops: Connection) -> Frame:
    """The pool's users that should have a row in the app's table and have none. Columns: USERS.

    Those that may sign in and have done so; with `users.rows: every` the others, too.
    """
    return _without_row(ops)[0]


def _without_row(ops: Connection) -> tuple[Frame, Frame]:
    """The users without a row: those that should have one, and those that never signed in."""
    found = list_users(ops)
    table = quoted(ops.target["users"]["table"])
    known = set(ask(ops, f"SELECT lower(email) AS email FROM {table}", limit=2_000_000)["email"])
    usable = found["enabled"] & found["status"].isin((*_SIGNED_IN, NEW))
    without = found[usable & ~found["email"].str.lower().isin(known)]
    new = (without["status"] == NEW) & (ops.target["users"].get("rows") != "every")
    return without[~new].reset_index(drop=True), without[new].reset_index(drop=True)


@check("Users without a row")
def check_synced(ops: Connection) -> Findings:
    """Has every user of the pool a row in the app's table? Evidence: USERS, those without."""
    if "table" not in ops.target["users"]:
        return Findings(note="The target's file describes no users.table.")
    missing, new = _without_row(ops)
    asked = Question("Every user of the pool has a row", "none", "cognito-idp ListUsers, SELECT")
    if missing.empty:
        seen = f"none is missing; {len(new)} never signed in" if len(new) else "none is missing"
        return Findings(asked.ok(seen, cause=UNSYNCED))
    seen = f"{len(missing)} without: {', '.join(missing['email'][:5])}"
    return Findings(asked.critical(seen, cause=UNSYNCED, next="users/sync"), missing)


def who_is(ops: Connection, user: str) -> tuple[Json, Json]:
    """The user as a row of USER, and what names it in calls. Raises NotFound."""
    seen = find_user(ops, user)
    return seen, {"UserPoolId": pool_id(ops), "Username": seen["username"]}


@planner
def plan_reset_mfa(ops: Connection, user: str) -> Planned:
    """Switch the user's authenticator app off; the user sets it up anew after signing in."""
    seen, who = who_is(ops, user)
    email, factors = seen["email"], seen["mfa"].split(", ")
    summary = f"reset the second factor of {email}"
    if _APP not in factors:
        return Planned(summary, notes=[f"{email} has no authenticator app switched on."])

    def switch(on: bool, preferred: bool) -> Action:
        setting = {"Enabled": on, "PreferredMfa": preferred}
        operation = "admin_set_user_mfa_preference"
        return Aws(COGNITO, operation, **who, SoftwareTokenMfaSettings=setting)

    step = Step(
        f"Switch the authenticator app of {email} off",
        do=switch(False, False),
        before=factors,
        after=[factor for factor in factors if factor != _APP],
        undo=[switch(True, seen["preferred"] == _APP)],
        observe=Read(COGNITO, "admin_get_user", "UserMFASettingList || `[]`", **who),
    )
    notes = [
        "Until it is set up anew, the password alone opens this account: be sure who is asking.",
        TELL,
    ]
    return Planned(summary, [step], notes)


@planner
def plan_sync(ops: Connection) -> Planned:
    """Have the sync function write the pool's users into the app's table: those without a row."""
    emails = list(find_unsynced(ops)["email"])
    step, note = synchronised(ops, emails), "Every user of the pool has a row already."
    if emails:
        note = "Rows of users whose group has changed are brought up to date with it."
    steps = [step] if emails else []
    return Planned(f"synchronise users: {len(emails)} without a row", steps, [note])


def synchronised(ops: Connection, emails: list[str]) -> Step:
    """The sync function writes rows of these users, who have none.

    Raises UsageError where there is none.
    """
    facts = ops.target["users"]
    name = ops.target["functions"][facts["sync_function"]]["name"]
    payload = facts["sync_payload"].plain() if "sync_payload" in facts else {}
    theirs = f"FROM {quoted(facts['table'])} WHERE lower(email) = ANY(CAST(:emails AS text[]))"
    lower = [email.lower() for email in emails]
    return Step(
        f"Write into {facts['table']}: {few(emails, 3)}",
        do=Aws("lambda", "invoke", FunctionName=name, Payload=payload),
        before=0,
        after=len(emails),
        undo=[Sql(f"DELETE {theirs}", {"emails": lower}, len(emails))],
        observe=Select(f"SELECT count(*) {theirs}", emails=lower),
    )
