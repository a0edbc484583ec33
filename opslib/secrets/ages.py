"""Secrets: which are there and how old their values are. No value is ever read here."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Question,
    check,
    dtypes,
    frame,
)
from opslib.core.checks.causes import GONE

SECRETS = dtypes("""
    secret       str
    there        bool
    changed      utc
    age_days     float64
    max_age_days Int64
""")
_DOCS = "https://docs.aws.amazon.com/secretsmanager/latest/userguide/"
_LATE = timedelta(days=2)  # after the day on which it was due


@check("Are the secrets there, young enough, and rotated as they should be?")
def check_ages(ops: Connection) -> Findings:
    """Age of the current value of every secret that the target describes, deletion, rotation.

    Evidence: SECRETS.
    """
    facts, found, rows = ops.target["secrets"], [], []
    read = ops.each(partial(read_age, ops), facts, "secret {}")
    for name, (made, described) in read.items():
        most = facts[name].get("max_age_days")
        rule = "it is there" if most is None else f"at most {most} days"
        asked = Question(f"secret {name}", rule, "DescribeSecret, ListSecretVersionIds")
        deleted = described.get("DeletedDate")
        row = {"secret": name, "there": bool(made and not deleted), "max_age_days": most}
        if deleted:
            seen = f"marked for deletion, of {deleted:%Y-%m-%d %H:%M} UTC: nobody can read it. "
            seen += "Until its end it can be restored (aws secretsmanager restore-secret)"
            found.append(asked.critical(seen, cause=GONE))
        elif made is None:
            seen = "it has no current value, or is not there"
            found.append(asked.critical(seen, cause=GONE))
        else:
            age = (ops.now() - made) / timedelta(days=1)
            row |= {"changed": made, "age_days": round(age, 1)}
            young, seen = most is None or age <= most, f"its value is {age:.0f} days old"
            found.append(asked.judged(young, seen, otherwise="warn"))
        found += _rotation(ops, name, described)
        rows.append(row)
    return Findings(found, frame(rows, SECRETS))


def _rotation(ops: Connection, name: str, described: Json) -> Iterator[Finding]:
    """A rotation that did not come to its end: overdue, or its new value still pending."""
    if not described.get("RotationEnabled") or described.get("DeletedDate"):
        return
    source = f"{_DOCS}troubleshoot_rotation.html"
    asked = Question(f"rotation of {name}", "on time, and to its end", source)
    due = described.get("NextRotationDate")
    stages = (described.get("VersionIdsToStages") or {}).values()
    pending = any("AWSPENDING" in each and "AWSCURRENT" not in each for each in stages)
    if due and due < ops.now() - _LATE:
        yield asked.warn(f"it was due on {due:%Y-%m-%d}: see its function's log")
    elif pending:
        seen = "a new value is pending: rotation broke off between its steps, see its function"
        yield asked.warn(seen, next="logs/search")


def read_age(ops: Connection, name: str) -> tuple[datetime | None, Json]:
    """When its current value was put there, None: never; and as it is described, empty: absent."""
    path = "Versions[?contains(VersionStages || `[]`, 'AWSCURRENT')].CreatedDate"
    try:
        described = ops.call("secretsmanager", "describe_secret", SecretId=name)
        if described.get("DeletedDate"):
            return None, described
        made = ops.pages("secretsmanager", "list_secret_version_ids", path, SecretId=name)
    except NotFound:
        return None, {}
    return (made[0] if made else None), described
