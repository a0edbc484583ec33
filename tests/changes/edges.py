"""What stands at the edges of a system, as AWS describes it: broken in one thing, and well."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.changes.test_differences import START

FACTS = {"distributions": {"app": {"id": "E1", "host": "app.example.com", "acl": "app"}}}
WARN, CRITICAL = "warn", "critical"


def day(days: float) -> datetime:
    return START + timedelta(days=days)


def distribution(**more: Any) -> tuple[str, str, dict[str, Any]]:
    """One that breaks no rule; `more`: what it has otherwise."""
    own = {
        "DomainName": "d1.cloudfront.net",
        "Enabled": True,
        "Aliases": {"Items": ["www.example.com", "app.example.com"]},
        "WebACLId": "arn:aws:wafv2:us-east-1:111122223333:global/webacl/app/1a2b",
        "DefaultCacheBehavior": {"ViewerProtocolPolicy": "redirect-to-https"},
        "CacheBehaviors": {"Quantity": 0},
        "Origins": {"Items": [{"DomainName": "x.s3.amazonaws.com"}]},
        "ViewerCertificate": {"MinimumProtocolVersion": "TLSv1.2_2021"},
    }
    return "distribution", "E1", own | more


def asked_by(policy: str, domain: str) -> dict[str, Any]:
    return {
        "Items": [{"DomainName": domain, "CustomOriginConfig": {"OriginProtocolPolicy": policy}}]
    }


def certificate(days: float, status: str = "ISSUED") -> tuple[str, str, dict[str, Any]]:
    return "distribution certificate", "arn:c", {"Status": status, "NotAfter": day(days)}


BEHAVIORS = {"Items": [{"PathPattern": "/api/*", "ViewerProtocolPolicy": "allow-all"}]}
OLD_TLS = {"MinimumProtocolVersion": "TLSv1.1_2016"}
OTHER_ACL = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/app-test/1a2b"
WEBSITE = "x.s3-website-eu-west-1.amazonaws.com"
CASES = [
    (*distribution(Enabled=False), "Enabled", CRITICAL),
    (*distribution(Aliases={"Items": ["www.example.com"]}), "Aliases", CRITICAL),
    (*distribution(Aliases={"Quantity": 0}), "Aliases", CRITICAL),
    (*distribution(WebACLId=""), "WebACLId", CRITICAL),
    (*distribution(WebACLId=OTHER_ACL), "WebACLId", CRITICAL),
    (*distribution(CacheBehaviors=BEHAVIORS), "DefaultCacheBehavior", WARN),
    (*distribution(ViewerCertificate=OLD_TLS), "ViewerCertificate", WARN),
    (*distribution(Origins=asked_by("http-only", "app.example.org")), "Origins", WARN),
    (*certificate(10), "NotAfter", WARN),
    (*certificate(2), "NotAfter", CRITICAL),
    (*certificate(-1, "EXPIRED"), "NotAfter", CRITICAL),
    (*certificate(200, "REVOKED"), "Status", CRITICAL),
]
KEPT = [
    distribution(),
    distribution(Origins=asked_by("http-only", WEBSITE)),
    distribution(Origins=asked_by("match-viewer", "app.example.org")),
    ("distribution", "E2", {"Enabled": True, "Aliases": {"Quantity": 0}, "WebACLId": ""}),
    certificate(60),
]
