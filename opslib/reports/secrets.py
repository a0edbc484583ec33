"""Secrets: which are there and how old their values are. No value is ever read here."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from opslib.core import UTC_TIME, Connection, Findings, NotFound, Question, check, frame

SECRETS = {
    "secret": "str",
    "there": "bool",
    "changed": UTC_TIME,
    "age_days": "float64",
    "max_age_days": "Int64",
}


@check("Are the secrets there, and young enough?")
def check_ages(ops: Connection) -> Findings:
    """Age of the current value of every secret that the target describes. Evidence: SECRETS."""
    facts, found, rows = ops.target["secrets"], [], []
    for name, made in ops.each(partial(_made, ops), facts, "secret {}").items():
        most = facts[name].get("max_age_days")
        rule = "it is there" if most is None else f"at most {most} days"
        asked = Question(f"secret {name}", rule, "ListSecretVersionIds")
        row = {"secret": name, "there": made is not None, "max_age_days": most}
        if made is None:
            found.append(asked.answer("critical", "it has no current value, or is not there"))
        else:
            age = (ops.now() - made) / timedelta(days=1)
            row |= {"changed": made, "age_days": round(age, 1)}
            young, seen = most is None or age <= most, f"its value is {age:.0f} days old"
            found.append(asked.judged(young, seen, otherwise="warn"))
        rows.append(row)
    return Findings(found, frame(rows, SECRETS))


def _made(ops: Connection, name: str) -> datetime | None:
    """When its current value was put there (Secrets Manager ListSecretVersionIds); None: never."""
    path = "Versions[?contains(VersionStages || `[]`, 'AWSCURRENT')].CreatedDate"
    try:
        made = ops.pages("secretsmanager", "list_secret_version_ids", path, SecretId=name)
    except NotFound:
        return None
    return made[0] if made else None
