"""A VPC: private subnets in two zones, a subnet group for RDS, security groups, endpoints."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from opslib.lab.forms import data
from opslib.lab.places import Place


class Network(NamedTuple):
    """Ids, as AWS names them. `groups`: security groups by their short name."""

    vpc: str
    subnets: list[str]
    groups: Mapping[str, str]

    def of_functions(self) -> dict[str, list[str]]:
        """The VpcConfig of functions in the group `lambda`."""
        return {"SubnetIds": self.subnets, "SecurityGroupIds": [self.groups["lambda"]]}


def seed(place: Place, about: data.Network) -> Network:
    """The VPC; its security groups let the functions' in. The database's and the cache's are kept
    for them.
    """
    facts = place.facts.get("network", {})
    network = make(place, facts.get("vpc", place.called), about.block, about.groups)
    for name, port in about.let_in.items():
        let_in(place, network.groups[name], network.groups["lambda"], port)
    _endpoints(place, network, facts.get("endpoints", {}))
    place.memory["vpc"] = network.vpc
    for name in network.groups.keys() & {"database", "cache"}:
        place.memory[f"{name}_group"] = network.groups[name]
    return network


def make(place: Place, name: str, block: str, groups: Mapping[str, str]) -> Network:
    """`block`: the first two numbers of its addresses, `10.40`; `groups`.

    What each security group is for.
    """
    ec2 = place.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=f"{block}.0.0/16", TagSpecifications=tags("vpc", name))["Vpc"][
        "VpcId"
    ]
    ec2.modify_vpc_attribute(
        VpcId=vpc, EnableDnsHostnames={"Value": True}
    )  # private DNS of endpoints needs it
    subnets = [_subnet(place, vpc, f"{block}.{16 * at}.0/20", zone) for at, zone in enumerate("ab")]
    place.client("rds").create_db_subnet_group(
        DBSubnetGroupName=place.called,
        DBSubnetGroupDescription="private subnets",
        SubnetIds=subnets,
    )
    made = {
        group: ec2.create_security_group(
            GroupName=f"{place.called}-{group}", Description=text, VpcId=vpc
        )["GroupId"]
        for group, text in groups.items()
    }
    return Network(vpc, subnets, made)


def let_in(place: Place, group: str, source: str, port: int) -> None:
    """From one security group into another."""
    rule = {
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
        "UserIdGroupPairs": [{"GroupId": source}],
    }
    place.client("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])


def _subnet(place: Place, vpc: str, block: str, zone: str) -> str:
    made = place.client("ec2").create_subnet(
        VpcId=vpc,
        CidrBlock=block,
        AvailabilityZone=f"{place.region}{zone}",
        TagSpecifications=tags("subnet", f"{place.called}-private-{zone}"),
    )
    return str(made["Subnet"]["SubnetId"])


def tags(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


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
            TagSpecifications=tags("vpc-endpoint", f"{place.called}-{service}"),
            **where,
        )


def unreachable(place: Place, service: str) -> bool:
    """Whether the app's functions lack the way to a service."""
    wanted = f"com.amazonaws.{place.region}.{service}"
    endpoints = place.backend("ec2").vpc_end_points.values()
    return not any(each.service_name == wanted and each.state == "available" for each in endpoints)
