"""Secrets: which are there and how old their values are. No value is ever read here."""

from __future__ import annotations

from typing import Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound
from opslib.core.findings import Finding, Findings, Question
from opslib.core.tables import UTC_TIME, frame

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
    rows = ops.each(lambda name: _row(ops, name), ops.target["secrets"]).values()
    return Findings(map(_finding, rows), frame(rows, SECRETS))


def _row(ops: Connection, name: str) -> dict[str, Any]:
    """A row of SECRETS (Secrets Manager ListSecretVersionIds)."""
    row = {
        "secret": name,
        "there": False,
        "max_age_days": ops.target["secrets"][name].get("max_age_days"),
    }
    path = "Versions[?contains(VersionStages || `[]`, 'AWSCURRENT')].CreatedDate"
    try:
        made = ops.pages("secretsmanager", "list_secret_version_ids", path, SecretId=name)
    except NotFound:
        return row
    if not made:
        return row
    age = (ops.now() - made[0]).total_seconds() / 86_400
    return row | {"there": True, "changed": made[0], "age_days": round(age, 1)}


def _finding(row: dict[str, Any]) -> Finding:
    most = row["max_age_days"]
    rule = "it is there" if most is None else f"at most {most} days"
    asked = Question(f"secret {row['secret']}", rule, "ListSecretVersionIds")
    if not row["there"]:
        return asked.answer("critical", "it has no current value, or is not there")
    young = most is None or row["age_days"] <= most
    return asked.judged(young, f"its value is {row['age_days']:.0f} days old", otherwise="warn")
