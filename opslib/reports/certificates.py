"""TLS certificates: which covers each of the target's domains, and for how long still."""

from __future__ import annotations

from typing import Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.findings import Finding, Findings, Question
from opslib.core.tables import UTC_TIME, frame

CERTIFICATES = {
    "domain": "str",
    "ends": UTC_TIME,
    "days_left": "float64",
    "min_days": "Int64",
    "type": "str",
    "renewal": "str",
}
_CRITICAL_DAYS = 7
# Without them ACM lists certificates with the two oldest kinds of key only.
_KEY_TYPES = [
    "RSA_1024",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "EC_prime256v1",
    "EC_secp384r1",
    "EC_secp521r1",
]


@check("Are the certificates valid for long enough?")
def check_expiry(ops: Connection) -> Findings:
    """The issued certificate that lasts longest, for each domain in `certificates`.

    Evidence: CERTIFICATES (ACM ListCertificates).
    """
    every = ops.pages(
        "acm",
        "list_certificates",
        "CertificateSummaryList[?NotAfter]",
        CertificateStatuses=["ISSUED", "EXPIRED"],
        Includes={"keyTypes": _KEY_TYPES},
    )
    facts = ops.target["certificates"]
    rows = [_row(ops, domain, int(facts[domain].get("min_days", 30)), every) for domain in facts]
    return Findings([_finding(row, ops.where) for row in rows], frame(rows, CERTIFICATES))


def _row(ops: Connection, domain: str, least: int, every: list[dict[str, Any]]) -> dict[str, Any]:
    row = {"domain": domain, "min_days": least, "type": "", "renewal": ""}
    covering = [certificate for certificate in every if _covers(certificate, domain)]
    if not covering:
        return row
    best = max(covering, key=lambda certificate: certificate["NotAfter"])
    left = (best["NotAfter"] - ops.now()).total_seconds() / 86_400
    told = {"type": best.get("Type", ""), "renewal": best.get("RenewalEligibility", "")}
    return row | told | {"ends": best["NotAfter"], "days_left": round(left, 1)}


def _covers(certificate: dict[str, Any], domain: str) -> bool:
    names = {certificate.get("DomainName"), *certificate.get("SubjectAlternativeNameSummaries", ())}
    return not names.isdisjoint({domain, f"*.{domain.partition('.')[2]}"})


def _finding(row: dict[str, Any], where: str) -> Finding:
    rule, left = f"valid for {row['min_days']} days", row.get("days_left")
    asked = Question(f"certificate of {row['domain']}", rule, "acm ListCertificates")
    if left is None:
        return asked.answer("unknown", f"none in {where} covers it")
    status = "critical" if left < _CRITICAL_DAYS else "warn" if left < row["min_days"] else "ok"
    until = f"{left:.0f} days left, until {row['ends']:%Y-%m-%d}"
    return asked.answer(status, f"expired {-left:.0f} days ago" if left < 0 else until)
