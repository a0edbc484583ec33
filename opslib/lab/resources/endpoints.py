"""A target's VPC with the endpoints that its file names."""

from __future__ import annotations

from typing import Any

from opslib.lab.estates import data
from opslib.lab.places import Place
from opslib.lab.resources import networks
from opslib.lab.resources.networks import Network


def seed(place: Place, about: data.Network) -> Network:
    """The VPC; its security groups let the functions' in. The database's is kept for the database."""
    facts = place.facts.get("network", {})
    network = networks.make(place, facts.get("vpc", place.name), about.block, about.groups)
    for name, port in about.let_in.items():
        networks.let_in(place, network.groups[name], network.groups["lambda"], port)
    _endpoints(place, network, facts.get("endpoints", {}))
    if "database" in network.groups:
        place.memory["database_group"] = network.groups["database"]
    return network


def _endpoints(place: Place, network: Network, wanted: Any) -> None:
    ec2 = place.client("ec2")
    mine = [{"Name": "vpc-id", "Values": [network.vpc]}]
    tables = ec2.describe_route_tables(Filters=mine)["RouteTables"] if wanted else []
    for service, kind in wanted.items():
        where: dict[str, Any] = {"RouteTableIds": [table["RouteTableId"] for table in tables]}
        if kind == "Interface":
            where = {
                "SubnetIds": network.subnets,
                "SecurityGroupIds": [network.groups["endpoints"]],
                "PrivateDnsEnabled": True,
            }
        ec2.create_vpc_endpoint(
            VpcId=network.vpc,
            VpcEndpointType=kind,
            ServiceName=f"com.amazonaws.{place.region}.{service}",
            TagSpecifications=networks.tags("vpc-endpoint", f"{place.name}-{service}"),
            **where,
        )


def unreachable(place: Place, service: str) -> bool:
    """Whether the app's functions lack the way to a service."""
    wanted = f"com.amazonaws.{place.region}.{service}"
    endpoints = place.backend("ec2").vpc_end_points.values()
    return not any(each.service_name == wanted and each.state == "available" for each in endpoints)
