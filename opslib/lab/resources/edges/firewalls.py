"""AWS WAF's set of blocked addresses, and the web ACLs, of a target's file."""

from typing import Any

from opslib.core.connections import identities
from opslib.lab.places import Place

_METRIC = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True}


def seed(place: Place, addresses: list[str]) -> None:
    """`addresses`: those that were blocked before."""
    facts = place.facts.get("edge", {})
    scope, rules = facts.get("scope", "REGIONAL"), []
    if facts:
        made = client(place, scope).create_ip_set(
            Name=facts["ip_set"],
            Scope=scope,
            Description="Callers that were turned away by hand",
            IPAddressVersion="IPV4",
            Addresses=addresses,
        )["Summary"]
        rules = [
            {
                "Name": "blocked",
                "Priority": 0,
                "Statement": {"IPSetReferenceStatement": {"ARN": made["ARN"]}},
                "Action": {"Block": {}},
                "VisibilityConfig": {**_METRIC, "MetricName": "blocked"},
            }
        ]
    wanted = {(facts["acl"], scope): rules} if "acl" in facts else {}
    for each in place.facts.get("distributions", {}).values():
        if "acl" in each:
            wanted.setdefault((each["acl"], "CLOUDFRONT"), [])
    for (name, kind), of in wanted.items():
        client(place, kind).create_web_acl(
            Name=name,
            Scope=kind,
            DefaultAction={"Allow": {}},
            Rules=of,
            VisibilityConfig={**_METRIC, "MetricName": name},
        )


def client(place: Place, scope: str) -> Any:
    """WAF where it keeps what is of a scope."""
    region = identities.home(place.region) if scope == "CLOUDFRONT" else place.region
    return place.world.client("wafv2", place.account, region, "operator")
