"""The password of the app's login: another one, and who still uses the one before.

In the order of AWS's own rotation: the new one is kept beside the present one, then the database is
told, then somebody logs in with it, and only then the secret says it to everybody.
"""

import json
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import quote

from opslib.core import (
    Aws,
    Connection,
    Finding,
    Findings,
    Frame,
    Login,
    NotFound,
    Password,
    Planned,
    Question,
    Refused,
    Renewed,
    Step,
    answer,
    ask,
    check,
    count,
    dtypes,
    logs,
    planner,
    stages,
    window,
)
from opslib.core.actions.logins import CURRENT, PENDING, REFUSED, TAKEN
from opslib.core.connections import addresses
from opslib.databases.instances import rds, states

KEEPS_OLD = "consumer-keeps-old-password"  # the cause that findings name
CONSUMERS = dtypes("""
    consumer          str
    sessions          int64
    before_the_change int64
    oldest            utc
""")
_FAILED = '?"password authentication failed" ?28P01'


@planner
def plan_password(ops: Connection) -> Planned:
    """A new password for the login that the target's secret holds, in database and secret.

    Raises Refused (somebody else rotates it, it cannot be replaced alone, no login with the present
    one: then there is no way back).
    """
    facts = ops.target["database"]
    if "secret" not in facts:
        raise Refused(f"{_rds_manages(ops)} Nothing was changed.")
    name: str = facts["secret"]
    versions = stages.versions(ops, name)
    at = _place(ops, name)
    database = rds.database_of(ops)
    described = database.describe(ops)
    if described.get("MasterUserSecret"):
        raise Refused(f"{_rds_manages(ops)} Nothing was changed.")
    states.require_login(ops)
    user = str(addresses.find(ops).username)
    by = None
    if user == described["MasterUsername"]:
        by = Aws("rds", database.kind.modify, **database.key)
    steps = [
        versions.pending(
            f"Keep a new password beside the present one, as {PENDING} of secret {name}",
            Renewed(name, at),
        ),
        Step(
            f"Give it to {user} in {database}, and log in; if that fails, the old one again",
            Password(name, at, PENDING, CURRENT, by),
            REFUSED,
            TAKEN,
            [Password(name, at, CURRENT, PENDING, by)],
            Login(name, at, PENDING),
        ),
        versions.told(f"Tell everybody who reads secret {name}"),
    ]
    how = (
        "by RDS, as the master user" if by else "as itself (ALTER ROLE): it is not the master user"
    )
    notes = [
        f"{user} gets it {how}. Between the second step and the third, for seconds, who opens a "
        "connection is refused.",
        "Sessions that are open stay. Who keeps the password in memory is refused at the next "
        "connection: see the check afterwards, and start those anew.",
        "32 signs of letters, digits and -_. : Aurora takes it, and an address without escapes.",
        "Undo sets the old password again, in the database first.",
    ]
    return Planned(f"a new password for {user} of {database}", steps, notes)


def _rds_manages(ops: Connection) -> str:
    kind = rds.database_of(ops).kind
    call = f"aws rds modify-db-{kind.noun} --rotate-master-user-password --apply-immediately"
    return f"RDS itself keeps this login's secret and rotates it: {call}."


def _place(ops: Connection, name: str) -> list[str]:
    """Where in the secret the password is. Raises Refused where it is not in one place alone."""
    secret, called = ops.secret(name), ops.target["database"].get("secret_keys", {})
    at = addresses.password_at(secret, called)
    if at is None:
        raise Refused(
            f"Secret {name!r} is an address (a URL or DSN) with the password inside. Only a field "
            "of JSON, or the password alone, is replaced here. Nothing was changed."
        )
    password, rest = secret, json.dumps(secret) if at else ""
    for key in at:
        password = password[key]
    if sum(rest.count(form) for form in {str(password), quote(str(password), "")}) > 1:
        raise Refused(
            f"Secret {name!r} holds the password in another field, too, as in an address: that "
            "would keep the old one. Let it hold the password once. Nothing was changed."
        )
    return at


