"""Why a user cannot sign in: the state in the pool, the second factor, the row that the app keeps."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import answer, check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import quoted
from opslib.core.errors import NotFound
from opslib.core.findings import Finding, Findings
from opslib.core.reads import logs
from opslib.core.tables import frame
from opslib.core.times import window
from opslib.users.users import TELL, USER, find_user, pool_id

if TYPE_CHECKING:
    import pandas as pd

_A_DAY = 1440  # minutes


@check("Sign-in")
def check_sign_in(ops: Connection, user: str) -> Findings:
    """Why can this user not sign in? Its state in the pool, its second factor, its row. Evidence: USER."""
    pool = pool_id(ops)
    try:
        seen = find_user(ops, user, pool)
    except NotFound as exc:
        missing = Finding(
            "critical",
            f"{user} is in the pool",
            str(exc),
            "there",
            "cognito-idp ListUsers",
            next="users/create",
        )
        return Findings([missing])
    described = ops.call("cognito-idp", "describe_user_pool", UserPoolId=pool)["UserPool"]
    found = [
        _state(seen, described, ops.now()),
        answer(
            f"Second factor of {seen['email']}",
            lambda: _second_factor(ops, seen, described["CreationDate"]),
        ),
        answer(f"The app knows {seen['email']}", lambda: _synced(ops, seen)),
    ]
    return Findings(found, frame([seen], USER), _advice(found))


_STATES = {
    "CONFIRMED": ("ok", "confirmed", ""),
    "RESET_REQUIRED": ("warn", "must choose a new password ('forgot password')", "users/password"),
    "UNCONFIRMED": ("warn", "has not confirmed the e-mail address", ""),
}
_TEMPORARY_DAYS = 7  # Cognito's default


def _state(user: dict[str, Any], pool: dict[str, Any], now: datetime) -> Finding:
    question, source = f"{user['email']} may sign in", "cognito-idp AdminGetUser"
    if not user["enabled"]:
        return Finding(
            "critical",
            question,
            "disabled: somebody did that on purpose",
            "enabled, confirmed",
            source,
        )
    if user["status"] == "FORCE_CHANGE_PASSWORD":
        status, words, follows = _temporary(user, pool, now)
    else:
        status, words, follows = _STATES.get(
            user["status"], ("warn", f"state {user['status']}", "")
        )
    return Finding(
        status, question, f"enabled, {words}", "enabled, confirmed", source, next=follows
    )


def _temporary(user: dict[str, Any], pool: dict[str, Any], now: datetime) -> tuple[str, str, str]:
    """A one-time password takes a sign-in only so long."""
    policy = pool.get("Policies", {}).get("PasswordPolicy", {})
    until = user["modified"] + timedelta(
        days=policy.get("TemporaryPasswordValidityDays") or _TEMPORARY_DAYS
    )
    if until < now:
        return "warn", f"its one-time password ended on {until:%Y-%m-%d}", "users/password"
    return (
        "ok",
        f"has a one-time password until {until:%Y-%m-%d}, and chooses another when signing in",
        "",
    )


def _second_factor(ops: Connection, user: dict[str, Any], since: datetime) -> Finding:
    """A pool that was made again has no secrets of authenticators: a factor from before it takes no code any more."""
    question, source = (
        f"Second factor of {user['email']}",
        "cognito-idp AdminGetUser, DescribeUserPool, logs",
    )
    threshold = "none, or one whose codes are taken"
    if not user["mfa"]:
        return Finding("ok", question, "none set", threshold, source)
    refused = _refused_codes(ops, user)
    if user["modified"] < since:
        seen = f"{user['mfa']} from before {since:%Y-%m-%d %H:%M}, when the pool was made"
    elif len(refused) > 1:
        seen = f"{user['mfa']}; {len(refused)} codes refused in a day, last {refused['time'].iloc[-1]:%Y-%m-%d %H:%M} UTC"
    else:
        return Finding(
            "ok",
            question,
            f"{user['mfa']}, {len(refused)} codes refused in a day",
            threshold,
            source,
        )
    return Finding("critical", question, seen, threshold, source, "mfa-stale", "users/reset-mfa")


def _refused_codes(ops: Connection, user: dict[str, Any]) -> pd.DataFrame:
    """The log lines of a day that say that this user's code was refused. Columns: logs.EVENTS."""
    facts = ops.target["users"].get("refused_codes")
    if not facts:
        return frame((), logs.EVENTS)
    found = logs.search(ops, facts["function"], f'"{facts["phrase"]}"', window(ops, _A_DAY))
    names = [name for name in (user["username"], user["sub"], user["email"]) if name]
    found = found[
        found["time"] > user["modified"]
    ]  # what was refused before the last change is settled
    return found[[any(name in text for name in names) for text in found["message"]]].reset_index(
        drop=True
    )


def _synced(ops: Connection, user: dict[str, Any]) -> Finding:
    table = ops.target["users"]["table"]
    question, source = f"The app knows {user['email']}", f"SELECT from {table}"
    found = sql.query(
        ops,
        f"SELECT cognito_sub::text AS sub FROM {quoted(table)} WHERE lower(email) = lower(:email)",
        email=user["email"],
    )
    if found.empty:
        seen = f"no row in {table}"
        return Finding(
            "critical",
            question,
            seen,
            "a row with its sub",
            source,
            "user-not-synced",
            "users/sync",
        )
    if user["sub"] not in set(found["sub"]):
        seen = f"its row in {table} has another sub ({found['sub'].iloc[0]})"
        return Finding(
            "critical",
            question,
            seen,
            f"sub {user['sub']}",
            source,
            "user-not-synced",
            "users/sync",
        )
    return Finding("ok", question, "its row has its sub", "a row with its sub", source)


def _advice(found: list[Finding]) -> str:
    if all(f.status == "ok" for f in found):
        return f"Nothing is wrong here: it is the password, or an old session. {TELL}"
    return f"Mend what is not ok first. Afterwards: {TELL}"
