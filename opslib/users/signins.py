"""Why a user cannot sign in.

The state in the pool, the second factor, the row that the app keeps.
"""

import re
from datetime import datetime, timedelta

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    Question,
    answer,
    beside,
    check,
    frame,
    logs,
    sayings,
    sql,
    window,
)
from opslib.users.users import NEW, TELL, UNSYNCED, USER, find_user, pool_id

_A_DAY = 1440  # minutes
_TEMPORARY_DAYS = 7  # Cognito's default


@check("Sign-in")
def check_sign_in(ops: Connection, user: str) -> Findings:
    """Why can this user not sign in? Its state in the pool, its second factor, its row.

    Evidence: USER.
    """
    pool = pool_id(ops)
    try:
        seen = find_user(ops, user)
    except NotFound as exc:
        asked = Question(f"{user} is in the pool", "there", "cognito-idp ListUsers")
        return Findings(asked.critical(str(exc), next="users/create"))
    described = ops.call("cognito-idp", "describe_user_pool", UserPoolId=pool)["UserPool"]
    row = f"The app knows {seen['email']}"
    found = Findings(
        [
            _state(seen, described, ops.now()),
            answer("Second factor", lambda: _second_factor(ops, seen, described["CreationDate"])),
        ],
        frame([seen], USER),
    )
    if "table" in ops.target["users"]:
        found.append(answer(row, _synced, ops, seen, row))
    well = f"Nothing is wrong here: it is the password, or an old session. {TELL}"
    found.note = f"Mend what is not ok first. Afterwards: {TELL}" if found.troubles else well
    return found


def _state(user: Json, pool: Json, now: datetime) -> Finding:
    policy = pool.get("Policies", {}).get("PasswordPolicy", {})
    days = policy.get("TemporaryPasswordValidityDays") or _TEMPORARY_DAYS
    until = user["modified"] + timedelta(days=days)  # a one-time password takes a sign-in so long
    told = user | {"ended": until < now, "until": f"{until:%Y-%m-%d}"}
    return next(sayings(beside(__file__, "states"), told))


def _second_factor(ops: Connection, user: Json, since: datetime) -> Finding:
    """A pool that was made again has no secrets of authenticators.

    A factor from before it takes no code any more.
    """
    source = "cognito-idp AdminGetUser, DescribeUserPool, logs"
    asked = Question("Second factor", "none, or one whose codes are taken", source)
    factor = user["mfa"]
    if not factor:
        return asked.ok("none set", cause="mfa-stale")
    refused, old = _refused_codes(ops, user), user["modified"] < since
    seen = f"{factor}, {len(refused)} codes refused in a day"
    for last in refused["time"].tail(1):
        seen += f", last {last:%Y-%m-%d %H:%M} UTC"
    if old:
        seen += f"; it is from before {since:%Y-%m-%d %H:%M}, when the pool was made"
    well = not old and len(refused) < 2
    return asked.judged(well, seen, cause="mfa-stale", next="users/reset-mfa")


def _refused_codes(ops: Connection, user: Json) -> Frame:
    """The log lines of a day that say that this user's code was refused. Columns: logs.EVENTS."""
    facts = ops.target["users"].get("refused_codes")
    if not facts:
        return frame((), logs.EVENTS)
    found = logs.search(ops, facts["function"], f'"{facts["phrase"]}"', window(ops, _A_DAY))
    found = found[found["time"] > user["modified"]]  # what was refused before is settled
    names = "|".join(re.escape(user[key]) for key in ("username", "sub", "email") if user[key])
    return found[found["message"].str.contains(names)]


def _synced(ops: Connection, user: Json, words: str) -> Finding:
    table = ops.target["users"]["table"]
    asked = Question(words, f"a row with its sub, {user['sub']}", f"SELECT from {table}")
    found = sql.query(
        ops,
        f"SELECT cognito_sub::text AS sub FROM {sql.quoted(table)} "
        "WHERE lower(email) = lower(:email)",
        email=user["email"],
    )
    if user["sub"] in set(found["sub"]):
        return asked.ok("its row has its sub", cause=UNSYNCED)
    if found.empty and user["status"] == NEW and ops.target["users"].get("rows") != "every":
        seen = "no row yet: the app writes it at the first sign-in"
        return asked.ok(seen, cause=UNSYNCED)
    seen = f"no row in {table}"
    for other in found["sub"]:
        seen = f"its row in {table} has another sub ({other})"
    follows = "users/sync" if "sync_function" in ops.target["users"] else ""
    return asked.critical(seen, cause=UNSYNCED, next=follows)