@check("Does everybody log in with the present password?")
def check_password(ops: Connection, minutes: float = 60, settled_hours: float = 0) -> Findings:
    """Sessions from before the secret's present value, and logins that were refused since.

    `settled_hours`: so long after a rotation they are told and no warning: pools reconnect in time.

    Evidence: CONSUMERS, of sessions of the secret's login.
    """
    name = addresses.secret_of(ops)
    path = f"Versions[?contains(VersionStages || `[]`, '{CURRENT}')].CreatedDate"
    made = ops.pages(stages.MANAGER, "list_secret_version_ids", path, SecretId=name)
    user = str(addresses.find(ops).username)
    if not made:
        asked = Question(f"secret {name}", "a current value", "ListSecretVersionIds")
        return Findings(asked.unknown("it has no current value"))
    found = ask(ops, _SESSIONS_SQL, {"role": user, "since": made[0]}, CONSUMERS)
    early = ops.now() - made[0] < timedelta(hours=settled_hours)
    looks = [partial(_kept, found, user, made[0], early)]
    if {"functions", "services", "logs"} & ops.target.facts.keys():
        looks.append(partial(_refused, ops, user, made[0], minutes))
    return Findings([answer("Logins with the present password", look) for look in looks], found)


def _kept(found: Frame, user: str, since: datetime, early: bool = False) -> Finding:
    asked = Question(
        f"Since the present password all sessions of {user} began",
        f"all since {since:%Y-%m-%d %H:%M:%S} UTC",
        "pg_stat_activity, ListSecretVersionIds",
    )
    hidden = found[found["oldest"].isna()]
    old = found[found["before_the_change"] > 0]
    if len(hidden):
        sessions = count(int(hidden["sessions"].sum()), "session")
        return asked.unknown(f"the login may not see since when {sessions} last")
    if old.empty:
        return asked.ok(f"all {count(int(found['sessions'].sum()), 'session')}")
    held = ", ".join(f"{row.consumer} {row.before_the_change}" for row in old.itertuples())
    seen = f"older: {held}. They stay until they reconnect; start anew who keeps what he read once"
    return asked.answer("ok" if early else "warn", seen)


def _refused(ops: Connection, user: str, since: datetime, minutes: float) -> Finding:
    within = window(ops, minutes)
    asked = Question(
        "Since the present password no login was refused",
        f"none in {minutes:g} minutes",
        "FilterLogEvents: password authentication failed",
    )
    read = logs.search(ops, logs.ALL, _FAILED, within)
    named = read["message"].str.extract(r'for (?:user|role) \\*"([^"\\]+)', expand=False)
    found = read[(read["time"] >= since) & named.fillna(user).isin([user])]
    if found.empty and (failed := read.attrs.get("failed")):
        exc = next(iter(failed.values()))
        if isinstance(exc, NotFound):
            return asked.unknown(str(exc))  # that a log group is gone is told by others
        raise exc
    if found.empty:
        return asked.ok("none", cause=KEEPS_OLD)
    by = found.groupby("source")["time"].agg(["count", "max"])
    told = [f"{row.Index} {row.count}, last {row.max:%H:%M}" for row in by.itertuples()]
    seen = f"{'; '.join(told)} UTC. The secret's password is taken: they log in with another one, "
    seen += f"as from before {since:%Y-%m-%d %H:%M}. Give them a new environment (any variable)"
    return asked.critical(seen, cause=KEEPS_OLD, next="functions/environment")


_SESSIONS_SQL = """
SELECT coalesce(nullif(application_name, ''), 'no name') AS consumer, count(*) AS sessions,
       count(*) FILTER (WHERE backend_start < :since) AS before_the_change,
       min(backend_start) AS oldest
FROM pg_stat_activity
WHERE usename = :role AND backend_type IS DISTINCT FROM 'parallel worker'
  AND application_name NOT LIKE 'opslib/%'
GROUP BY 1 ORDER BY before_the_change DESC, sessions DESC, consumer
"""
