"""TLS certificates: which covers each of the target's domains, and for how long still."""

from datetime import timedelta
from operator import itemgetter

from opslib.core import (
    Connection,
    Findings,
    Json,
    beside,
    check,
    dtypes,
    frame,
    identities,
    sayings,
)

CERTIFICATES = dtypes("""
    domain    str
    ends      utc
    days_left float64
    min_days  Int64
    type      str
    renewal   str
""")
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
    regions = [""] + [identities.home(ops.target.region)] * ("distributions" in ops.target.facts)
    every = [
        certificate
        for region in regions  # CloudFront takes its own from one region alone
        for certificate in ops.at(region).pages(
            "acm",
            "list_certificates",
            "CertificateSummaryList[?NotAfter]",
            CertificateStatuses=["ISSUED", "EXPIRED"],
            Includes={"keyTypes": _KEY_TYPES},
        )
    ]
    found, rows = Findings(), []
    for domain, facts in ops.target["certificates"].items():
        covering = [certificate for certificate in every if _covers(certificate, domain)]
        best: Json = max(covering, key=itemgetter("NotAfter"), default={})
        row = {
            "domain": domain,
            "min_days": int(facts.get("min_days", 30)),
            "type": best.get("Type", ""),
            "renewal": best.get("RenewalEligibility", ""),
        }
        told: Json = {"where": ops.where}
        if best:
            left = (best["NotAfter"] - ops.now()) / timedelta(days=1)
            row |= {"ends": best["NotAfter"], "days_left": round(left, 1)}
            told |= {"left": left, "ago": -left, "until": f"{best['NotAfter']:%Y-%m-%d}"}
        found += sayings(beside(__file__, "certificates"), row | told)
        rows.append(row)
    return Findings(found, frame(rows, CERTIFICATES))


def _covers(certificate: Json, domain: str) -> bool:
    names = {certificate.get("DomainName"), *certificate.get("SubjectAlternativeNameSummaries", ())}
    return not names.isdisjoint({domain, f"*.{domain.partition('.')[2]}"})
