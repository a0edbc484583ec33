"""CloudFront before the system, as the target's file describes it.

Nothing goes through it: it is there to be looked at.
"""

from typing import Any

from opslib.core.connections import identities
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.edges import certificates, firewalls

_CACHE_POLICY = "658327ea-f89d-4fab-a63d-7e88639e58f6"  # AWS's own CachingOptimized
_METHODS = ["GET", "HEAD"]


def seed(place: Place) -> None:
    """Each distribution with its host, its certificate and its web ACL, by its id of the file."""
    for facts in place.facts.get("distributions", {}).values():
        given = _config(place, facts)
        made = place.client("cloudfront").create_distribution(DistributionConfig=given)
        held = place.backend("cloudfront").distributions
        one = held[facts["id"]] = held.pop(made["Distribution"]["Id"])
        one.id = one.distribution_id = facts["id"]
        one.domain_name = f"d{names.number(place, facts['id']):013x}.cloudfront.net"
        one.arn = one.arn.rpartition("/")[0] + f"/{facts['id']}"


def _config(place: Place, facts: Any) -> dict[str, Any]:
    host = facts.get("host")
    shown: dict[str, Any] = {"CloudFrontDefaultCertificate": True}
    if host:
        arn = certificates.issue(place, host, identities.home(place.region))
        shown = {
            "ACMCertificateArn": arn,
            "SSLSupportMethod": "sni-only",
            "MinimumProtocolVersion": "TLSv1.2_2021",
        }
    return {
        "CallerReference": facts["id"],
        "Comment": facts.get("purpose", ""),
        "Enabled": True,
        "Aliases": {"Quantity": 1, "Items": [host]} if host else {"Quantity": 0},
        "Origins": {"Quantity": 1, "Items": [{"Id": "app", **_origin(place)}]},
        "DefaultCacheBehavior": {
            "TargetOriginId": "app",
            "ViewerProtocolPolicy": "redirect-to-https",
            "CachePolicyId": _CACHE_POLICY,
            "Compress": True,
            "AllowedMethods": {
                "Quantity": 2,
                "Items": _METHODS,
                "CachedMethods": {"Quantity": 2, "Items": _METHODS},
            },
        },
        "ViewerCertificate": shown,
        "WebACLId": _acl(place, facts["acl"]) if "acl" in facts else "",
        "HttpVersion": "http2",
        "IsIPV6Enabled": True,
    }


def _origin(place: Place) -> dict[str, Any]:
    """A load balancer of the services, else a bucket, else API Gateway."""
    custom = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    if place.facts.get("services"):
        found = place.client("elbv2").describe_load_balancers()["LoadBalancers"]
        for each in found[:1]:
            return {"DomainName": each["DNSName"], "CustomOriginConfig": custom}
    for bucket in place.facts.get("buckets", {}).values():
        domain = f"{bucket['name']}.s3.{place.region}.amazonaws.com"
        return {"DomainName": domain, "S3OriginConfig": {"OriginAccessIdentity": ""}}
    gateway = f"{names.gateway(place)}.execute-api.{place.region}.amazonaws.com"
    return {"DomainName": gateway, "CustomOriginConfig": custom}


def _acl(place: Place, name: str) -> str:
    waf = firewalls.client(place, "CLOUDFRONT")
    every = waf.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]
    return str(next(each["ARN"] for each in every if each["Name"] == name))
