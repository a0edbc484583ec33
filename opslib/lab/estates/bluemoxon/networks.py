"""The VPC with its subnets, security groups and endpoints, and what cannot be reached without one."""

from __future__ import annotations

from typing import Any

from opslib.lab.estates.base import Place

# The app's calls out of the VPC: which endpoint each goes through.
SERVICES = ("secretsmanager", "cognito-idp", "s3")


def seed(place: Place) -> dict[str, list[str]]:
    """Makes the network. Returns the functions' VpcConfig."""
    ec2 = place.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=_cidr(place, 0, 16), TagSpecifications=_tags("vpc", place.facts["network"]["vpc"]))
    vpc_id = vpc["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})  # private DNS of the endpoints needs it
    subnets = [_subnet(place, vpc_id, at) for at in range(2)]
    groups = {
        name: ec2.create_security_group(GroupName=f"{place.name}-{name}", Description=text, VpcId=vpc_id)["GroupId"]
        for name, text in (("lambda", "The functions"), ("database", "Aurora"), ("endpoints", "VPC endpoints"))
    }
    for name, port in (("database", 5432), ("endpoints", 443)):
        pair = [{"GroupId": groups["lambda"]}]
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": pair}
        ec2.authorize_security_group_ingress(GroupId=groups[name], IpPermissions=[rule])
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["RouteTables"]
    for service, kind in place.facts["network"]["endpoints"].items():
        where: dict[str, Any] = {"RouteTableIds": [table["RouteTableId"] for table in tables]}
        if kind == "Interface":
            where = {"SubnetIds": subnets, "SecurityGroupIds": [groups["endpoints"]], "PrivateDnsEnabled": True}
        ec2.create_vpc_endpoint(
            VpcId=vpc_id, VpcEndpointType=kind, ServiceName=f"com.amazonaws.{place.region}.{service}",
            TagSpecifications=_tags("vpc-endpoint", f"{place.name}-{service}"), **where,
        )  # fmt: skip
    _subnet_group(place, subnets)
    place.memory["database_group"] = groups["database"]
    return {"SubnetIds": subnets, "SecurityGroupIds": [groups["lambda"]]}


def unreachable(place: Place, service: str) -> bool:
    """Whether the app's functions lack the way to a service."""
    wanted = f"com.amazonaws.{place.region}.{service}"
    endpoints = place.backend("ec2").vpc_end_points.values()
    return not any(endpoint.service_name == wanted and endpoint.state == "available" for endpoint in endpoints)


def _subnet(place: Place, vpc_id: str, at: int) -> str:
    made = place.client("ec2").create_subnet(
        VpcId=vpc_id, CidrBlock=_cidr(place, 16 * at, 20), AvailabilityZone=f"{place.region}{'ab'[at]}",
        TagSpecifications=_tags("subnet", f"{place.name}-private-{'ab'[at]}"),
    )  # fmt: skip
    return str(made["Subnet"]["SubnetId"])


def _subnet_group(place: Place, subnets: list[str]) -> None:
    place.client("rds").create_db_subnet_group(
        DBSubnetGroupName=place.name, DBSubnetGroupDescription="private subnets", SubnetIds=subnets
    )


def _cidr(place: Place, third: int, bits: int) -> str:
    return f"10.{40 if place.target.production else 20}.{third}.0/{bits}"


def _tags(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]
