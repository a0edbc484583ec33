"""The VPC with its endpoints, and what cannot be reached without one."""

from __future__ import annotations

from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import networks
from opslib.lab.resources.networks import Network

# The app's calls out of the VPC: which endpoint each goes through.
SERVICES = ("secretsmanager", "cognito-idp", "s3")
_GROUPS = {"lambda": "The functions", "database": "Aurora", "endpoints": "VPC endpoints"}


def seed(place: Place) -> Network:
    block = f"10.{40 if place.target.production else 20}"
    network = networks.make(place, place.facts["network"]["vpc"], block, _GROUPS)
    for name, port in (("database", 5432), ("endpoints", 443)):
        networks.let_in(place, network.groups[name], network.groups["lambda"], port)
    _endpoints(place, network)
    place.memory["database_group"] = network.groups["database"]
    return network


def _endpoints(place: Place, network: Network) -> None:
    ec2 = place.client("ec2")
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])["RouteTables"]
    for service, kind in place.facts["network"]["endpoints"].items():
        where: dict[str, Any] = {"RouteTableIds": [table["RouteTableId"] for table in tables]}
        if kind == "Interface":
            groups = [network.groups["endpoints"]]
            where = {"SubnetIds": network.subnets, "SecurityGroupIds": groups, "PrivateDnsEnabled": True}
        ec2.create_vpc_endpoint(
            VpcId=network.vpc, VpcEndpointType=kind, ServiceName=f"com.amazonaws.{place.region}.{service}",
            TagSpecifications=networks.tags("vpc-endpoint", f"{place.name}-{service}"), **where,
        )  # fmt: skip


def unreachable(place: Place, service: str) -> bool:
    """Whether the app's functions lack the way to a service."""
    wanted = f"com.amazonaws.{place.region}.{service}"
    endpoints = place.backend("ec2").vpc_end_points.values()
    return not any(endpoint.service_name == wanted and endpoint.state == "available" for endpoint in endpoints)
