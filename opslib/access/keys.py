"""Access keys of IAM users, root's too, and passwords without a second factor.

By IAM's credential report: one answer for every user of the account, at most four hours old.
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
"""

import csv
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Question,
    Unfinished,
    check,
    dtypes,
    few,
    frame,
    identities,
    poll,
)

OLD = "access-key-old"
KEYS = dtypes("""
    user        str
    key         int64
    active      bool
    created     utc
    age_days    float64
    used        utc
    unused_days float64
    service     str
    region      str
""")
_ROOT, _REPORT, _SECONDS = "<root_account>", "iam GetCredentialReport", 60
_DAYS, _ROLLED_DAYS, _SHOWN = 90, 7, 5
_GLOBAL = ("aws-global", "")  # where global services count as used


@check("Are the access keys young, in use, and only where they are needed?")
def check_keys(ops: Connection) -> Findings:
    """Every IAM user's active keys by age and last use; root's; passwords without second factor.

    Limits: `access` of the target's file. Evidence: KEYS, inactive ones, too. Raises Unfinished.
    """
    state, _ = poll(
        lambda: str(ops.call("iam", "generate_credential_report")["State"]),
        lambda state: state == "COMPLETE",
        _SECONDS,
    )
    if state != "COMPLETE":
        raise Unfinished(f"IAM's credential report is {state} after {_SECONDS} s; look again.")
    report = ops.call("iam", "get_credential_report")
    users = [*csv.DictReader(report["Content"].decode().splitlines())]
    facts = ops.target.at("access")
    keys = frame((row for user in users for row in _keys(ops, user)), KEYS)
    told = [*_judged(ops, facts, keys[keys["active"] & (keys["user"] != _ROOT)])]
    found = Findings([*told, *_passwords(users)], keys.sort_values("created", ignore_index=True))
    when = f"{report['GeneratedTime']:%Y-%m-%d %H:%M} UTC"
    found.note = f"{len(users)} users, as IAM knew them at {when}."
    return found


def _keys(ops: Connection, user: Json) -> Iterator[Json]:
    for key in (1, 2):
        of = {name: user.get(f"access_key_{key}_{name}", "") for name in _COLUMNS}
        created, used = _time(of["last_rotated"]), _time(of["last_used_date"])
        if created is None and of["active"] != "true":
            continue
        age = _days(ops, created)
        yield {
            "user": user["user"],
            "key": key,
            "active": of["active"] == "true",
            "created": created,
            "age_days": age,
            "used": used,
            "unused_days": age if used is None else _days(ops, used),
            "service": _told(of["last_used_service"]),
            "region": _told(of["last_used_region"]),
        }


_COLUMNS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")


def _told(text: str) -> str:
    return "" if text in ("N/A", "no_information", "not_supported") else text


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if _told(text) else None


def _days(ops: Connection, since: datetime | None) -> float:
    return float("nan") if since is None else round((ops.now() - since) / timedelta(days=1), 1)


def _judged(ops: Connection, facts: Json, keys: Frame) -> Iterator[Finding]:
    most, unused = facts.get("max_age_days", _DAYS), facts.get("unused_days", _DAYS)
    old, idle = keys[keys["age_days"] > most], keys[keys["unused_days"] > unused]
    words = "access keys are young"
    yield _about(words, f"at most {most} days", old, lambda e: f"{e.age_days:.0f} days old", OLD)
    yield _about("access keys are in use", f"used within {unused} days", idle, _idle)
    pairs = keys[keys.duplicated("user", keep=False)].sort_values("created")
    younger = pairs.drop_duplicates("user", keep="last")
    rule = f"one active key a user, two for {_ROLLED_DAYS} days"
    both = younger[~(younger["age_days"] <= _ROLLED_DAYS)]
    yield _about("no user has two keys for long", rule, both, lambda e: "two active")
    region = ops.target.region
    here = {region, identities.home(region), *_GLOBAL, *facts.get("regions", ())}
    away = keys[~keys["region"].isin(here)]
    rule = f"in {', '.join(sorted(here - {''}))}"
    yield _about("access keys are used where the system is", rule, away, _idle)


def _idle(each: Any) -> str:
    if str(each.used) == "NaT":
        return f"never used in {each.age_days:.0f} days"
    return f"last used {each.used:%Y-%m-%d}, {each.service} in {each.region or 'no region'}"


def _about(
    words: str, rule: str, bad: Frame, said: Callable[[Any], str], cause: str = ""
) -> Finding:
    """One finding for however many users."""
    told = [f"{e.user} (key {e.key}, {said(e)})" for e in bad.itertuples()]
    asked = Question(words, rule, _REPORT)
    return asked.judged(not told, few(told, _SHOWN) or "all", otherwise="warn", cause=cause)


def _passwords(users: list[Json]) -> Iterator[Finding]:
    """Root's keys and second factor; users that may use the console without one."""
    asked = Question("root has no access key, and a second factor", "neither lacks", _REPORT)
    root = next((each for each in users if each["user"] == _ROOT), None)
    if root is None:
        yield asked.unknown("the report has no row of root")
    else:
        keys = sum(root.get(f"access_key_{key}_active") == "true" for key in (1, 2))
        lacks = [f"{keys} active access keys"] * bool(keys)
        lacks += ["no second factor"] * (root.get("mfa_active") != "true")
        yield asked.judged(not lacks, ", ".join(lacks) or "so it is")
    bare = [
        each["user"]
        for each in users
        if each.get("password_enabled") == "true" and each.get("mfa_active") != "true"
        if each["user"] != _ROOT
    ]
    asked = Question("who may use the console has a second factor", "all", _REPORT)
    yield asked.judged(
        not bare, f"without: {few(bare, _SHOWN)}" if bare else "all", otherwise="warn"
    )
