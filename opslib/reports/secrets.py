"""Secrets: which are there and how old their values are. No value is ever read here."""

from __future__ import annotations

from typing import Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound
from opslib.core.findings import Finding, Findings
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
    """Age of the current value of every secret that the target describes (ListSecretVersionIds). Evidence: SECRETS."""
    facts = ops.target["secrets"]
    rows = ops.gather(
        *(lambda name=name: _row(ops, name, facts[name].get("max_age_days")) for name in facts)
    )
    return Findings([_finding(row) for row in rows], frame(rows, SECRETS))


def _row(ops: Connection, name: str, most: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {"secret": name, "there": False, "max_age_days": most}
    try:
        versions = ops.pages(
            "secretsmanager", "list_secret_version_ids", "Versions[]", SecretId=name
        )
    except NotFound:
        return row
    current = [
        version["CreatedDate"]
        for version in versions
        if "AWSCURRENT" in version.get("VersionStages", ())
    ]
    if not current:
        return row
    age = (ops.now() - current[0]).total_seconds() / 86_400
    return row | {"there": True, "changed": current[0], "age_days": round(age, 1)}


def _finding(row: dict[str, Any]) -> Finding:
    question, source, most = f"secret {row['secret']}", "ListSecretVersionIds", row["max_age_days"]
    threshold = f"at most {most} days" if most is not None else "it is there"
    if not row["there"]:
        return Finding(
            "critical", question, "it has no current value, or is not there", threshold, source
        )
    seen = f"its value is {row['age_days']:.0f} days old"
    return Finding(
        "warn" if most is not None and row["age_days"] > most else "ok",
        question,
        seen,
        threshold,
        source,
    )
