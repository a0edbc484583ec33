"""AWS WAF's set of blocked addresses, and the web ACL with its rule, of a target's file."""

from opslib.lab.places import Place

_METRIC = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True}


def seed(place: Place, addresses: list[str]) -> None:
    """`addresses`: those that were blocked before."""
    facts = place.facts.get("edge")
    if not facts:
        return
    waf, scope = place.client("wafv2"), facts.get("scope", "REGIONAL")
    made = waf.create_ip_set(
        Name=facts["ip_set"],
        Scope=scope,
        Description="Callers that were turned away by hand",
        IPAddressVersion="IPV4",
        Addresses=addresses,
    )["Summary"]
    if "acl" in facts:
        rule = {
            "Name": "blocked",
            "Priority": 0,
            "Statement": {"IPSetReferenceStatement": {"ARN": made["ARN"]}},
            "Action": {"Block": {}},
            "VisibilityConfig": {**_METRIC, "MetricName": "blocked"},
        }
        waf.create_web_acl(
            Name=facts["acl"],
            Scope=scope,
            DefaultAction={"Allow": {}},
            Rules=[rule],
            VisibilityConfig={**_METRIC, "MetricName": facts["acl"]},
        )
