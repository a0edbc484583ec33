"""Route 53: the records of the host names that the target's file describes.

Nothing asks them: the names of the practice copy are looked up nowhere.
"""

from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import names

_CLOUDFRONT = "Z2FDTNDATAQYW2"  # the zone of all distributions
_ZONE = "Z1EXAMPLE00000000001"  # stands for that of load balancers and APIs


def seed(place: Place) -> None:
    """A zone by its id of the file, and in it a record and a health check of each name."""
    client, zones = place.client("route53"), place.backend("route53").zones
    for facts in place.facts.get("dns", {}).values():
        if facts["zone"] not in zones:
            name = facts["host"].partition(".")[2]
            made = client.create_hosted_zone(Name=name, CallerReference=facts["zone"])
            zone = zones[facts["zone"]] = zones.pop(made["HostedZone"]["Id"].rpartition("/")[2])
            zone.resource_id = facts["zone"]
        config = {
            "Type": "HTTPS",
            "FullyQualifiedDomainName": facts["host"],
            "Port": 443,
            "ResourcePath": next(iter(place.facts.get("api", {}).get("probes", {})), "/"),
        }
        check = client.create_health_check(CallerReference=facts["host"], HealthCheckConfig=config)[
            "HealthCheck"
        ]["Id"]
        record = {
            "Name": facts["host"],
            "Type": "A",
            "HealthCheckId": check,
            "AliasTarget": {**_leads_to(place, facts["host"]), "EvaluateTargetHealth": False},
        }
        change = {"Action": "CREATE", "ResourceRecordSet": record}
        client.change_resource_record_sets(
            HostedZoneId=facts["zone"], ChangeBatch={"Changes": [change]}
        )


def _leads_to(place: Place, host: str) -> dict[str, Any]:
    """The distribution with that host, else a load balancer, else the API."""
    for facts in place.facts.get("distributions", {}).values():
        if facts.get("host") == host:
            found = place.client("cloudfront").get_distribution(Id=facts["id"])["Distribution"]
            return {"HostedZoneId": _CLOUDFRONT, "DNSName": f"{found['DomainName']}."}
    if place.facts.get("services"):
        for each in place.client("elbv2").describe_load_balancers()["LoadBalancers"][:1]:
            return {"HostedZoneId": _ZONE, "DNSName": f"dualstack.{each['DNSName'].lower()}."}
    domain = f"{names.gateway(place)}.execute-api.{place.region}.amazonaws.com."
    return {"HostedZoneId": _ZONE, "DNSName": domain}
